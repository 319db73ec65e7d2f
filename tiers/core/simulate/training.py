"""Event simulation of training: gangs that wait for whole nodes, checkpoint, and lose work.

The model. A job is a gang of whole nodes and its seconds of work when all of them run. Jobs wait in
order of arrival; the first starts when enough nodes are free, in the block that it fills best, or
(unless it must stay in one) over the fewest blocks; nobody overtakes. A gang loads, works and
checkpoints as `checkpoints` says, and holds its nodes until it is done, preempted, or a node of
it fails; then it goes back to its place in the queue with the work that its last checkpoint keeps.
An elastic job starts on fewer nodes, not below `min_nodes`, and works in proportion. Failures and
preemptions are given as data (`random_outages` draws them), so a run has no randomness of its own.

Limits. No backfill, no priorities (a preemption is the caller's decision), no growth of an elastic
job while it runs, one checkpoint interval for all, work at the same speed on every node.

Account. Every node-second is useful, lost, loading, checkpointing, idle or down; they add up to
nodes x time. Work at risk when the account is read counts as useful.
"""

import heapq
from bisect import insort
from collections.abc import Iterable, Sequence

import numpy as np

from tiers.core.simulate.checkpoints import Progress, progress_after, seconds_to_finish
from tiers.core.simulate.errors import NoSuchGang, NotAscending
from tiers.core.simulate.gangs import (
    Attempt,
    Ending,
    Gang,
    Job,
    NodeSeconds,
    Outage,
    TrainingCosts,
)


class TrainingFleet:
    """Nodes and gangs in simulation; what the verbs do happens at `now_s`."""

    def __init__(self, blocks: Sequence[int], costs: TrainingCosts, *, now_s: float = 0.0) -> None:
        """`blocks` are nodes per block; nodes are numbered block by block."""
        self.costs = costs
        self.now_s = now_s
        self.gangs: dict[int, Gang] = {}
        self.waiting: list[Job] = []
        self._block = np.repeat(np.arange(len(blocks)), blocks).tolist()
        self._free = [set[int]() for _ in blocks]
        for node, block in enumerate(self._block):
            self._free[block].add(node)
        self._down: set[int] = set()
        self._held: dict[int, int] = {}
        self._ends: list[tuple[float, int, int]] = []
        self._spent = NodeSeconds()

    @property
    def running_nodes(self) -> int:
        return len(self._held)

    @property
    def waiting_nodes(self) -> int:
        return sum(job.nodes for job in self.waiting)

    def advance(self, until_s: float) -> None:
        """Run to `until_s`.

        Raises:
            NotAscending: `until_s` is before now.
        """
        if until_s < self.now_s:
            raise NotAscending(self.now_s, until_s)
        while self._ends and self._ends[0][0] <= until_s:
            at, job_id, attempt = heapq.heappop(self._ends)
            gang = self.gangs[job_id]
            if gang.nodes and len(gang.attempts) == attempt:
                self._pass(at)
                gang.finished_s = at
                self._stop(gang, "finished")
                self._start_waiting()
        self._pass(until_s)

    def submit(self, job: Job) -> None:
        """Queue a job by its arrival, which may lie in the past."""
        self.gangs[job.id] = Gang(job)
        insort(self.waiting, job)
        self._start_waiting()

    def preempt(self, job_id: int) -> None:
        """Take a running gang's nodes away; it queues again by its arrival.

        Raises:
            NoSuchGang: the job does not run.
        """
        gang = self.gangs.get(job_id)
        if gang is None or not gang.nodes:
            raise NoSuchGang(job_id)
        self._stop(gang, "preempted")
        self._start_waiting()

    def lose_node(self, node: int) -> None:
        """A node goes down; the gang on it is stopped whole."""
        holder = self._held.get(node)
        if holder is not None:
            self._stop(self.gangs[holder], "failed")
        self._free[self._block[node]].discard(node)
        self._down.add(node)
        self._start_waiting()

    def restore_node(self, node: int) -> None:
        """A node that was down is free again."""
        if node in self._down:
            self._down.remove(node)
            self._free[self._block[node]].add(node)
            self._start_waiting()

    def progress(self, gang: Gang) -> Progress:
        """A running gang's attempt so far, in seconds of its nodes' time."""
        loaded = gang.started_s + self.costs.load_s
        every, pause = self.costs.checkpoint_every_s, self.costs.checkpoint_s
        return progress_after(max(0.0, self.now_s - loaded), every_s=every, pause_s=pause)

    def node_seconds(self) -> NodeSeconds:
        """The account up to now."""
        spent = NodeSeconds(**vars(self._spent))
        for gang in self.gangs.values():
            if gang.nodes:
                self._book(spent, gang, lost=False)
        return spent

    def _pass(self, to_s: float) -> None:
        elapsed = to_s - self.now_s
        self._spent.idle += elapsed * sum(map(len, self._free))
        self._spent.down += elapsed * len(self._down)
        self.now_s = to_s

    def _start_waiting(self) -> None:
        while self.waiting:
            job = self.waiting[0]
            nodes = self._choose(job.nodes)
            least = job.min_nodes or job.nodes
            for fewer in range(job.nodes - 1, least - 1, -1):
                nodes = nodes or self._choose(fewer)
            if not nodes:
                return
            self._start(self.gangs[self.waiting.pop(0).id], nodes)

    def _choose(self, count: int) -> tuple[int, ...]:
        """Nodes for a gang, lowest numbers first; empty when it does not fit."""
        fitting = [free for free in self._free if len(free) >= count]
        if fitting:
            return tuple(sorted(sorted(fitting, key=len)[0])[:count])
        if self.costs.one_block or sum(map(len, self._free)) < count:
            return ()
        largest = sorted(self._free, key=len, reverse=True)
        return tuple([node for free in largest for node in sorted(free)][:count])

    def _start(self, gang: Gang, nodes: tuple[int, ...]) -> None:
        gang.nodes, gang.started_s = nodes, self.now_s
        for node in nodes:
            self._free[self._block[node]].remove(node)
            self._held[node] = gang.job.id
        run_s = seconds_to_finish(
            (gang.job.work_s - gang.kept_s) / gang.speed,
            every_s=self.costs.checkpoint_every_s, pause_s=self.costs.checkpoint_s,
        )  # fmt: skip
        end = self.now_s + self.costs.load_s + run_s
        heapq.heappush(self._ends, (end, gang.job.id, len(gang.attempts)))

    def _stop(self, gang: Gang, ending: Ending) -> None:
        kept, lost = self._book(self._spent, gang, lost=ending != "finished")
        gang.kept_s += kept
        gang.attempts.append(
            Attempt(gang.started_s, self.now_s, gang.nodes, kept, lost, ending)
        )  # fmt: skip
        for node in gang.nodes:
            del self._held[node]
            self._free[self._block[node]].add(node)
        gang.nodes = ()
        if ending != "finished":
            insort(self.waiting, gang.job)

    def _book(self, spent: NodeSeconds, gang: Gang, *, lost: bool) -> tuple[float, float]:
        """Add a gang's attempt to an account; returns the work it keeps and loses, at full size."""
        done, nodes = self.progress(gang), len(gang.nodes)
        gone_s = done.at_risk_s if lost else 0.0
        kept_s = done.worked_s - gone_s
        spent.loading += nodes * min(self.costs.load_s, self.now_s - gang.started_s)
        spent.checkpointing += nodes * done.paused_s
        spent.useful += nodes * kept_s
        spent.lost += nodes * gone_s
        return kept_s * gang.speed, gone_s * gang.speed


