"""How the twin's operators ran replicas in the past: after demand, within the GPUs they had.

Every model wants the groups that serve its demand of ten minutes ago with a tenth to spare; it lets
groups go only when none was needed for 40 minutes. Where a region's inference GPUs do not suffice,
the model best off gives way, never below its floor. History and the first start follow it.
"""

import numpy as np
import numpy.typing as npt

from tiers.twin.demand import Demand
from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.noise import Floats
from tiers.twin.profile import (
    GPUS_PER_NODE,
    INFERENCE,
    InferenceWorkload,
    nodes_of,
)

LAG_S = 600.0
HEADROOM = 1.1
KEEP_S = 2400.0
LOOK_EVERY_S = 300.0

Groups = dict[str, npt.NDArray[np.int64]]


def inference_gpus(cluster: str, size: int = 1) -> int:
    """H100 GPUs of the nodes whose first tier is inference."""
    return GPUS_PER_NODE * sum(node.tier == "inference" for node in nodes_of(cluster, size))


def past_groups(demand: Demand, cluster: str, t_s: Floats, size: int = 1) -> Groups:
    """Groups per model at Unix times `(n,)`; models that do not run in the cluster are left out."""
    workloads = [w for w in INFERENCE if cluster in w.regions]
    wanted = {w.id: _wanted(demand, cluster, w, t_s) for w in workloads}
    return _fit(workloads, wanted, inference_gpus(cluster, size))


def _wanted(
    demand: Demand, cluster: str, workload: InferenceWorkload, t_s: Floats
) -> npt.NDArray[np.int64]:
    looks = np.arange(LAG_S, LAG_S + KEEP_S + 1.0, LOOK_EVERY_S)
    per_group = UNITS_PER_GROUP[workload.id]
    need = np.stack([
        np.ceil(demand.rate_rps(cluster, workload.id, t_s - look) * HEADROOM / per_group)
        for look in looks
    ])  # fmt: skip
    wanted = np.maximum(workload.floor_groups, need.max(axis=0))
    return np.asarray(wanted, dtype=np.int64)


def _fit(workloads: list[InferenceWorkload], wanted: Groups, gpus: int) -> Groups:
    """Take groups away where the region is short, from the model that keeps most of its wish."""
    want = np.stack([wanted[w.id] for w in workloads])
    size = np.array([w.gpus_per_group for w in workloads])[:, None]
    floor = np.array([w.floor_groups for w in workloads])[:, None]
    groups = want.copy()
    while True:
        short = np.flatnonzero((groups * size).sum(axis=0) > gpus)
        share = np.where(groups[:, short] > floor, (groups[:, short] - 1) / want[:, short], -1.0)
        givers = share.argmax(axis=0)
        gives = share.max(axis=0) >= 0.0 if len(short) else np.zeros(0, dtype=bool)
        if not gives.any():
            return {w.id: groups[i] for i, w in enumerate(workloads)}
        groups[givers[gives], short[gives]] -= 1
