"""The same fleet under another assumption: what the sliders of the frontier page change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tiers.core.frontier.cells import is_cell
from tiers.core.snapshot import (
    CurrentGroups,
    DemandStep,
    Snapshot,
    SnapshotPool,
    SnapshotWorkload,
)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Changes to a snapshot; the defaults change nothing.

    `demand` and `slo` are factors. `lost` is a region that is gone: its pools with it, its demand
    spread over the other regions of each workload as theirs is, or gone too where there is none
    (residency is not looked at here). `spot` is the share of each spot pool that is relied on, in
    whole nodes. `give_way` lets inference take what other tiers hold above their floors. `floors`
    are groups by workload in place of the snapshot's.
    """

    demand: float = 1.0
    slo: float = 1.0
    spot: float = 1.0
    lost: str = ""
    give_way: bool = False
    floors: Mapping[str, int] = field(default_factory=dict)

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """The changed snapshot; the given one stays as it is."""
        return self._changed(snapshot, {p.id for p in snapshot.pools if p.region != self.lost})

    def planned(self, snapshot: Snapshot) -> Snapshot:
        """The fleet that would bear the assumptions: a region that may be lost keeps its pools and
        its demand, and the others carry its demand as well."""
        return self._changed(snapshot, {p.id for p in snapshot.pools})

    def _changed(self, snapshot: Snapshot, kept: set[str]) -> Snapshot:
        pools = tuple(
            pool for p in snapshot.pools if p.id in kept if (pool := self._relied_on(p)) is not None
        )
        kept = {p.id for p in pools}
        lost_stays = any(p.region == self.lost for p in pools)
        current = tuple(c for c in snapshot.current if c.pool in kept)
        return snapshot.model_copy(
            update={
                "pools": pools,
                "current": _at_floors(snapshot, current) if self.give_way else current,
                "workloads": tuple(w.model_copy(update=self._terms(w)) for w in snapshot.workloads),
                "demand": {
                    w: self._demand(by_region, lost_stays=lost_stays)
                    for w, by_region in snapshot.demand.items()
                },
            }
        )

    def _relied_on(self, pool: SnapshotPool) -> SnapshotPool | None:
        """The pool, or the whole nodes of a spot pool that are relied on; None where it is none."""
        if pool.purchase != "spot" or self.spot >= 1:
            return pool
        nodes = int(pool.gpus // pool.gpus_per_node * self.spot + 1e-9)
        gpus = nodes * pool.gpus_per_node
        return pool.model_copy(update={"gpus": gpus}) if gpus else None

    def _terms(self, workload: SnapshotWorkload) -> dict[str, Any]:
        terms: dict[str, Any] = {}
        if workload.id in self.floors:
            floor = min(self.floors[workload.id], workload.ceiling_groups)
            terms["floor_groups"] = floor
        if workload.slo_ttft_p95_ms:
            terms["slo_ttft_p95_ms"] = workload.slo_ttft_p95_ms * self.slo
        return terms

    def _demand(
        self, by_region: dict[str, tuple[DemandStep, ...]], *, lost_stays: bool
    ) -> dict[str, tuple[DemandStep, ...]]:
        """Each step times the factor, and times what the others take of a lost region's."""
        left = {region: steps for region, steps in by_region.items() if region != self.lost}
        gone = by_region.get(self.lost, ())
        changed = {
            region: tuple(
                _times(step, self.demand * _share(i, left, gone)) for i, step in enumerate(steps)
            )
            for region, steps in left.items()
        }
        if lost_stays and gone:
            changed[self.lost] = tuple(_times(step, self.demand) for step in gone)
        return changed


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
