"""Kueue's metrics of one cluster, from its ClusterQueues and Workloads (`kueue.x-k8s.io/v1beta2`).

Gauges are read from the objects at each scrape. Counters and waiting times come from `KueueEvents`,
which follows the store. As if started with `metrics.enableClusterQueueResources`. Names, labels and
buckets: kueue's `pkg/metrics/metrics.go`.
"""

from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

from tiers.twin.exporters.ksm.values import condition, quantity, spec, status
from tiers.twin.exporters.kueue_events import WAIT_EDGES_S, KueueEvents, holds, queue_of
from tiers.twin.exporters.text import Described, Row, document, family, labels
from tiers.twin.kube.resources import CLUSTER_QUEUES, WORKLOADS, Obj
from tiers.twin.kube.store import ClusterStore

CQ = ("cluster_queue",)
CQ_RESOURCE = ("cohort", "cluster_queue", "flavor", "resource")
_SPEC, _STATUS = "API: ClusterQueue spec", "API: ClusterQueue status"
_WORKLOADS, _EVENTS = "API: Workload conditions", "API: Workload conditions as they change"


PENDING = Described(
    "kueue_pending_workloads", "gauge", "Workloads that wait, by status.",
    (*CQ, "status"), f"{_WORKLOADS}; inadmissible once an admission attempt failed",
)  # fmt: skip
RESERVING = Described(
    "kueue_reserving_active_workloads", "gauge", "Workloads that hold quota.", CQ, _WORKLOADS
)
ADMITTED = Described(
    "kueue_admitted_active_workloads", "gauge", "Admitted Workloads.", CQ, _WORKLOADS
)
QUEUE_STATUS = Described(
    "kueue_cluster_queue_status", "gauge", "The state a ClusterQueue is in.",
    (*CQ, "status"), _STATUS,
)  # fmt: skip
RESERVATION = Described(
    "kueue_cluster_queue_resource_reservation", "gauge", "Quota reserved, by flavor.",
    CQ_RESOURCE, _STATUS,
)  # fmt: skip
USAGE = Described(
    "kueue_cluster_queue_resource_usage", "gauge", "Quota used, by flavor.", CQ_RESOURCE, _STATUS
)
NOMINAL = Described(
    "kueue_cluster_queue_nominal_quota", "gauge", "Nominal quota, by flavor.", CQ_RESOURCE, _SPEC
)
BORROWING = Described(
    "kueue_cluster_queue_borrowing_limit", "gauge", "Borrowing limit, by flavor.",
    CQ_RESOURCE, f"{_SPEC}; 0 without a limit",
)  # fmt: skip
LENDING = Described(
    "kueue_cluster_queue_lending_limit", "gauge", "Lending limit, by flavor.",
    CQ_RESOURCE, f"{_SPEC}; 0 without a limit",
)  # fmt: skip
RESERVED_TOTAL = Described(
    "kueue_quota_reserved_workloads_total", "counter", "Quota reservations.", CQ, _EVENTS
)
ADMITTED_TOTAL = Described("kueue_admitted_workloads_total", "counter", "Admissions.", CQ, _EVENTS)
EVICTED_TOTAL = Described(
    "kueue_evicted_workloads_total", "counter", "Evictions, by reason.", (*CQ, "reason"), _EVENTS
)
PREEMPTED_TOTAL = Described(
    "kueue_preempted_workloads_total", "counter", "Preemptions, by reason.",
    ("preempting_cluster_queue", "reason"), f"{_EVENTS}; the preemptor as the message names it",
)  # fmt: skip
WAIT = Described(
    "kueue_admission_wait_time_seconds", "histogram",
    "Time from creation or requeuing to admission in seconds.", (*CQ, "le"), _EVENTS,
)  # fmt: skip
FAMILIES = (
    PENDING, RESERVING, ADMITTED, QUEUE_STATUS, RESERVATION, USAGE, NOMINAL, BORROWING, LENDING,
    RESERVED_TOTAL, ADMITTED_TOTAL, EVICTED_TOTAL, PREEMPTED_TOTAL, WAIT,
)  # fmt: skip

_events: WeakKeyDictionary[ClusterStore, KueueEvents] = WeakKeyDictionary()


def render_kueue(store: ClusterStore) -> str:
    """Every family that has a series; nothing in a cluster without ClusterQueues."""
    queues = store.all(CLUSTER_QUEUES)
    if not queues:
        return ""
    if store not in _events:
        _events[store] = KueueEvents(store)
    return document([*_counts(store, queues), *_quotas(queues), *_totals(_events[store])])


