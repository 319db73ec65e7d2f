"""The training queue of the past: the same jobs as the live twin's, through the event simulation.

Gangs first come, first served, on the nodes of the tier; they load before they work, and nothing
fails or is preempted. Jobs come in steps, because users look at the queue before they submit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tiers.core.simulate.gangs import Job, TrainingCosts
from tiers.core.simulate.training import TrainingFleet
from tiers.twin.demand import job_arrivals
from tiers.twin.noise import Floats
from tiers.twin.profile import TRAINING, nodes_of

STEP_S = 900.0
# The queue fills from empty for this long before it is looked at.
WARM_UP_S = 3 * 86_400.0


@dataclass(frozen=True)
class PastTraining:
    """Nodes at work and nodes waited for, at the asked times `(n,)`."""

    running_nodes: Floats
    pending_nodes: Floats


def past_training(seed: int, cluster: str, t_s: Floats, size: int = 1) -> PastTraining:
    """The queue at ascending Unix times `(n,)`."""
    steps = _queue(seed, cluster, float(t_s[0]), float(t_s[-1]), size)
    looks = np.array(list(steps), dtype=np.float64)
    at = np.searchsorted(looks[:, 0], t_s, side="right") - 1
    return PastTraining(looks[at, 1], looks[at, 2])


def _queue(
    seed: int, cluster: str, from_s: float, until_s: float, size: int
) -> Iterator[tuple[float, int, int]]:
    """Time, nodes at work and nodes waited for, step by step from before `from_s`."""
    nodes = sum(node.tier == "training" for node in nodes_of(cluster, size))
    steps = np.arange((from_s - WARM_UP_S) // STEP_S * STEP_S, until_s + 1.0, STEP_S).tolist()
    costs = TrainingCosts(TRAINING.load_s, TRAINING.checkpoint_every_s)
    fleet = TrainingFleet([nodes], costs, now_s=steps[0] - STEP_S)
    for now in steps:
        fleet.advance(now)
        for job in job_arrivals(seed, cluster, now - STEP_S, now, fleet.waiting_nodes, size):
            fleet.submit(Job(job.submitted_at_s, len(fleet.gangs), job.nodes, job.work_s))
        yield now, fleet.running_nodes, fleet.waiting_nodes
