"""Waiting gangs: does the plan start each, when will it, and which moves would start it now.

A gang starts whole and in one pool, or not at all. What the plan starts of its workload in a pool
counts towards it; for the rest whole nodes must come free. Victims are whole groups, priced as
moves are: draining, and the work lost, which is the time since the last checkpoint where that is
known and `preempt_loss_gpu_hours` where it is not. Floors hold. The set named is the cheapest there
is: a dynamic programme over the GPUs that each tier lets go. What victims no longer serve is not in
its price; the plan weighs that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tiers.core.snapshot import Gang, Snapshot, SnapshotPool, SnapshotWorkload

Groups = Mapping[tuple[str, str], int]  # by (pool, workload)
Stops = tuple[tuple[str, int], ...]  # workload, groups
_Cheapest = dict[int, tuple[float, Stops]]  # by GPUs let go


@dataclass(frozen=True, slots=True)
class GangStart:
    """`step` is when the plan has room for it, None within no step; `stops` would start it now in
    `pool` for `usd`, which is None where no stops would."""

    gang: str
    workload: str
    region: str
    step: int | None
    pool: str
    stops: Stops = ()
    usd: float | None = None

    def words(self, step_hours: float) -> str:
        if self.step == 0:
            return f"the plan starts it now on {self.pool}"
        when = (
            "the plan has no room for it in any step"
            if self.step is None
            else f"the plan has room for it in {self.step * step_hours:g} h"
        )
        if self.usd is None:
            return f"{when}; no set of stops above the floors would start it now"
        named = ", ".join(f"{n} of {workload}" for workload, n in self.stops)
        return f"{when}; stopping {named} on {self.pool} would start it now for ${self.usd:,.2f}"


def gang_starts(snapshot: Snapshot, steps: Sequence[Groups]) -> list[GangStart]:
    """One answer for each waiting gang, in the snapshot's order; earlier ones hold their room."""
    room = _Room(
        held=[dict(groups) for groups in steps],
        current={(c.pool, c.workload): c.groups for c in snapshot.current},
    )
    return [_Search(snapshot, room, gang).answer() for gang in snapshot.gangs]


@dataclass(slots=True)
class _Room:
    """What is held in each step, and what of it ran before or is a gang's already."""

    held: list[dict[tuple[str, str], int]]
    current: dict[tuple[str, str], int]


