"""Kueue: Jobs with a queue name wait suspended until quota is theirs.

`jobs` ties each Job to a Workload, `quota` does the sums of a cohort, `assignment` picks flavors,
`preemption` picks who must give way, `admission` runs the queues, `status` reports on them.
"""

from datetime import datetime

from tiers.twin.controllers.kueue import admission, jobs, status
from tiers.twin.kube.resources import CLUSTER_QUEUES, LOCAL_QUEUES, WORKLOADS
from tiers.twin.kube.store import ClusterStore


def tick(store: ClusterStore, now: datetime) -> None:
    """One round; a cluster without queues has no Kueue."""
    if not any(store.all(kind) for kind in (CLUSTER_QUEUES, LOCAL_QUEUES, WORKLOADS)):
        return
    jobs.tick(store, now)
    admission.tick(store, now)
    jobs.tick(store, now)
    status.tick(store, now)
