"""What the fleet file says of a queue's checkpoints: whom to tell beside the pods, what to read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from infra_console.cluster.errors import ClusterError
from infra_console.cluster.objects import PodState
from infra_console.fleet.config import CheckpointConfig
from infra_console.fleet.queries import current_fleet
from infra_console.plans.steps.base import StepContext
from infra_console.telemetry.moments import newest_moment
from infra_console.telemetry.webhooks import WebhookFailed, post_json


class NotTold(ClusterError):
    """A webhook did not say that it heard."""


def rule_of(queue: str) -> CheckpointConfig:
    """How a ClusterQueue's trainers are asked; by annotation alone where nothing is said."""
    fleet = current_fleet()
    rules = fleet.checkpoints if fleet else {}
    return rules.get(queue, CheckpointConfig())


def any_rules() -> bool:
    """Whether a queue's trainers are asked otherwise than by annotation."""
    fleet = current_fleet()
    return bool(fleet and fleet.checkpoints)


def tell_webhook(
    step: StepContext, queue: str, pods: Sequence[PodState], at: datetime, grace_s: float
) -> None:
    """Post the request, under its audit row; whoever does not answer is not waited for.

    A worker that dies before it has annotated the pods posts again: the same plan and step.
    """
    url = rule_of(queue).webhook
    if not url or step.dry_run:
        return
    body: dict[str, Any] = {
        "plan": step.plan_id,
        "cluster": step.cluster,
        "queue": queue,
        "namespace": pods[0].namespace,
        "job": pods[0].owner_name,
        "pods": [pod.name for pod in pods],
        "requested_at": at.isoformat(),
        "grace_s": grace_s,
    }
    try:
        step.write(
            f"tell the webhook of {queue} that {pods[0].namespace}/{pods[0].owner_name} is to save",
            lambda: _post(step.cluster, url, body),
        )
    except NotTold:  # its audit row says why; the annotation asks as well
        return


def _post(cluster: str, url: str, body: Mapping[str, Any]) -> None:
    """In the words of a write, so that the audit row is closed with the reason."""
    try:
        post_json(url, body)
    except WebhookFailed as err:
        raise NotTold(cluster, f"the webhook was not told: {err}") from err


def saved_by_metric(
    step: StepContext, queue: str, pods: Sequence[PodState], *, now: datetime
) -> datetime | None:
    """The last checkpoint as the queue's metric tells it; None where it tells nothing."""
    metric = rule_of(queue).metric
    if not metric or not pods:
        return None
    names = [pod.name for pod in pods]
    space = pods[0].namespace
    return newest_moment(metric, cluster=step.cluster, namespace=space, pods=names, at=now)