class _Search:
    def __init__(self, snapshot: Snapshot, room: _Room, gang: Gang) -> None:
        self.snapshot, self.gang = snapshot, gang
        self.held, self.current = room.held, room.current
        self.workloads = {w.id: w for w in snapshot.workloads}
        self.workload = self.workloads[gang.workload]
        self.ages = {(c.pool, c.workload): c.age_s for c in snapshot.checkpoints}

    def answer(self) -> GangStart:
        pools = list(self._pools())
        fits = [(t, i) for i, p in enumerate(pools) for t in self._steps_with_room(p)]
        step, where = min(fits, default=(None, 0))
        if step == 0:
            self._take(pools[where])
            return self._start(0, pools[where].id)
        offers = [(usd, p.id, stops) for p in pools for usd, stops in self._cheapest(p)]
        if not offers:
            return self._start(step, "")
        usd, pool, stops = min(offers)
        return self._start(step, pool, stops, usd)

    def _start(
        self, step: int | None, pool: str, stops: Stops = (), usd: float | None = None
    ) -> GangStart:
        gang = self.gang
        return GangStart(gang.id, gang.workload, gang.region, step, pool, stops, usd)

    def _pools(self) -> Iterator[SnapshotPool]:
        for pool in sorted(self.snapshot.pools, key=lambda p: p.id):
            spot = pool.purchase == "spot" and not self.workload.spot_ok
            here = pool.region == self.gang.region and pool.gpu_type in self.workload.group_gpus
            if here and not spot:
                yield pool

    def _missing(self, pool: SnapshotPool, step: int) -> int:
        """Groups that the gang lacks in a pool beyond what the plan starts of its workload."""
        key = pool.id, self.workload.id
        started = self.held[step].get(key, 0) - self.current.get(key, 0)
        return max(0, self.gang.groups - max(0, started))

    def _steps_with_room(self, pool: SnapshotPool) -> list[int]:
        size = self.workload.group_gpus[pool.gpu_type]
        return [
            step
            for step in range(len(self.held))
            if self._free(pool, step) >= self._missing(pool, step) * size
        ]

    def _free(self, pool: SnapshotPool, step: int) -> int:
        """GPUs for the gang's tier: nodes of no other tier, less what the tier holds."""
        return self._usable(pool, self._by_tier(pool, step))

    def _usable(self, pool: SnapshotPool, held: Mapping[str, int]) -> int:
        own = self.workload.tier
        others = sum(-(-g // pool.gpus_per_node) for tier, g in held.items() if tier != own)
        nodes = pool.gpus // pool.gpus_per_node - others
        return nodes * pool.gpus_per_node - held.get(own, 0)

    def _by_tier(self, pool: SnapshotPool, step: int) -> dict[str, int]:
        held: dict[str, int] = {}
        for (pool_id, workload_id), n in self.held[step].items():
            if pool_id == pool.id:
                workload = self.workloads[workload_id]
                gpus = n * workload.group_gpus[pool.gpu_type]
                held[workload.tier] = held.get(workload.tier, 0) + gpus
        return held

    def _take(self, pool: SnapshotPool) -> None:
        """What the gang holds is neither free nor started for the next one."""
        key = pool.id, self.workload.id
        missing = self._missing(pool, 0)
        for groups in self.held:
            groups[key] = groups.get(key, 0) + missing
        self.current[key] = self.current.get(key, 0) + self.gang.groups

    # --- victims ------------------------------------------------------------------------------

    def _cheapest(self, pool: SnapshotPool) -> Iterator[tuple[float, Stops]]:
        """The least USD of stops that make room for the gang in a pool; nothing where none do."""
        size = self.workload.group_gpus[pool.gpu_type]
        needed = self._missing(pool, 0) * size - self._free(pool, 0)
        reached: _Cheapest = {0: (0.0, ())}
        for tier, gpus in sorted(self._by_tier(pool, 0).items()):
            stops = self._stops_of_tier(pool, tier, needed + pool.gpus_per_node)
            freed = stops if tier == self.workload.tier else _in_nodes(stops, gpus, pool)
            reached = _joined(reached, freed, needed)
        if needed in reached:
            start = self.workload.move_s / 3600 * size * pool.usd_per_gpu_hour
            usd, chosen = reached[needed]
            yield round(usd + start * self._missing(pool, 0), 6), chosen

    def _stops_of_tier(self, pool: SnapshotPool, tier: str, most: int) -> _Cheapest:
        """The cheapest stops for each number of GPUs that a tier can let go, up to `most`: with a
        node more than are needed, packing hides no node that comes free."""
        reached: _Cheapest = {0: (0.0, ())}
        for workload_id in sorted({w for p, w in self.held[0] if p == pool.id}):
            victim = self.workloads[workload_id]
            if victim.tier != tier or victim.id == self.workload.id:
                continue
            size, usd = victim.group_gpus[pool.gpu_type], self._stop_usd(pool, victim)
            able = self._above_floor(pool, victim)
            chosen: _Cheapest = {
                n * size: (n * usd, ((victim.id, n),) if n else ()) for n in range(able + 1)
            }
            reached = _joined(reached, chosen, most)
        return reached

    def _above_floor(self, pool: SnapshotPool, victim: SnapshotWorkload) -> int:
        regions = {p.id: p.region for p in self.snapshot.pools}
        total = sum(
            n for (p, w), n in self.held[0].items() if w == victim.id and regions[p] == pool.region
        )
        return max(0, min(self.held[0].get((pool.id, victim.id), 0), total - victim.floor_groups))

    def _stop_usd(self, pool: SnapshotPool, victim: SnapshotWorkload) -> float:
        """Draining a group, and the work it loses."""
        size, age_s = victim.group_gpus[pool.gpu_type], self.ages.get((pool.id, victim.id))
        known = None if age_s is None else age_s / 3600 * size
        lost = known if known is not None else victim.preempt_loss_gpu_hours or 0.0
        return (victim.move_s / 3600 * size + lost) * pool.usd_per_gpu_hour


def _in_nodes(stops: _Cheapest, held: int, pool: SnapshotPool) -> _Cheapest:
    """GPUs of the whole nodes that another tier leaves when it lets so many GPUs go."""
    size, freed = pool.gpus_per_node, _Cheapest()
    for gpus, offer in stops.items():
        nodes = (-(-held // size) - -(-(held - gpus) // size)) * size
        freed[nodes] = min(offer, freed.get(nodes, offer))
    return freed


def _joined(first: _Cheapest, second: _Cheapest, most: int) -> _Cheapest:
    """The cheapest of both together for each sum, counted up to `most`."""
    sums = _Cheapest()
    for a, (usd_a, stops_a) in first.items():
        for b, (usd_b, stops_b) in second.items():
            total, offer = min(most, a + b), (usd_a + usd_b, (*stops_a, *stops_b))
            sums[total] = min(offer, sums.get(total, offer))
    return sums
