"""The training operator: jobs are gangs, gangs run whole, and a lost pod costs work.

A job's progress lies on its Job object: seconds of work done at the last checkpoint, and since
when the gang has run beyond it. Work goes on only while every pod is ready; when one is gone the
rest are deleted, the work since the checkpoint is lost, and the gang queues again. A checkpoint can
be asked for by an annotation on the Job or a pod; a suspended Job has no pods. Jobs that a queue
holds (Kueue) are gangs as well, and run until they are deleted unless they say how long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.config import (
    CHECKPOINT_REQUESTED_KEY,
    DONE_KEY,
    GANG_SIZE_KEY,
    QUEUE_KEY,
    SINCE_KEY,
    WORK_KEY,
    ControllerConfig,
)
from tiers.twin.controllers.gang_spec import gang_spec
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import JOBS, LOCAL_QUEUES, PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339
from tiers.twin.profile import (
    JOB_NAME_KEY,
    LAST_CHECKPOINT_KEY,
)

NAMESPACE = "training"
QUEUE = "training"  # the LocalQueue that new jobs name, where there is one
USEFUL, LOST = "training-useful-gpu-s", "training-lost-gpu-s"
COMPLETED, RESTARTS, SUBMITTED = "training-completed", "training-restarts", "training-submitted"
SEEN = "training-seen-s"
# A longer step than this is a time in which the twin did not run.
LONGEST_STEP_S = 60


class Arrival(Protocol):
    """A job that a user submits: a gang of whole nodes, and its seconds of work."""

    @property
    def nodes(self) -> int: ...
    @property
    def work_s(self) -> float: ...


Arrivals = Callable[[int], Sequence[Arrival]]
"""New jobs since the last call, given the nodes' worth of gangs that already wait."""


@dataclass(frozen=True)
class TrainingTotals:
    """GPU-seconds of work kept and lost so far, and jobs finished, restarted, submitted."""

    useful_gpu_s: int
    lost_gpu_s: int
    completed: int
    restarts: int
    submitted: int


def totals(store: ClusterStore) -> TrainingTotals:
    names = (USEFUL, LOST, COMPLETED, RESTARTS, SUBMITTED)
    return TrainingTotals(*(store.counters.get(name, 0) for name in names))


def _count(store: ClusterStore, name: str, amount: float) -> None:
    store.counters[name] = store.counters.get(name, 0) + round(amount)


def tick(
    store: ClusterStore, now: datetime, config: ControllerConfig, arrivals: Arrivals | None
) -> None:
    """Take in new jobs and move every gang on."""
    missed = _missed(store, now)
    jobs = store.all(JOBS, NAMESPACE)
    waiting = sum(_size(j) for j in jobs if not _is_finished(j) and not _is_bound(store, j))
    for arrival in arrivals(waiting) if arrivals else ():
        submit(store, arrival, now)
    for job in filter(_is_gang, store.all(JOBS)):
        if _is_finished(job):
            _expire(store, job, now, config)
        else:
            _advance(store, _skip(job, missed), now, config)


def _missed(store: ClusterStore, now: datetime) -> timedelta:
    """Time that nobody lived through: the twin was off or the region dark. It is no work."""
    now_s = int(now.timestamp())
    gap_s = now_s - store.counters.get(SEEN, now_s)
    store.counters[SEEN] = now_s
    return timedelta(seconds=gap_s if gap_s > LONGEST_STEP_S else 0)


def _skip(job: Obj, missed: timedelta) -> Obj:
    notes = job["metadata"].get("annotations") or {}
    if not missed or SINCE_KEY not in notes:
        return job
    since = {SINCE_KEY: (parse_time(notes[SINCE_KEY]) + missed).isoformat()}
    return {**job, "metadata": {**job["metadata"], "annotations": notes | since}}


def _is_gang(job: Obj) -> bool:
    metadata = job["metadata"]
    queued = QUEUE_KEY in (metadata.get("labels") or {})
    return queued or WORK_KEY in (metadata.get("annotations") or {})


