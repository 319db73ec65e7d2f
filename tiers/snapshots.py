"""The allocator's snapshot from the fleet file, what was read of the fleet, and the forecasts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from infra_console.fleet.config import PoolConfig, WorkloadConfig
from tiers.core.allocate import Allocation
from tiers.core.demand.correction import raised
from tiers.core.demand.need import lifted
from tiers.core.fleet_state import ClusterState, FleetState
from tiers.core.forecast.quantiles import QUANTILES
from tiers.core.frontier.report import groups_at_peak
from tiers.core.snapshot import Snapshot
from tiers.core.snapshot_build import build_snapshot, current_groups, demand_steps
from tiers.demand import DemandNow
from tiers.facts import FleetFacts
from tiers.forecasting import ForecastBook
from tiers.models import Cycle, PlannedSnapshot

STEP_S, STEPS, QUANTILE = 1800, 8, 0.95
MAX_GROUP_MOVES = 200
# A plan waits for its approval, then drains and loads: what it is to serve counts a step earlier.
LEAD_STEPS = 1
# Snapshots kept, newest first: the frontier page shows the last, a day can be looked into.
KEPT = 144


def snapshot_of(
    facts: FleetFacts,
    state: FleetState,
    book: ForecastBook,
    *,
    now: datetime,
    demand_now: DemandNow,
    gangs: Sequence[Mapping[str, Any]] = (),
    changed_s_ago: Mapping[tuple[str, str], float] | None = None,
) -> Snapshot:
    """What is known of the clusters that answered, and what their workloads will ask for.

    Args:
        demand_now: live queues that lift the first steps, and the throughput in force.
        gangs: those that wait, in their turn.
        changed_s_ago: since a plan last changed groups, by (pool, workload).

    Raises:
        SnapshotInvalid, pydantic.ValidationError: the parts do not fit together.
    """
    config, region_of = facts.config, facts.region_of
    regions = {c.region for c in state.clusters.values()}
    demand: dict[str, dict[str, list[dict[str, float]]]] = {}
    for (cluster, workload), entry in book.entries.items():
        if cluster in state.clusters:
            steps = demand_steps(entry.quantiles, QUANTILES, per_step=STEP_S // entry.step_s)
            if live := demand_now.live.get((cluster, workload)):
                serves = _serves_rps(state.clusters[cluster], facts.workloads[workload], demand_now)
                steps = lifted(steps, live, step_s=STEP_S, serves_rps=serves)
            # Afterwards: a queue that is in the correction is not to count twice.
            steps = raised(steps, demand_now.corrections.get((cluster, workload)))
            demand.setdefault(workload, {})[region_of[cluster]] = _with_lead(steps)
    return build_snapshot(
        taken_at=now,
        state=state,
        regions=[
            {"id": r.id, "jurisdiction": r.jurisdiction} for r in config.regions if r.id in regions
        ],
        pools=[_pool_row(p, region_of[p.cluster]) for p in config.pools],
        workloads=[_workload_row(w, regions, demand_now) for w in config.workloads],
        demand=demand,
        step_s=STEP_S,
        steps=STEPS,
        quantile=QUANTILE,
        max_moves=MAX_GROUP_MOVES,
        gangs=gangs,
        changed_s_ago=changed_s_ago,
    )


def _serves_rps(state: ClusterState, workload: WorkloadConfig, demand_now: DemandNow) -> float:
    """What the workload's groups in one cluster serve at their objective."""
    units = demand_now.units_per_group(workload)
    types = {n.pool: n.gpu_type for n in state.nodes}
    groups = current_groups(state, {workload.id: workload.group_gpus})
    return sum(n * units[types[pool]] for (pool, _), n in groups.items())


def _with_lead(steps: list[dict[str, float]]) -> list[dict[str, float]]:
    """Each step's demand, or that of the steps soon after it where that is larger."""
    return [
        {key: max(s[key] for s in steps[i : i + 1 + LEAD_STEPS]) for key in steps[i]}
        for i in range(len(steps))
    ]


def keep_snapshot(cycle: Cycle, snapshot: Snapshot, allocation: Allocation) -> None:
    """Keep what was planned from, and drop what is older than the newest `KEPT`."""
    PlannedSnapshot.objects.create(
        cycle=cycle,
        at=snapshot.taken_at,
        snapshot=snapshot.model_dump(mode="json", by_alias=True),
        groups=[[*key, n] for key, n in sorted(groups_at_peak(snapshot, allocation.steps).items())],
    )
    oldest = PlannedSnapshot.objects.order_by("-at").values_list("at", flat=True)[KEPT : KEPT + 1]
    if oldest:
        PlannedSnapshot.objects.filter(at__lte=oldest[0]).delete()


def _pool_row(pool: PoolConfig, region: str) -> dict[str, Any]:
    # The planner gives no node back yet, spot or on demand: it is paid whether used or not.
    row = pool.model_dump(exclude={"selector"})
    return {**row, "region": region, "released_when_empty": False}


def _workload_row(
    workload: WorkloadConfig, regions: set[str], demand_now: DemandNow
) -> dict[str, Any]:
    row = workload.model_dump(exclude={"namespace", "kind", "name", "unit", "git"})
    return {
        **row,
        "regions": [r for r in workload.regions if r in regions],
        "units_per_group": demand_now.units_per_group(workload),
    }
