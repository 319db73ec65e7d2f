"""The training queue of the past: gangs first come, first served, on the nodes of the tier.

Plain and deterministic, so that weeks of it take a second: a gang starts when enough nodes are free
and every gang before it has started; nothing fails.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tiers.twin.demand import job_arrivals
from tiers.twin.noise import Floats
from tiers.twin.profile import nodes_of

STEP_S = 900.0
# The queue fills from empty for this long before it is looked at.
WARM_UP_S = 3 * 86_400.0


@dataclass(frozen=True)
class Gang:
    """A job in the queue (`started_s` None) or at work since a Unix time."""

    nodes: int
    work_s: float
    started_s: float | None = None

    def done_s(self, now_s: float) -> float:
        """Seconds of its work behind it."""
        return 0.0 if self.started_s is None else now_s - self.started_s


@dataclass(frozen=True)
class PastTraining:
    """Nodes at work and nodes waited for, at the asked times `(n,)`."""

    running_nodes: Floats
    pending_nodes: Floats


def past_training(seed: int, cluster: str, t_s: Floats, size: int = 1) -> PastTraining:
    """The queue at ascending Unix times `(n,)`."""
    looks = [
        (now, sum(gang.nodes for gang in running), sum(gang.nodes for gang in waiting))
        for now, running, waiting in _queue(seed, cluster, float(t_s[0]), float(t_s[-1]), size)
    ]
    steps, running, pending = (
        np.array(column, dtype=np.float64) for column in zip(*looks, strict=True)
    )
    at = np.searchsorted(steps, t_s, side="right") - 1
    return PastTraining(running[at], pending[at])


def _queue(
    seed: int, cluster: str, from_s: float, until_s: float, size: int
) -> Iterator[tuple[float, list[Gang], list[Gang]]]:
    """Time, gangs at work and gangs that wait, step by step from before `from_s` to `until_s`."""
    nodes = sum(node.tier == "training" for node in nodes_of(cluster, size))
    waiting: deque[Gang] = deque()
    running: list[Gang] = []
    for now in np.arange((from_s - WARM_UP_S) // STEP_S * STEP_S, until_s + 1.0, STEP_S).tolist():
        running = [gang for gang in running if gang.done_s(now) < gang.work_s]
        queued = sum(gang.nodes for gang in waiting)
        arrivals = job_arrivals(seed, cluster, now - STEP_S, now, queued, size)
        waiting.extend(Gang(job.nodes, job.work_s) for job in arrivals)
        while waiting and waiting[0].nodes <= nodes - sum(gang.nodes for gang in running):
            first = waiting.popleft()
            running.append(Gang(first.nodes, first.work_s, started_s=now))
        yield now, running, list(waiting)
