"""What domains contribute to the first page: cards, and alerts that its verdict sums up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.conf import settings
from django.utils.module_loading import import_string

from infra_console.overview.scope import Scope

# Worst first: of what does not answer nobody knows how bad it is.
LEVELS = ("lost", "bad", "warn")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing, as a sentence with a link: `lost` (does not answer), `bad`, or may become so."""

    level: Literal["lost", "bad", "warn"]
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A part of the first page. `template` gets `context`; `live_kinds` refresh it."""

    key: str
    template: str
    context: Mapping[str, Any]
    place: Literal["wide", "side"]
    live_kinds: str
    alerts: tuple[Alert, ...] = field(default=())
    known: bool = True  # False: nothing has been seen yet, so silence is not good news


def contributed_cards(scope: Scope) -> list[Card]:
    """The cards that settings.OVERVIEW_CARDS name, in order."""
    builders: list[Callable[[Scope], Card]] = [import_string(p) for p in settings.OVERVIEW_CARDS]
    return [build(scope) for build in builders]