def submit(store: ClusterStore, arrival: Arrival, now: datetime, *, done_s: float = 0.0) -> Obj:
    """Create the Job of one gang; `done_s` is work already behind it."""
    number = store.counters[SUBMITTED] = store.counters.get(SUBMITTED, 0) + 1
    name = f"train-{number:03d}"
    annotations = {WORK_KEY: f"{arrival.work_s:.1f}", DONE_KEY: f"{done_s:.1f}"}
    labels = {"app": "training"}
    if store.find(LOCAL_QUEUES, NAMESPACE, QUEUE):
        labels[QUEUE_KEY] = QUEUE
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations, "labels": labels}
    return store.create(JOBS, {"metadata": metadata, "spec": gang_spec(name, arrival.nodes),
                               "status": {}}, now)  # fmt: skip


def _size(job: Obj) -> int:
    return int(job["spec"].get("parallelism", 1))


def _gpus(job: Obj) -> int:
    return _size(job) * pods.requested_gpus(job["spec"]["template"])


def _is_finished(job: Obj) -> bool:
    found = pods.condition(job, "Complete")
    return found is not None and found["status"] == "True"


def _is_bound(store: ClusterStore, job: Obj) -> bool:
    return any(p["spec"].get("nodeName") for p in store.owned_by(job["metadata"]["uid"]))


def _advance(store: ClusterStore, job: Obj, now: datetime, config: ControllerConfig) -> None:
    gang = store.owned_by(job["metadata"]["uid"])
    staying = [p for p in gang if not pods.is_leaving(p) and not pods.is_over(p)]
    ready = sum(1 for pod in staying if pods.is_ready(pod))
    notes = dict(job["metadata"].get("annotations") or {})
    suspended = bool(job["spec"].get("suspend"))
    whole = not suspended and len(staying) == len(gang) == _size(job)
    if SINCE_KEY in notes and not (whole and ready == _size(job)):
        notes = _lose(store, job, notes, now)
        whole = False
    if not gang:
        if not suspended:
            _start(store, job, notes, now)
    elif not whole:
        for pod in gang:
            pods.remove(store, pod, now, grace_s=0 if pods.is_over(pod) else None)
    elif ready == _size(job):
        notes = _work(store, job, gang, notes, now, config)
    status = {k: v for k, v in (("active", len(staying)), ("ready", ready)) if v}
    _save(store, job, notes, _suspension(job, now) | status)


def _suspension(job: Obj, now: datetime) -> Obj:
    """The Suspended condition, on Jobs that ever were."""
    suspended = bool(job["spec"].get("suspend"))
    if not suspended and pods.condition(job, "Suspended") is None:
        return {}
    word = "Suspended" if suspended else "Resumed"
    status = pods.with_condition(
        job["status"], "Suspended", str(suspended), now,
        reason=f"Job{word}", message=f"Job {word.lower()}",
    )  # fmt: skip
    return {"conditions": status["conditions"]}


