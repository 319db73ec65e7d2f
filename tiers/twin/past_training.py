"""The training queue of the past: gangs first come, first served, on the nodes of the tier.

Plain and deterministic, so that weeks of it take a second: a gang starts when enough nodes are free
and every gang before it has started; nothing fails.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from tiers.twin.demand import job_arrivals
from tiers.twin.noise import Floats
from tiers.twin.profile import nodes_of

STEP_S = 900.0
# The queue fills from empty for this long before it is looked at.
WARM_UP_S = 3 * 86_400.0


@dataclass(frozen=True)
class PastTraining:
    """Nodes at work and nodes waited for, at the asked times `(n,)`."""

    running_nodes: Floats
    pending_nodes: Floats


def past_training(seed: int, cluster: str, t_s: Floats) -> PastTraining:
    """The queue at ascending Unix times `(n,)`."""
    nodes = sum(node.tier == "training" for node in nodes_of(cluster))
    steps = np.arange((t_s[0] - WARM_UP_S) // STEP_S * STEP_S, t_s[-1] + STEP_S, STEP_S)
    queue: deque[tuple[int, float]] = deque()
    ends: list[tuple[float, int]] = []
    running, pending = np.zeros(len(steps)), np.zeros(len(steps))
    for i, now in enumerate(steps):
        ends = [(end, size) for end, size in ends if end > now]
        waiting = sum(size for size, _ in queue)
        arrivals = job_arrivals(seed, cluster, now - STEP_S, now, waiting)
        queue.extend((job.nodes, job.work_s) for job in arrivals)
        while queue and queue[0][0] <= nodes - sum(size for _, size in ends):
            size, work_s = queue.popleft()
            ends.append((now + work_s, size))
        running[i] = sum(size for _, size in ends)
        pending[i] = sum(size for size, _ in queue)
    at = np.searchsorted(steps, t_s, side="right") - 1
    return PastTraining(running[at], pending[at])
