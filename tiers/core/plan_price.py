"""What the moves of one cluster are worth by themselves, in US dollars over the horizon.

The allocation says what would run everywhere; a plan may carry out a part of it (a limit on nodes,
a node that cannot be drained). Its price is the difference of the allocator's own cost between the
groups that will run if nothing is done and those that will run once the moves are done. Either way:

1. Deployments stop the groups that their scale steps stop; a gang that loses a node stops whole.
2. What a tier's remaining whole nodes cannot hold is stopped.
3. What the allocation wants more of starts while its tier's nodes have room: Deployments up to
   their replicas, queues by themselves.

Work that a stopped gang loses since its checkpoint is subtracted, as far as the allocator's own
cost does not count it already.

Limit: nodes of one family of pools are counted together, so fragmentation inside a family is the
concern of the moves, which have already cut what does not fit.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tiers.core.changes import ClusterMoves, WorkloadFacts
from tiers.core.fleet_state import ClusterState, is_supply
from tiers.core.region_problem import Cost, Key, RegionProblem
from tiers.core.snapshot import Snapshot

NO_MOVES = ClusterMoves("", (), (), (), ())


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """US dollars gained over the horizon, and paid capacity per hour, against doing nothing."""

    gain_usd: float
    usd_per_hour_delta: float
    restores_floor: bool


def price_moves(
    snapshot: Snapshot,
    state: ClusterState,
    target: Mapping[Key, int],
    moves: ClusterMoves,
    workloads: Iterable[WorkloadFacts],
    *,
    families: Mapping[str, str],
) -> PlanPrice:
    """The price of exactly these moves.

    Args:
        snapshot: what the allocation was made from.
        state: the cluster, alone in its region.
        target: the allocation's groups by (pool, workload); a queue starts up to them by itself.
        families: by pool, the name that pools share whose nodes are used alike.
    """
    problem = RegionProblem.of(snapshot, state.region)
    facts = tuple(workloads)

    def cost_after(made: ClusterMoves) -> tuple[Cost, float]:
        problem.x = _Groups(problem, state, made, facts, families).after(target)
        return problem.cost(), _counted_loss_usd(problem, _gang_workloads(moves))

    (before, counted_before), (after, counted_after) = cost_after(NO_MOVES), cost_after(moves)
    more_lost_usd = max(0.0, _stated_loss_usd(problem, moves) - (counted_after - counted_before))
    return PlanPrice(
        gain_usd=before.money_usd - after.money_usd - more_lost_usd,
        usd_per_hour_delta=(after.capacity_usd - before.capacity_usd) / problem.hours,
        restores_floor=after.breach_usd < before.breach_usd,
    )


def _gang_workloads(moves: ClusterMoves) -> set[str]:
    return {pod.workload for change in moves.nodes for pod in change.evicts if pod.gang}


def _stated_loss_usd(problem: RegionProblem, moves: ClusterMoves) -> float:
    """What the plan says that its gangs lose, at the rate of the pools that it takes them from."""
    return sum(c.lost_gpu_hours * problem.pools[c.node.pool].usd_per_gpu_hour for c in moves.nodes)


def _counted_loss_usd(problem: RegionProblem, workloads: set[str]) -> float:
    """The lost work of these workloads' stopped groups that the cost holds now."""
    total = 0.0
    for key in problem.groups():
        stopped = problem.start.get(key, 0) - problem.x.get(key, 0)
        if key[1] in workloads and stopped > 0:
            start_usd, stop_usd = problem.move_prices(key)
            total += stopped * (stop_usd - start_usd)
    return total


class _Groups:
    """Groups by (pool, workload) as the moves change them."""

    def __init__(
        self,
        problem: RegionProblem,
        state: ClusterState,
        moves: ClusterMoves,
        workloads: Iterable[WorkloadFacts],
        families: Mapping[str, str],
    ) -> None:
        self.problem = problem
        self.x = Counter(problem.start)
        self.tier = {w.id: w.tier for w in workloads}
        self.family = {pool: families.get(pool, pool) for pool in problem.pools}
        self.room = self._room(state, moves)
        replicas = {d.workload: d.replicas for d in state.deployments}
        scales = (*moves.shrinks, *moves.grows)
        self.limit = replicas | {s.deployment.workload: s.to_replicas for s in scales}
        self.stops = {s.deployment.workload: -s.delta for s in moves.shrinks}
        self.gangs = self._stopped_gangs(state, moves)

    def after(self, target: Mapping[Key, int]) -> dict[Key, int]:
        keys = sorted(k for k in self.x.keys() | target.keys() if k[0] in self.problem.pools)
        surplus_first = sorted(keys, key=lambda k: target.get(k, 0) - self.x[k])
        for key in surplus_first:
            while self.stops.get(key[1], 0) > 0 and self.x[key] > 0:
                self._change(key, -1)
                self.stops[key[1]] -= 1
        for key, groups in self.gangs.items():
            self._change(key, -min(groups, self.x[key]))
        for key in surplus_first:
            while self.x[key] > 0 and self._left(key) < 0:
                self._change(key, -1)
        for key in keys:
            while self.x[key] < target.get(key, 0) and self._may_start(key):
                self._change(key, 1)
        return dict(self.x)

    def _may_start(self, key: Key) -> bool:
        running = sum(n for (_, workload), n in self.x.items() if workload == key[1])
        allowed = running < self.limit.get(key[1], running + 1)
        return allowed and self._left(key) >= self.problem.group_gpus(*key)

    def _change(self, key: Key, groups: int) -> None:
        self.x[key] += groups
        self.room[self._place(key)] -= groups * self.problem.group_gpus(*key)

    def _left(self, key: Key) -> int:
        return self.room[self._place(key)]

    def _place(self, key: Key) -> tuple[str, str]:
        return self.family[key[0]], self.tier[key[1]]

    def _stopped_gangs(self, state: ClusterState, moves: ClusterMoves) -> dict[Key, int]:
        """Groups of the gangs that lose a pod, on whichever nodes the others run."""
        gangs = {pod.gang for change in moves.nodes for pod in change.evicts if pod.gang}
        gpus: Counter[Key] = Counter()
        for pod, node in state.staying_pods():
            if pod.gang in gangs:
                gpus[node.pool, pod.workload] += pod.gpus
        return {k: held // self.problem.group_gpus(*k) for k, held in gpus.items() if self.x[k]}

    def _room(self, state: ClusterState, moves: ClusterMoves) -> Counter[tuple[str, str]]:
        """GPUs of supply by (family, tier) after the moves, less what runs there now."""
        tier_after = {c.node.name: c.to_tier for c in moves.nodes}
        room: Counter[tuple[str, str]] = Counter()
        for node in state.nodes:
            tier = tier_after.get(node.name, node.tier)
            if tier and is_supply(node) and node.pool in self.family:
                room[self.family[node.pool], tier] += node.gpus_allocatable
        for key, groups in self.x.items():
            room[self._place(key)] -= groups * self.problem.group_gpus(*key)
        return room