def simulate_training(
    blocks: Sequence[int],
    costs: TrainingCosts,
    jobs: Iterable[Job],
    *,
    until_s: float,
    outages: Iterable[Outage] = (),
    preemptions: Iterable[tuple[float, int]] = (),
) -> TrainingFleet:
    """Run jobs, outages and preemptions (time, job id) from time 0; gives the fleet at `until_s`.

    At one moment gangs that are done end, nodes return, nodes fail, gangs are preempted, jobs
    arrive, in this order. A preemption of a job that does not run then changes nothing.
    """
    fleet = TrainingFleet(blocks, costs)
    events: list[tuple[float, int, int, Job | int]] = []
    for outage in outages:
        events.append((outage.until_s, 0, outage.node, outage.node))
        events.append((outage.from_s, 1, outage.node, outage.node))
    events += [(at, 2, job_id, job_id) for at, job_id in preemptions]
    events += [(job.arrival_s, 3, job.id, job) for job in jobs]
    for at, kind, _, what in sorted(events, key=lambda event: event[:3]):
        if at > until_s:
            break
        fleet.advance(at)
        if isinstance(what, Job):
            fleet.submit(what)
        elif kind == 0:
            fleet.restore_node(what)
        elif kind == 1:
            fleet.lose_node(what)
        elif what in fleet.gangs and fleet.gangs[what].nodes:
            fleet.preempt(what)
    fleet.advance(until_s)
    return fleet


def random_outages(
    rng: np.random.Generator, nodes: int, *, mtbf_s: float, repair_s: float, until_s: float
) -> list[Outage]:
    """Failures of every node at random, on average `mtbf_s` of its time up, `repair_s` each."""
    found = []
    for node in range(nodes):
        at = rng.exponential(mtbf_s)
        while at < until_s:
            found.append(Outage(node, float(at), float(at) + repair_s))
            at += repair_s + rng.exponential(mtbf_s)
    return found
