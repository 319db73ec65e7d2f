"""The same fleet under another assumption: what the sliders of the frontier page change."""

from dataclasses import dataclass
from typing import Any

from tiers.core.frontier.cells import is_cell
from tiers.core.snapshot import CurrentGroups, DemandStep, Snapshot, SnapshotWorkload


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Changes to a snapshot; the defaults change nothing.

    `demand` and `slo` are factors. `lost` is a region that is gone: its pools with it, its demand
    spread over the other regions of each workload as theirs is, or gone too where there is none
    (residency is not looked at here). `spot` false leaves spot pools out. `give_way` lets inference
    take what other tiers hold above their floors.
    """

    demand: float = 1.0
    slo: float = 1.0
    spot: bool = True
    lost: str = ""
    give_way: bool = False

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """The changed snapshot; the given one stays as it is."""
        pools = tuple(
            p
            for p in snapshot.pools
            if p.region != self.lost and (self.spot or p.purchase != "spot")
        )
        kept = {p.id for p in pools}
        current = tuple(c for c in snapshot.current if c.pool in kept)
        return snapshot.model_copy(
            update={
                "pools": pools,
                "current": _at_floors(snapshot, current) if self.give_way else current,
                "workloads": tuple(
                    w.model_copy(update=self._objective(w)) for w in snapshot.workloads
                ),
                "demand": {w: self._demand(by_region) for w, by_region in snapshot.demand.items()},
            }
        )

    def _objective(self, workload: SnapshotWorkload) -> dict[str, Any]:
        if not workload.slo_ttft_p95_ms:
            return {}
        return {"slo_ttft_p95_ms": workload.slo_ttft_p95_ms * self.slo}

    def _demand(
        self, by_region: dict[str, tuple[DemandStep, ...]]
    ) -> dict[str, tuple[DemandStep, ...]]:
        """Each step times the factor, and times what the others take of a lost region's."""
        left = {region: steps for region, steps in by_region.items() if region != self.lost}
        gone = by_region.get(self.lost, ())
        return {
            region: tuple(
                _times(step, self.demand * _share(i, left, gone)) for i, step in enumerate(steps)
            )
            for region, steps in left.items()
        }


def _at_floors(snapshot: Snapshot, current: tuple[CurrentGroups, ...]) -> tuple[CurrentGroups, ...]:
    """What runs, workloads outside the frontier's core cut to their floor in each region."""
    workloads = {w.id: w for w in snapshot.workloads}
    region_of = {p.id: p.region for p in snapshot.pools}
    left = {(w.id, r.id): w.floor_groups for w in snapshot.workloads for r in snapshot.regions}
    rows = []
    for row in current:
        place = row.workload, region_of[row.pool]
        keeps = row.groups if is_cell(workloads[row.workload]) else min(row.groups, left[place])
        left[place] -= keeps
        rows.append(row.model_copy(update={"groups": keeps}))
    return tuple(rows)


def _share(
    step: int, left: dict[str, tuple[DemandStep, ...]], gone: tuple[DemandStep, ...]
) -> float:
    """By how much the remaining regions grow in a step, in proportion to their medians."""
    total = sum(steps[step].p50 for steps in left.values())
    return 1 + gone[step].p50 / total if gone and total > 0 else 1.0


def _times(step: DemandStep, factor: float) -> DemandStep:
    return DemandStep(**{name: value * factor for name, value in step.model_dump().items()})
