"""The frontier page's address: assumptions and the chosen point, read and written."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from django.http import QueryDict

from infra_console.numbers import whole_number
from tiers.core.frontier.follow import Choice
from tiers.core.frontier.what_if import WhatIf

FACTORS = (0.5, 2.0)
FLOOR = "floor."  # floor.chat=3
ASSUMPTIONS = ("demand", "slo", "spot", "lost", "others", "budget")
MOST_GROUPS = 100_000
MOST_RATIO = 100.0


@dataclass(frozen=True, slots=True)
class Floor:
    """One workload's floor: as it stands, and as it is assumed."""

    workload: str
    stands: int
    assumed: int


def what_if_of(query: QueryDict) -> WhatIf:
    """Assumptions in a URL's query; what cannot be read changes nothing."""
    return WhatIf(
        demand=_between(query.get("demand"), *FACTORS),
        slo=_between(query.get("slo"), *FACTORS),
        spot=_spot(query.get("spot")),
        lost=query.get("lost", "")[:63],
        give_way=query.get("others") != "keep",
        floors={
            name.removeprefix(FLOOR)[:63]: min(groups, MOST_GROUPS)
            for name, value in query.items()
            if name.startswith(FLOOR) and (groups := whole_number(str(value))) is not None
        },
    )


def budget_of(query: QueryDict) -> float | None:
    """USD per hour, or None where the address names none."""
    value = _number(query.get("budget"))
    return value if value is not None and value > 0 else None


def choice_of(query: QueryDict) -> Choice | None:
    """The point that a form chose, or None where its latency cannot be read."""
    ratio = _number(query.get("ratio"))
    if ratio is None or not 0 < ratio <= MOST_RATIO:
        return None
    return Choice(ratio, what_if_of(query), budget_of(query))


def assumptions_of(query: QueryDict) -> dict[str, str]:
    """Those that the address names, as they stand there."""
    named = {n: str(query[n]) for n in ASSUMPTIONS if query.get(n)}
    return named | {n: str(v) for n, v in query.items() if n.startswith(FLOOR) and v}


def query_of(choice: Choice) -> dict[str, str]:
    """A choice as the address that shows its frontier."""
    what_if = choice.what_if
    named = {
        "demand": f"{what_if.demand:g}" if what_if.demand != 1 else "",
        "slo": f"{what_if.slo:g}" if what_if.slo != 1 else "",
        "spot": f"{what_if.spot * 100:g}" if what_if.spot != 1 else "",
        "lost": what_if.lost,
        "others": "" if what_if.give_way else "keep",
        "budget": "" if choice.budget_usd_per_hour is None else f"{choice.budget_usd_per_hour:g}",
        **{FLOOR + workload: str(groups) for workload, groups in what_if.floors.items()},
    }
    return {name: value for name, value in named.items() if value}


def floors_shown(stand: Iterable[tuple[str, int]], what_if: WhatIf) -> tuple[Floor, ...]:
    return tuple(Floor(w, groups, what_if.floors.get(w, groups)) for w, groups in stand)


def _spot(text: str | None) -> float:
    """A percentage; `no` and `yes` are 0 and 100."""
    if text == "no":
        return 0.0
    value = _number(text)
    return 1.0 if value is None else min(100.0, max(0.0, value)) / 100


def _between(text: str | None, low: float, high: float) -> float:
    value = _number(text)
    return 1.0 if value is None else min(high, max(low, value))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) else None
