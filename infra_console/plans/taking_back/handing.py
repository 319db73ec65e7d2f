"""Handing back what plans took over from others, once we have no right to it any more.

A field goes back when its tier is disarmed or its arming has ended, when the admin's leave is taken
back, and after a rollback: to whoever owned it, with the value as it stands. It waits while a plan
works in that tier of that cluster. Each write is one conditional write between two audit rows,
under the ownership Lease; a field that is not ours any more is left as it is, so a second try, or
one after a killed worker, changes nothing twice.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db.models import Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from infra_console.audit.services import record_audit
from infra_console.cluster.client import context_of
from infra_console.cluster.errors import ClusterError, ObjectConflict, ObjectMissing
from infra_console.cluster.handing import FieldAt, FieldState, hand_over, path_of, read_field
from infra_console.cluster.managers import Manager, names
from infra_console.cluster.takeovers import Leave, leave_in
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.errors import NotOwned
from infra_console.plans.holding.fence import EXECUTOR
from infra_console.plans.holding.interrupted import close_hand_backs
from infra_console.plans.holding.ownership import hold
from infra_console.plans.models import LockRow, TakenField
from infra_console.plans.safety import is_armed, is_killed
from infra_console.plans.states import PlanState

log = logging.getLogger(__name__)

TASK = "plans.hand_back"
MESSAGE_LIFE_S = 10.0
CLAIM_FOR = timedelta(seconds=60)
RETRY = timedelta(seconds=30)
TRIES = 3  # of one write whose object changes under it
NO_LONGER = "was no longer ours"


class NotNow(Exception):
    """Nothing may be handed back now; the words say why, for the page."""


def send_due() -> int:
    """Ask a worker for each cluster where something is due; return for how many.

    A broker that is away is asked again in ten seconds.
    """
    clusters = sorted({row.cluster for row in _open(at_once=True) if due(row)})
    for cluster in clusters:
        try:
            current_app.send_task(TASK, args=[cluster], expires=MESSAGE_LIFE_S, retry=False)
        except OperationalError as err:
            log.info("handing back in %s waits for the broker: %s", cluster, err)
    return len(clusters)


def hand_back_due(cluster: str) -> int:
    """Hand back what is due in one cluster; return how many fields went back."""
    rows = [row for row in _open(at_once=True) if row.cluster == cluster and due(row)]
    return sum(_try(row) for row in rows)


def due(row: TakenField) -> str:
    """Why a field is to go back; empty while we may keep it."""
    if row.plan.state == PlanState.ROLLED_BACK:
        return f"plan {row.plan.number} was rolled back"
    if not is_armed(row.cluster, row.tier):
        return f"{row.cluster}/{row.tier} is not armed"
    if not _has_leave(row, leave_in(row.cluster)):
        return "the leave to take it over was taken back"
    return ""


def _has_leave(row: TakenField, leave: Leave) -> bool:
    return all(m["name"] in leave.get(row.kind, frozenset()) for m in row.managers)


def _open(*, at_once: bool) -> Iterable[TakenField]:
    rows = TakenField.objects.filter(handed_at=None).select_related("plan")
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    no_wait = Q(next_try_at=None) | Q(next_try_at__lte=Now())
    return rows.filter(free, no_wait) if at_once else rows


def _try(row: TakenField) -> bool:
    """One try at one field, by one worker; what stood in the way is kept for the page."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    mine = TakenField.objects.filter(free, id=row.pk, handed_at=None, taken_at=row.taken_at)
    if not mine.update(claimed_until=Now() + CLAIM_FOR):
        return False
    again = {"claimed_until": None, "next_try_at": Now() + RETRY}
    columns: dict[str, Any]
    try:
        columns = {"outcome": _hand_back(row), "handed_at": clock.now(), "claimed_until": None}
    except (NotNow, NotOwned) as err:
        columns = {"outcome": str(err), **again}
    except ClusterError as err:
        columns = {"outcome": err.problem, **again}
    # A plan may have taken it over anew meanwhile: then this is no news of it.
    TakenField.objects.filter(id=row.pk, taken_at=row.taken_at).update(**columns)
    publish(kind="owned", id=row.cluster, version=int(clock.now().timestamp() * 1000))
    return "handed_at" in columns


def _hand_back(row: TakenField) -> str:
    """Hand one field back; how it went.

    Raises:
        NotNow, NotOwned: nothing may be written now. ClusterError: the cluster refused.
    """
    _check(row)
    hold(row.cluster)
    at = field_at(row)
    what = f"hand {at.words} back to {names(managers_of(row))}"
    close_hand_backs(row.plan_id, what)
    for _ in range(TRIES):
        try:
            held = read_field(at)
        except ObjectMissing:
            return _close(row, "its object is gone")
        if not held.ours:
            by = names(held.owners)
            return _close(row, f"{NO_LONGER}: {by or 'nobody'} owns it")
        _check(row)
        try:
            left = _write(row, held, what)
        except ObjectConflict:  # somebody wrote the object meanwhile: read it again
            continue
        if left.ours:
            raise NotNow(f"the cluster kept us as an owner of {at.words}")
        return _close(row, f"handed back to {names(managers_of(row))}, as {_value(held)}")
    raise NotNow(f"{at.words} changes all the time")


def field_at(row: TakenField) -> FieldAt:
    return FieldAt(row.cluster, row.kind, row.namespace, row.name, path_of(row.field))


def managers_of(row: TakenField) -> list[Manager]:
    return [Manager(m["name"], applies=m["applies"]) for m in row.managers]


def _value(held: FieldState) -> str:
    """The value in few words; a whole list of them is not read out."""
    return "it stands" if isinstance(held.value, list | dict) else str(held.value)


def _check(row: TakenField) -> None:
    """The last look before a write. Raises NotNow."""
    if is_killed():
        raise NotNow("the kill switch is engaged")
    if context_of(row.cluster) != row.context:
        raise NotNow(f"the fleet file no longer leads to the context {row.context!r}")
    lock = LockRow.objects.filter(cluster=row.cluster, tier=row.tier).select_related("plan").first()
    if lock is not None:
        raise NotNow(f"waits for plan {lock.plan.number}, which is at work there")
    if not due(TakenField.objects.select_related("plan").get(id=row.pk)):
        raise NotNow("it was armed again")


def _write(row: TakenField, held: FieldState, what: str) -> FieldState:
    detail = {"step": row.step, "what": what, "hand_back": True, "why": due(row)}
    opened = _audit(row, "step.writing", detail)
    try:
        left = hand_over(held, managers_of(row))
    except ClusterError as err:
        _audit(row, "step.refused", detail | {"opened": opened, "why": str(err)})
        raise
    _audit(row, "step.written", detail | {"opened": opened})
    return left


def _close(row: TakenField, how: str) -> str:
    at = field_at(row)
    record_audit(
        actor=EXECUTOR,
        action="cluster.field_handed_back",
        object_kind="cluster",
        object_id=row.cluster,
        detail={"field": at.words, "managers": row.managers, "how": how},
    )
    return how


def _audit(row: TakenField, action: str, detail: dict[str, object]) -> int:
    return record_audit(
        actor=EXECUTOR,
        action=action,
        object_kind="plan",
        object_id=str(row.plan_id),
        detail=detail,
    )
