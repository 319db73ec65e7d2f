"""Asking a gang for a checkpoint before it is stopped, and waiting for it as long as was agreed.

The request is an annotation on every pod of the gang, a time in whole seconds that is not yet over,
and a POST to its queue's webhook where the fleet file names one; the answer is a last-checkpoint
annotation of that time or later that was not there before, or the queue's metric of that time or
later. Nobody need answer: when the grace is over the gang is stopped as it is, and its age is
unknown.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from infra_console.cluster.errors import ObjectConflict, ObjectMissing
from infra_console.cluster.objects import PodState
from infra_console.cluster.reads import read_pod
from infra_console.cluster.writes import annotate_pod
from infra_console.plans.marks import EPOCH, PLAN
from infra_console.plans.steps.base import StepContext
from infra_console.plans.steps.checkpoint_queues import saved_by_metric, tell_webhook

REQUESTED = "infra-console.dev/checkpoint-requested"
LAST = "infra-console.dev/last-checkpoint"
# What the gang had saved when it was asked: only another one is an answer.
BEFORE = "infra-console.dev/checkpoint-before"
DEFAULT_GRACE_S = 120.0
MARK_TRIES = 3


def ask_and_wait(
    step: StepContext, pods: Sequence[PodState], *, now: datetime, queue: str = ""
) -> str:
    """Ask these pods of one gang, unless this plan has; what is still waited for, or empty.

    Args:
        queue: the ClusterQueue that admitted the gang, whose webhook and metric count too.
    """
    asked = asked_at(step, pods)
    at = asked or _next_second(now)
    if queue and asked is None:
        tell_webhook(step, queue, pods, at, grace_s(step))
    before = _before(step, pods)
    for pod in pods:
        if not _asked(step, pod):
            _ask(step, pod, at, before)
    if step.dry_run or _saved_since(pods, at, before):
        return ""
    if asked and queue and _counts(saved_by_metric(step, queue, pods, now=now), at):
        return ""
    left_s = (at + timedelta(seconds=grace_s(step)) - now).total_seconds()
    return f"{left_s:.0f} s of grace left" if left_s > 0 else ""


def saved_words(
    step: StepContext, pods: Sequence[PodState], *, now: datetime, queue: str = ""
) -> str:
    """How old the freshest checkpoint is, in words."""
    at, saved = asked_at(step, pods), _time(last_of(pods))
    if at and not _saved_since(pods, at, _before(step, pods)):
        told = saved_by_metric(step, queue, pods, now=now) if queue else None
        saved = told if _counts(told, at) else None
    if at and saved:
        return f"saved {max(0.0, (now - saved).total_seconds()):.0f} s ago"
    if not step.dry_run:
        return f"no checkpoint within {grace_s(step):.0f} s: it is stopped by SIGTERM, age unknown"
    return "would be asked"


def grace_s(step: StepContext) -> float:
    return float(step.params.get("grace_s", DEFAULT_GRACE_S))


def asked_at(step: StepContext, pods: Iterable[PodState]) -> datetime | None:
    """When this plan first asked one of them; None when it has not."""
    times = (_time(p.annotations.get(REQUESTED)) for p in pods if _asked(step, p))
    return min((t for t in times if t), default=None)


def last_of(pods: Iterable[PodState]) -> str:
    """The freshest checkpoint that any pod of a gang tells of, as it is written there."""
    told = [t for p in pods if _time(t := p.annotations.get(LAST, ""))]
    return max(told, key=lambda t: _time(t) or datetime.min.replace(tzinfo=UTC), default="")


def _before(step: StepContext, pods: Sequence[PodState]) -> str:
    """The last checkpoint when this plan asked first, which may have been none."""
    noted = [p.annotations.get(BEFORE, "") for p in pods if _asked(step, p)]
    return max(noted) if noted else last_of(pods)


def _saved_since(pods: Sequence[PodState], at: datetime, before: str) -> bool:
    last = last_of(pods)
    saved = _time(last)
    return saved is not None and saved >= at and last != before


def _counts(saved: datetime | None, at: datetime) -> bool:
    """Whether a checkpoint answers a request of this time."""
    return saved is not None and saved >= at


def _asked(step: StepContext, pod: PodState) -> bool:
    return pod.annotations.get(PLAN) == step.plan_id and REQUESTED in pod.annotations


def _ask(step: StepContext, pod: PodState, at: datetime, before: str) -> None:
    """Annotate one pod; one that has gone, or changes all the time, is left."""
    text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    notes = {REQUESTED: text, BEFORE: before, PLAN: step.plan_id, EPOCH: str(step.epoch)}
    for _ in range(MARK_TRIES):
        try:
            step.write(
                f"ask {pod.namespace}/{pod.name} for a checkpoint at {text}",
                partial(annotate_pod, step.cluster, pod, notes, dry_run=step.dry_run),
            )
            return
        except ObjectMissing:
            return
        except ObjectConflict:  # its kubelet wrote in between: read again
            try:
                pod = read_pod(step.cluster, pod.namespace, pod.name)
            except ObjectMissing:
                return


def _next_second(now: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(now.timestamp()), UTC)


def _time(text: str | None) -> datetime | None:
    """A time with its zone; None for anything else."""
    try:
        read = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return read if read is not None and read.tzinfo else None
