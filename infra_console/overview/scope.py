"""What a page is about, as its URL says it: fleet > region > tier, and a time range.

`range` is a past of 3h, 6h, 24h, 7d or 28d, with `+4h` when the forecast's future is shown too.
Everything else in the query is ignored, so an old link always opens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.http import HttpRequest

PAST_HOURS: Mapping[str, int] = {"3h": 3, "6h": 6, "24h": 24, "7d": 168, "28d": 672}
STEP_S: Mapping[str, int] = {"3h": 60, "6h": 120, "24h": 300, "7d": 1800, "28d": 7200}
FUTURE_HOURS = 4
FUTURE_MARK = "+4h"
DEFAULT_PAST = "24h"
TIERS = ("inference", "training", "operational")


@dataclass(frozen=True, slots=True)
class Scope:
    """One reading of the URL's query. Empty region or tier means all of them."""

    region: str = ""
    tier: str = ""
    past: str = DEFAULT_PAST
    future: bool = True

    @property
    def range(self) -> str:
        return self.past + (FUTURE_MARK if self.future else "")

    @property
    def step_s(self) -> int:
        return STEP_S[self.past]

    @property
    def words(self) -> str:
        """The scope for a heading: `fleet`, `uksouth`, `uksouth, training`."""
        return ", ".join(part for part in (self.region or "fleet", self.tier) if part)

    def start(self, now: datetime) -> datetime:
        return now - timedelta(hours=PAST_HOURS[self.past])

    def end(self, now: datetime) -> datetime:
        """The right edge of a chart; data ends at `now`."""
        return now + timedelta(hours=FUTURE_HOURS if self.future else 0)

    def query(self, **changes: str | bool) -> str:
        """The URL's query with some parts changed, defaults left out: `?region=uksouth` or ``."""
        scope = replace(self, **changes)  # type: ignore[arg-type]
        parts = {"region": scope.region, "tier": scope.tier}
        if scope.range != Scope().range:
            parts["range"] = scope.range
        text = urlencode({name: value for name, value in parts.items() if value})
        return f"?{text}" if text else ""


def scope_of(request: HttpRequest) -> Scope:
    """The scope in a request's query; unknown tiers and ranges fall back to the default."""
    asked = request.GET.get("range", Scope().range)
    # An unescaped plus sign in a typed address arrives as a space.
    past, plus, _future = asked.replace(" ", "+").partition("+")
    tier = request.GET.get("tier", "")
    return Scope(
        region=request.GET.get("region", "")[:63],
        tier=tier if tier in TIERS else "",
        past=past if past in PAST_HOURS else DEFAULT_PAST,
        future=bool(plus),
    )
