"""The fleet snapshot, `snapshot/1`: all that the allocator knows, as one document.

`floor_groups` is a floor in every region where the workload has demand or runs; `ceiling_groups`
bounds the sum over pools in one region. `gpus` of a pool is healthy supply, not capacity.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tiers.core.errors import SnapshotInvalid

Tier = Literal["inference", "training", "operational"]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
QUANTILE_KEYS = {0.5: "p50", 0.8: "p80", 0.9: "p90", 0.95: "p95", 0.975: "p975"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SnapshotRegion(_Strict):
    id: str
    jurisdiction: str


class Reservation(_Strict):
    id: str
    start: datetime
    end: datetime


class SnapshotPool(_Strict):
    id: str
    region: str
    cluster: str
    gpu_type: str
    gpu_memory_gib: NonNegative
    purchase: Literal["reserved", "on_demand", "spot"]
    gpus: int = Field(ge=0)
    gpus_per_node: int = Field(ge=1)
    usd_per_gpu_hour: NonNegative
    released_when_empty: bool = True  # of those bought by the hour: whether emptying saves money
    block: str | None = None
    reservation: Reservation | None = None
    interruptions_per_hour: NonNegative | None = None
    provision_s: NonNegative | None = None
    provision_probability: float | None = Field(default=None, ge=0, le=1)
    fallbacks: tuple[str, ...] = ()  # pools to grow in where this one may not; else any with room

    @property
    def paid_when_used(self) -> bool:
        return self.purchase != "reserved" and self.released_when_empty


class LatencyTable(_Strict):
    """p95 time to first token by number of groups and load; both ascending, at least two loads.

    `load` is demand over groups x units_per_group; `ttft_p95_ms` has a row for each `groups`.
    Beyond the last load the service is not stable.
    """

    groups: tuple[Annotated[int, Field(ge=1)], ...]
    load: tuple[NonNegative, ...]
    ttft_p95_ms: tuple[tuple[NonNegative, ...], ...]

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        for axis in (self.groups, self.load):
            if list(axis) != sorted(set(axis)):
                raise ValueError("groups and load must ascend")
        if len(self.load) < 2 or not self.groups:
            raise ValueError("one row of two loads is the least")
        if [len(row) for row in self.ttft_p95_ms] != [len(self.load)] * len(self.groups):
            raise ValueError("ttft_p95_ms needs a row per groups and a column per load")
        if any(list(row) != sorted(row) for row in self.ttft_p95_ms):
            raise ValueError("ttft_p95_ms must not fall as the load grows")
        return self


class SnapshotWorkload(_Strict):
    id: str
    tier: Tier
    model: str
    regions: tuple[str, ...]
    group_gpus: dict[str, Annotated[int, Field(ge=1)]]
    units_per_group: dict[str, Annotated[float, Field(gt=0)]]
    floor_groups: int = Field(ge=0)
    ceiling_groups: int = Field(ge=0)
    slo_ttft_p95_ms: NonNegative | None = None
    spot_ok: bool
    move_s: NonNegative
    min_dwell_s: NonNegative | None = None  # groups changed less long ago are not stopped
    preempt_loss_gpu_hours: NonNegative | None = None
    shortfall_usd_per_unit_hour: NonNegative
    latency: dict[str, LatencyTable] | None = None  # by GPU type; a marked default otherwise


class DemandStep(_Strict):
    """Demand in the workload's units at five quantiles, non-decreasing."""

    p50: NonNegative
    p80: NonNegative
    p90: NonNegative
    p95: NonNegative
    p975: NonNegative

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        values = [self.p50, self.p80, self.p90, self.p95, self.p975]
        if values != sorted(values):
            raise ValueError("quantiles must not decrease")
        return self

    def at(self, quantile: float) -> float:
        """Demand at a quantile in 0.5..0.975, linear between the five."""
        values = [getattr(self, key) for key in QUANTILE_KEYS.values()]
        return float(np.interp(quantile, list(QUANTILE_KEYS), values))


class CurrentGroups(_Strict):
    pool: str
    workload: str
    groups: int = Field(ge=0)
    changed_s_ago: NonNegative | None = None  # since a group was last started or stopped there


class Gang(_Strict):
    """A gang that waits: so many groups of its workload, which start together or not at all."""

    id: str
    workload: str
    region: str
    groups: int = Field(ge=1)


class Checkpoint(_Strict):
    """How long ago the running groups of a workload in a pool kept their work."""

    pool: str
    workload: str
    age_s: NonNegative


class Limits(_Strict):
    max_moves: int = Field(ge=0)
    budget_usd_per_hour: NonNegative | None = None
    min_gain_usd: NonNegative = 0.0  # hysteresis: what a change must gain over the horizon


class Snapshot(_Strict):
    schema_: Literal["snapshot/1"] = Field(alias="schema")
    taken_at: datetime
    step_s: int = Field(gt=0)
    steps: int = Field(ge=1)
    quantile: float = Field(ge=0.5, le=0.975)
    regions: tuple[SnapshotRegion, ...]
    pools: tuple[SnapshotPool, ...]
    workloads: tuple[SnapshotWorkload, ...]
    demand: dict[str, dict[str, tuple[DemandStep, ...]]]
    current: tuple[CurrentGroups, ...]
    limits: Limits
    gangs: tuple[Gang, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        check_references(self)
        return self


def check_references(snapshot: Snapshot) -> None:
    """Refuse ids that nothing defines and demand of the wrong length.

    Raises:
        SnapshotInvalid: naming the path and the id.
    """
    regions = {r.id for r in snapshot.regions}
    pools = {p.id for p in snapshot.pools}
    workloads = {w.id for w in snapshot.workloads}
    for pool in snapshot.pools:
        if pool.region not in regions:
            raise SnapshotInvalid(f"pools[{pool.id}].region", f"unknown region {pool.region}")
        if unknown := set(pool.fallbacks) - pools:
            raise SnapshotInvalid(f"pools[{pool.id}].fallbacks", f"unknown {sorted(unknown)}")
    for workload_id, by_region in snapshot.demand.items():
        if workload_id not in workloads:
            raise SnapshotInvalid(f"demand.{workload_id}", "unknown workload")
        for region_id, steps in by_region.items():
            path = f"demand.{workload_id}.{region_id}"
            if region_id not in regions:
                raise SnapshotInvalid(path, "unknown region")
            if len(steps) != snapshot.steps:
                raise SnapshotInvalid(path, f"has {len(steps)} steps, expected {snapshot.steps}")
    for row in snapshot.current:
        if row.pool not in pools or row.workload not in workloads:
            raise SnapshotInvalid("current", f"unknown pool or workload in {row.model_dump()}")
    _check_gangs(snapshot, regions, pools, workloads)


def _check_gangs(
    snapshot: Snapshot, regions: set[str], pools: set[str], workloads: set[str]
) -> None:
    for gang in snapshot.gangs:
        if gang.workload not in workloads or gang.region not in regions:
            raise SnapshotInvalid(f"gangs[{gang.id}]", "unknown workload or region")
    for kept in snapshot.checkpoints:
        if kept.pool not in pools or kept.workload not in workloads:
            raise SnapshotInvalid("checkpoints", f"unknown pool or workload in {kept.model_dump()}")
