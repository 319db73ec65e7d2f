"""What happened to the Workloads of one cluster: counters that no object holds.

A Workload's conditions are compared before and after each of its writes. Counting begins when the
cluster is first scraped; what leaves the store's bounded log between two scrapes is not counted.
"""

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from tiers.twin.exporters.ksm.values import condition, seconds, spec, status
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import LOCAL_QUEUES, WORKLOADS, Obj
from tiers.twin.kube.store import Change, ClusterStore

# 1 s, then 2.5 s doubled twelve times.
WAIT_EDGES_S: tuple[float, ...] = (1.0, *(2.5 * 2**n for n in range(13)))
_PREEMPTOR = re.compile(r"preemptor path: (\S+?)[;,.]?(?:\s|$)")


def holds(obj: Obj | None, kind: str) -> bool:
    """Whether a condition is True."""
    found = condition(obj, kind) if obj else None
    return found is not None and found["status"] == "True"


@dataclass
class Wait:
    """Waiting times of one queue: counts per bucket, not cumulative, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(WAIT_EDGES_S) + 1))
    sum_s: float = 0.0

    def add(self, waited_s: float) -> None:
        self.counts[bisect_left(WAIT_EDGES_S, waited_s)] += 1
        self.sum_s += waited_s


class KueueEvents:
    """Counters by the values of their labels; `follow` brings them up to now."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store
        self._revision = store.revision
        self.reserved: Counter[tuple[str, ...]] = Counter()
        self.admitted: Counter[tuple[str, ...]] = Counter()
        self.evicted: Counter[tuple[str, ...]] = Counter()
        self.preempted: Counter[tuple[str, ...]] = Counter()
        self.waits: dict[str, Wait] = {}

    def follow(self) -> None:
        try:
            changes = self._store.changes_since(WORKLOADS, self._revision)
        except ApiError:
            changes = []
        self._revision = self._store.revision
        for change in changes:
            if change.type != "DELETED":
                self._count(change)

    def _count(self, change: Change) -> None:
        before, after = change.before, change.after or {}
        queue = queue_of(self._store, after) or queue_of(self._store, before or {})
        came = [k for k in _KINDS if holds(after, k) and not holds(before, k)]
        if "QuotaReserved" in came:
            self.reserved[queue,] += 1
        if "Admitted" in came:
            self.admitted[queue,] += 1
            self.waits.setdefault(queue, Wait()).add(_waited_s(after))
        if "Evicted" in came:
            self.evicted[queue, _reason(after, "Evicted")] += 1
        if "Preempted" in came:
            self.preempted[_preemptor(after) or queue, _reason(after, "Preempted")] += 1


_KINDS = ("QuotaReserved", "Admitted", "Evicted", "Preempted")


def queue_of(store: ClusterStore, workload: Obj) -> str:
    """The ClusterQueue that a Workload was admitted by, or waits in; empty when there is none."""
    admission = status(workload).get("admission") or {}
    if "clusterQueue" in admission:
        return str(admission["clusterQueue"])
    namespace = (workload.get("metadata") or {}).get("namespace", "")
    local = store.find(LOCAL_QUEUES, namespace, spec(workload).get("queueName", ""))
    return str(spec(local).get("clusterQueue", "")) if local else ""


def _reason(workload: Obj, kind: str) -> str:
    return str((condition(workload, kind) or {}).get("reason", ""))


def _preemptor(workload: Obj) -> str:
    """The preempting queue, which the condition's message ends a path with."""
    found = _PREEMPTOR.search((condition(workload, "Preempted") or {}).get("message", ""))
    return found[1].rsplit("/", 1)[-1] if found else ""


def _waited_s(workload: Obj) -> float:
    """From creation, or from the last requeuing, to admission."""
    began = workload["metadata"]["creationTimestamp"]
    requeued = condition(workload, "Requeued") or {}
    if requeued.get("status") == "True":
        began = requeued.get("lastTransitionTime", began)
    admitted = condition(workload, "Admitted") or {}
    return max(0.0, seconds(admitted.get("lastTransitionTime", began)) - seconds(began))
