"""What people ask of the compute domain; workers do it (cycle.py)."""

from datetime import datetime
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction

from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from infra_console.telemetry.queries import fleet_freshness
from infra_console.telemetry.series import Freshness
from tiers.models import Cycle, TrainingRun, TrainingState

SYSTEM_AUTHOR = "system:cycle"
FAST_AUTHOR = "system:fast_pass"


@transaction.atomic
def request_cycle(*, by: str, chosen: dict[str, Any] | None = None, why: str = "") -> None:
    """Ask the workers for a cycle now; its plans will name `by` as their author.

    Args:
        chosen: `choice` and `reason` of a point that this one cycle follows.
        why: what made a machine ask, for the audit trail.
    """
    detail = (chosen or {}) | ({"why": why} if why else {})
    record_audit(
        actor=by, action="cycle.requested", object_kind="cycle", object_id="", detail=detail
    )
    # By name: importing the task would load the solver and the network into the web process.
    arguments = {"requested_by": by} | ({"chosen": chosen} if chosen else {})
    send = partial(current_app.send_task, "tiers.run_cycle", kwargs=arguments)
    transaction.on_commit(send)


@transaction.atomic
def request_look(*, by: str) -> None:
    """Ask the workers to look at the fleet as adoption does, and keep what they find."""
    record_audit(
        actor=by, action="adoption.look_requested", object_kind="fleet", object_id="1", detail={}
    )
    transaction.on_commit(partial(current_app.send_task, "tiers.look", kwargs={"by": by}))


@transaction.atomic
def request_training(*, by: str, at: datetime) -> TrainingRun:
    """Ask the `forecast` workers to train the network now; one that waits already is enough."""
    run, _ = TrainingRun.objects.get_or_create(
        state=TrainingState.WAITING, defaults={"requested_by": by, "requested_at": at}
    )
    publish("training", str(run.pk), 0)
    transaction.on_commit(partial(current_app.send_task, "tiers.train"))
    record_audit(
        actor=by, action="forecast.training_requested", object_kind="training",
        object_id=str(run.pk), detail={},
    )  # fmt: skip
    return run


def request_first_cycle() -> None:
    """A new console plans as soon as its metrics are live, not a whole period later."""
    if not Cycle.objects.exists() and fleet_freshness().state is Freshness.LIVE:
        request_cycle(by=SYSTEM_AUTHOR)