def _save(store: ClusterStore, job: Obj, notes: dict[str, str], counts: Obj) -> None:
    held = store.find(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
    if held is None or _is_finished(held):
        return
    rest = {k: v for k, v in held["status"].items() if k not in ("active", "ready")}
    metadata = held["metadata"] | ({"annotations": notes} if notes else {})
    store.put(JOBS, {**held, "metadata": metadata, "status": rest | counts})


def _lose(store: ClusterStore, job: Obj, notes: dict[str, str], now: datetime) -> dict[str, str]:
    elapsed_s = (now - parse_time(notes.pop(SINCE_KEY))).total_seconds()
    _count(store, LOST, elapsed_s * _gpus(job))
    _count(store, RESTARTS, 1)
    return notes


def _start(store: ClusterStore, job: Obj, notes: dict[str, str], now: datetime) -> None:
    for rank in range(_size(job)):
        name = f"{job['metadata']['name']}-{rank}"
        pod = pods.from_template(job, name, api_version="batch/v1", kind="Job")
        pod["metadata"]["labels"] |= {
            JOB_NAME_KEY: job["metadata"]["name"],
            "batch.kubernetes.io/job-completion-index": str(rank),
        }
        pod["metadata"]["annotations"].setdefault(GANG_SIZE_KEY, str(_size(job)))
        if LAST_CHECKPOINT_KEY in notes:
            pod["metadata"]["annotations"][LAST_CHECKPOINT_KEY] = notes[LAST_CHECKPOINT_KEY]
        try:
            pods.create(store, pod, now)
        except ApiError as refusal:
            said = f"Error creating: {refusal.message}"
            events.record(store, job, "FailedCreate", said, now, by="job-controller",
                          warning=True, once=True)  # fmt: skip
            return  # half a gang is taken away and tried again


def _work(
    store: ClusterStore,
    job: Obj,
    gang: list[Obj],
    notes: dict[str, str],
    now: datetime,
    config: ControllerConfig,
) -> dict[str, str]:
    """Count the work of a whole gang: start it, checkpoint it, or finish it."""
    if SINCE_KEY not in notes:
        return notes | {SINCE_KEY: now.isoformat()}
    elapsed_s = (now - parse_time(notes[SINCE_KEY])).total_seconds()
    done_s = float(notes.get(DONE_KEY, 0.0)) + elapsed_s
    finished = done_s >= float(notes.get(WORK_KEY, "inf"))
    due = elapsed_s >= config.shortened(config.checkpoint_every_s)
    if not finished and not due and not _is_asked_for(notes, gang, now, config):
        return notes
    _count(store, USEFUL, elapsed_s * _gpus(job))
    notes = notes | {DONE_KEY: f"{done_s:.1f}", SINCE_KEY: now.isoformat()}
    notes[LAST_CHECKPOINT_KEY] = rfc3339(now)
    for pod in gang:
        marked = _checkpointed(store, pod, notes[LAST_CHECKPOINT_KEY])
        if finished:
            _succeed(store, marked, now)
    if finished:
        _complete(store, job, notes, now)
    return notes


def _is_asked_for(
    notes: dict[str, str], gang: list[Obj], now: datetime, config: ControllerConfig
) -> bool:
    """Whether a checkpoint was requested after the last one, long enough ago to be written."""
    everyone = [notes, *(pod["metadata"].get("annotations") or {} for pod in gang)]
    asked = [_time(n.get(CHECKPOINT_REQUESTED_KEY)) for n in everyone]
    last = _time(notes.get(LAST_CHECKPOINT_KEY))
    wait = timedelta(seconds=config.shortened(config.checkpoint_s))
    return any(at and at + wait <= now and (last is None or last < at) for at in asked)


def _time(text: str | None) -> datetime | None:
    """What somebody wrote as a time; None when it is none."""
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


def _checkpointed(store: ClusterStore, pod: Obj, at: str) -> Obj:
    annotations = (pod["metadata"].get("annotations") or {}) | {LAST_CHECKPOINT_KEY: at}
    return store.put(PODS, {**pod, "metadata": {**pod["metadata"], "annotations": annotations}})


def _succeed(store: ClusterStore, pod: Obj, now: datetime) -> None:
    status = {**pod["status"], "phase": "Succeeded"}
    for kind in ("Ready", "ContainersReady"):
        status = pods.with_condition(status, kind, "False", now, reason="PodCompleted")
    pods.put_status(store, pod, status)


def _complete(store: ClusterStore, job: Obj, notes: dict[str, str], now: datetime) -> None:
    kept = {k: v for k, v in notes.items() if k != SINCE_KEY}
    status: Obj = {"succeeded": _size(job), "completionTime": rfc3339(now)}
    status["conditions"] = job["status"].get("conditions") or []
    status = pods.with_condition(status, "Complete", "True", now, reason="CompletionsReached")
    metadata = {**job["metadata"], "annotations": kept}
    store.put(JOBS, {**job, "metadata": metadata, "status": status})
    _count(store, COMPLETED, 1)


def _expire(store: ClusterStore, job: Obj, now: datetime, config: ControllerConfig) -> None:
    finished_at = parse_time(job["status"]["completionTime"])
    if (now - finished_at).total_seconds() >= config.shortened(config.job_ttl_s):
        store.remove(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
