"""What the page asks and shows when somebody wonders what a lost region would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from infra_console.fleet.queries import list_regions
from regions.core.spill import Load, Rule, Spill, spill
from regions.queries import region_loads, round_trip_times

RULES: Mapping[Rule, str] = {
    "jurisdiction": "stay in their jurisdiction",
    "anywhere": "may go anywhere",
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """A region that would serve, with what it serves today (None: unknown) and then."""

    region: str
    now_rps: float | None
    then_rps: float
    room_rps: float | None
    from_others_ms: float | None  # mean round trip of what comes from elsewhere

    @property
    def share(self) -> float | None:
        """Of its room, then."""
        return self.then_rps / self.room_rps if self.room_rps else None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One question with its answer; `result` is None until a region is chosen."""

    regions: tuple[str, ...]
    lost: str
    rule: Rule
    result: Spill | None = None
    receivers: tuple[Receiver, ...] = ()


def what_if(lost: str, rule: str) -> WhatIf:
    """Lose one region; words that are none of ours mean no region and the stricter rule."""
    jurisdiction = {r.id: r.jurisdiction for r in list_regions()}
    regions = tuple(jurisdiction)
    asked = lost if lost in regions else ""
    chosen = cast(Rule, rule) if rule in RULES else "jurisdiction"
    if not asked:
        return WhatIf(regions, asked, chosen)
    loads = _loads()
    times, _ = round_trip_times()
    result = spill(loads, times, jurisdiction, lost={asked}, rule=chosen)
    receivers = (_receiver(r, loads, result) for r in regions if r != asked)
    return WhatIf(regions, asked, chosen, result, tuple(receivers))


def _loads() -> list[Load]:
    return region_loads()


def _receiver(region: str, loads: Sequence[Load], result: Spill) -> Receiver:
    here = [load for load in loads if load.region == region]
    strangers = [f for f in result.flows if f.region == region and f.origin != region]
    moved = sum(flow.rps for flow in strangers)
    return Receiver(
        region=region,
        now_rps=_sum([load.rps for load in here]),
        then_rps=result.into(region),
        room_rps=_sum([load.room_rps for load in here]),
        from_others_ms=sum(f.rps * f.ms for f in strangers) / moved if moved else None,
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
