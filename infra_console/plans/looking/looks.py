"""Questions that only a worker with cluster rights can answer: asked here, answered there, shown
with their age. The web process holds no kubeconfig.

A question is a row; the broker is a hint: what nobody has answered is sent again each minute, a few
times. An answer changes nothing in any cluster.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from celery import current_app
from django.db import transaction

from infra_console.access.roles import Person
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.models.looks import Look, LookKind
from infra_console.plans.safety import require_right

log = logging.getLogger(__name__)

RIGHT = "plan.comment"  # everyone who works on plans; who only views makes no cluster work
LOOK_TASK = "plans.look"
MESSAGE_LIFE_S = 60.0
# An open question is not asked twice; one that nobody answered in this time may be.
OPEN_FOR = timedelta(seconds=20)
SENT_AGAIN_FOR = timedelta(minutes=5)
# So many questions asked in vain and no answer for an hour: no worker with cluster rights is here.
NOBODY = 5
NOBODY_FOR = timedelta(hours=1)
FAILED = "The worker failed at it; its log says more."


def request_look(plan_id: UUID, kind: LookKind, *, by: Person) -> Look:
    """Ask in somebody's name.

    Raises:
        NotAllowed: they may not; nothing was asked.
    """
    require_right(by, RIGHT)
    return ask_look(plan_id, kind, by=by.get_username())


@transaction.atomic
def ask_look(plan_id: UUID, kind: LookKind, *, by: str) -> Look:
    """Ask once; a question that is open is not asked again."""
    now = clock.now()
    row, is_new = Look.objects.select_for_update().get_or_create(
        plan_id=plan_id, kind=kind, defaults={"asked_by": by, "asked_at": now}
    )
    if not is_new and row.answered_at is None and row.asked_at > now - OPEN_FOR:
        return row
    Look.objects.filter(id=row.pk).update(asked_by=by, asked_at=now, answered_at=None)
    row.refresh_from_db()
    publish(kind="look", id=str(plan_id), version=_version(now))
    # Not a partial: Django names the function when it logs what a robust hook raised.
    transaction.on_commit(lambda: _send(plan_id, kind), robust=True)
    return row


def ask_unasked(plan_id: UUID, kind: LookKind, *, by: str) -> None:
    """Ask in nobody's name, where anybody answers: else orders would pile up in a queue that no
    worker reads."""
    now = clock.now()
    answered = Look.objects.filter(answered_at__gt=now - NOBODY_FOR).exists()
    in_vain = Look.objects.filter(answered_at=None, asked_at__lt=now - 3 * OPEN_FOR)
    if answered or in_vain.count() < NOBODY:
        ask_look(plan_id, kind, by=by)


def keep_answer(
    plan_id: UUID, kind: str, *, document: dict[str, object] | None, problem: str, seen_at: datetime
) -> None:
    """Keep what a worker saw; without a document the one from before stays, with the problem."""
    columns: dict[str, object] = {"answered_at": clock.now(), "problem": problem}
    if document is not None:
        columns |= {"document": document, "seen_at": seen_at}
    Look.objects.filter(plan_id=plan_id, kind=kind).update(**columns)
    publish(kind="look", id=str(plan_id), version=_version(seen_at))


def look_of(plan_id: UUID, kind: LookKind) -> Look | None:
    """The newest answer, or question, of this kind."""
    return Look.objects.filter(plan_id=plan_id, kind=kind).first()


def send_unanswered() -> int:
    """Send again what nobody has answered for a while; return how many."""
    now = clock.now()
    waiting = Look.objects.filter(
        answered_at=None, asked_at__lt=now - OPEN_FOR, asked_at__gt=now - SENT_AGAIN_FOR
    )
    rows = list(waiting.values_list("plan_id", "kind"))
    for plan_id, kind in rows:
        _send(plan_id, kind)
    return len(rows)


def _send(plan_id: UUID, kind: str) -> None:
    current_app.send_task(
        LOOK_TASK, args=[str(plan_id), str(kind)], expires=MESSAGE_LIFE_S, retry=False
    )


def _version(at: datetime) -> int:
    return int(at.timestamp() * 1000)