def _family(described: Described, rows: Iterable[Row]) -> list[str]:
    return family(described.name, described.kind, described.text, rows)


def _counts(store: ClusterStore, queues: list[Obj]) -> Iterator[list[str]]:
    counts = {q["metadata"]["name"]: [0, 0, 0, 0] for q in queues}
    for workload in store.all(WORKLOADS):
        row = counts.get(queue_of(store, workload))
        if row is None or holds(workload, "Finished"):
            continue
        if holds(workload, "QuotaReserved"):
            row[2] += 1
            row[3] += holds(workload, "Admitted")
        elif spec(workload).get("active", True):
            row[_was_refused(workload)] += 1
    named = [(labels({"cluster_queue": name}), row) for name, row in counts.items()]
    yield _family(
        PENDING,
        [
            (f'{pairs},status="{word}"', row[place])
            for pairs, row in named
            for place, word in enumerate(("active", "inadmissible"))
        ],
    )
    yield _family(RESERVING, [(pairs, row[2]) for pairs, row in named])
    yield _family(ADMITTED, [(pairs, row[3]) for pairs, row in named])


def _was_refused(workload: Obj) -> bool:
    """Whether an admission attempt has failed and nothing has changed since."""
    found = condition(workload, "QuotaReserved")
    return found is not None and found["status"] == "False" and found.get("reason") == "Pending"


def _quotas(queues: list[Obj]) -> Iterator[list[str]]:
    yield _family(QUEUE_STATUS, [row for queue in queues for row in _states(queue)])
    for described, key in ((RESERVATION, "flavorsReservation"), (USAGE, "flavorsUsage")):
        rows = [
            row
            for queue in queues
            for row in _flavors(queue, status(queue).get(key) or (), "total")
        ]
        yield _family(described, rows)
    for described, key in (
        (NOMINAL, "nominalQuota"),
        (BORROWING, "borrowingLimit"),
        (LENDING, "lendingLimit"),
    ):
        rows = [
            row
            for queue in queues
            for group in spec(queue).get("resourceGroups") or ()
            for row in _flavors(queue, group.get("flavors") or (), key)
        ]
        yield _family(described, rows)


def _states(queue: Obj) -> Iterator[Row]:
    active = (condition(queue, "Active") or {}).get("status") == "True"
    state = "terminating" if queue["metadata"].get("deletionTimestamp") else "pending"
    state = "active" if active and state != "terminating" else state
    for one in ("pending", "active", "terminating"):
        yield labels({"cluster_queue": queue["metadata"]["name"], "status": one}), one == state


def _flavors(queue: Obj, flavors: Iterable[Obj], key: str) -> Iterator[Row]:
    for flavor in flavors:
        for resource in flavor.get("resources") or ():
            pairs = {
                "cohort": spec(queue).get("cohortName", ""),
                "cluster_queue": queue["metadata"]["name"],
                "flavor": flavor["name"],
                "resource": resource["name"],
            }
            yield labels(pairs), quantity(str(resource.get(key) or 0))


def _totals(events: KueueEvents) -> Iterator[list[str]]:
    events.follow()
    for described, counts in (
        (RESERVED_TOTAL, events.reserved),
        (ADMITTED_TOTAL, events.admitted),
        (EVICTED_TOTAL, events.evicted),
        (PREEMPTED_TOTAL, events.preempted),
    ):
        pairs = [(labels(dict(zip(described.labels, key, strict=True))), n)
                 for key, n in sorted(counts.items())]  # fmt: skip
        yield _family(described, pairs)
    yield list(_waits(events))


def _waits(events: KueueEvents) -> Iterator[str]:
    if not events.waits:
        return
    yield f"# HELP {WAIT.name} {WAIT.text}"
    yield f"# TYPE {WAIT.name} histogram"
    for queue, wait in sorted(events.waits.items()):
        pairs = labels({"cluster_queue": queue})
        total = 0
        for bound, count in zip((*map(repr, WAIT_EDGES_S), "+Inf"), wait.counts, strict=True):
            total += count
            yield f'{WAIT.name}_bucket{{{pairs},le="{bound}"}} {total}'
        yield f"{WAIT.name}_sum{{{pairs}}} {wait.sum_s!r}"
        yield f"{WAIT.name}_count{{{pairs}}} {total}"
