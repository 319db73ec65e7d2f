"""Words, numbers and icons for templates; every number carries its unit, unknown is a dash."""

from datetime import datetime

from django import template
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from infra_console.overview.icons import PATHS
from infra_console.overview.looks import Look, look_of, slo_look
from infra_console.overview.scope import Scope

register = template.Library()
UNKNOWN = "–"
# Width and height hold where the stylesheet has not come; it sets its own.
ICON = (
    '<svg class="ic" width="18" height="18" viewBox="0 0 24 24" aria-hidden="true">'
    '<path d="{}"/></svg>'
)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An inline icon; it says nothing that the text beside it does not."""
    return format_html(ICON, PATHS[name])


@register.simple_tag
def state(kind: str, value: str, title: str = "") -> SafeString:
    """A badge of icon, word and colour."""
    return _badge(look_of(kind, value), title)


@register.simple_tag
def slo_state(ratio: float | None, title: str = "") -> SafeString:
    return _badge(slo_look(ratio), title)


def _badge(look: Look, title: str) -> SafeString:
    return format_html(
        '<span class="state state-{}" title="{}">{}<span>{}</span></span>',
        look.tone, title, icon(look.icon), look.word,
    )  # fmt: skip


@register.simple_tag(takes_context=True)
def scoped(context: Context, name: str, *args: object, **changes: str | bool) -> str:
    """The address of a page with the current scope and time range kept, or changed."""
    scope = context.get("scope") or Scope()
    return reverse(name, args=args) + scope.query(**changes)


@register.simple_tag(takes_context=True)
def here(context: Context, **changes: str | bool) -> str:
    """This page's address with a part of the scope changed."""
    scope = context.get("scope") or Scope()
    path: str = context["request"].path
    return path + scope.query(**changes)


@register.filter
def age(seconds: float | None) -> str:
    """A duration in the coarsest unit that still tells: `8 s`, `7 min`, `3.2 h`, `4 d`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """`7 min ago` with the exact time on hover."""
    if at is None:
        return UNKNOWN
    passed = (timezone.now() - at).total_seconds()
    words = f"{age(passed)} ago" if passed >= 0 else f"in {age(-passed)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), utc(at), words)


@register.filter
def utc(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else UNKNOWN


@register.filter
def number(value: float | None, digits: int = 0) -> str:
    """Thousands apart by a thin space."""
    return UNKNOWN if value is None else f"{value:,.{digits}f}".replace(",", "\u202f")


@register.filter
def signed(value: float | None, digits: int = 0) -> str:
    """`+8`, `−3`, `0`: a change."""
    if value is None:
        return UNKNOWN
    text = f"{abs(value):,.{digits}f}".replace(",", "\u202f")
    if not float(text.replace("\u202f", "")):
        return text
    return ("+" if value > 0 else "−") + text


@register.filter
def plain(value: float | None) -> str:
    """A number with no more digits than it has: `56`, `0.95`."""
    return UNKNOWN if value is None else f"{value:.4g}"


@register.filter
def sign(op: str) -> str:
    """A comparison as people write it."""
    return {">=": "≥", "<=": "≤", "==": "="}.get(op, op)


@register.filter
def percent(share: float | None, digits: int = 0) -> str:
    return UNKNOWN if share is None else f"{100 * share:.{digits}f} %"


@register.filter
def times(ratio: float | None) -> str:
    """`0.62 ×`: a ratio to a limit."""
    return UNKNOWN if ratio is None else f"{ratio:.2f} ×"


@register.filter
def milliseconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"


@register.filter
def lines(text: str) -> SafeString:
    """Each line of a text as a paragraph."""
    return mark_safe("".join(format_html("<p>{}</p>", line) for line in text.splitlines() if line))  # noqa: S308  each line was escaped by format_html
