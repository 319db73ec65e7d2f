"""Freeze windows: who keeps them, what they hold back, and an admin's override for one plan.

A plan that is frozen waits: it begins no execution, no new wave of steps and no further object. A
wave that has begun is finished, and so is an object that was begun: a node is not left closed while
the plan waits. Rehearsals write nothing and are not held.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID
from zoneinfo import available_timezones

from django.contrib.auth.models import User
from django.db import transaction

from infra_console.audit.services import record_audit
from infra_console.fleet.models import Cluster
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.approving.approvals import locked
from infra_console.plans.approving.covers import is_open, opens_at
from infra_console.plans.approving.windows import Frozen, Window, frozen, next_opening
from infra_console.plans.errors import FreezeInvalid, ReasonMissing, WrongState
from infra_console.plans.holding.outbox import order_again
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import EnvelopeUse, FreezeOverride, FreezeWindow, Plan, Step
from infra_console.plans.safety import require_right
from infra_console.plans.spec import Tier
from infra_console.plans.states import PlanState

MAX_MINUTES = 31 * 24 * 60
MAY_WAIT = frozenset(
    {
        PlanState.PROPOSED,
        PlanState.APPROVED,
        PlanState.EXECUTING,
        PlanState.PAUSED,
        PlanState.ROLLING_BACK,
    }
)


WAITS_FOR_WORKER = frozenset({PlanState.APPROVED, PlanState.EXECUTING, PlanState.ROLLING_BACK})


@dataclass(frozen=True, slots=True)
class Draft:
    """A window as somebody wrote it, before it is checked."""

    name: str
    kind: str
    cron: str
    minutes: int
    time_zone: str
    clusters: Sequence[str] = ()
    tiers: Sequence[str] = ()


@transaction.atomic
def add_window(draft: Draft, *, by: User) -> FreezeWindow:
    """Keep a freeze window; it holds from now on.

    Raises:
        NotAllowed, FreezeInvalid: see each; nothing was kept.
    """
    require_right(by, "freeze.manage")
    _check(draft)
    row = FreezeWindow.objects.create(
        name=draft.name,
        kind=draft.kind,
        cron=" ".join(draft.cron.split()),
        minutes=draft.minutes,
        time_zone=draft.time_zone,
        clusters=sorted(draft.clusters),
        tiers=sorted(draft.tiers),
        made_by=by.get_username(),
        made_at=clock.now(),
    )
    _tell(row, "freeze.added", by)
    return row


@transaction.atomic
def remove_window(window_id: int, *, by: User) -> None:
    """End a freeze window for good; the audit keeps what it said. One that is gone stays gone.

    Raises:
        NotAllowed: the user may not; nothing was changed.
    """
    require_right(by, "freeze.manage")
    row = FreezeWindow.objects.select_for_update().filter(id=window_id).first()
    if row is not None:
        _tell(row, "freeze.removed", by)
        row.delete()


def override_freeze(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Let one plan go on in spite of every window, to its end.

    Raises:
        NotAllowed, ReasonMissing, WrongState, PlanMissing: see each; nothing was changed.
    """
    require_right(by, "freeze.manage")
    who, reason = by.get_username(), reason.strip()
    with journal() as moves:
        plan = locked(plan_id)
        if plan.state not in MAY_WAIT:
            raise WrongState(plan.number, plan.state, PlanState.EXECUTING)
        if not reason:
            raise ReasonMissing
        FreezeOverride.objects.get_or_create(
            plan=plan, defaults={"by": who, "at": clock.now(), "reason": reason}
        )
        moves.tell(plan, "plan.freeze_overridden", who=who, detail={"why": reason})
        if plan.state in WAITS_FOR_WORKER:
            order_again(plan.id)
    return plan


def frozen_plan(plan: Plan, *, cluster: str = "", back: bool = False) -> Frozen | None:
    """What holds the plan back now (in one cluster when named); None where it may go on.

    Args:
        back: what would hold its way back, though that has not begun.
    """
    locks = plan.document["locks"]
    pairs = {(k["cluster"], k["tier"]) for k in locks if cluster in {"", k["cluster"]}}
    found = frozen(_windows(), pairs, clock.now()) or (None if back else _outside_hours(plan))
    return found if found and not FreezeOverride.objects.filter(plan=plan).exists() else None


def _outside_hours(plan: Plan) -> Frozen | None:
    """A plan that an envelope approved writes in the envelope's hours; a way back at any time."""
    if plan.state == PlanState.ROLLING_BACK:
        return None
    use = EnvelopeUse.objects.filter(plan=plan, returned_at=None).select_related("envelope").first()
    now = clock.now()
    if use is None or is_open(use.envelope, now):
        return None
    return Frozen(f"the hours of {use.envelope}", opens_at(use.envelope, now))


def thawed(plan: Plan, steps: Sequence[Step], due: Sequence[Step]) -> tuple[list[Step], str]:
    """The due steps without those that would begin a wave or an object where the plan is frozen,
    and why these are held back (empty when none is)."""
    waves = {(s.cluster, s.wave) for s in steps if s.attempts}
    objects = {_object(s) for s in steps if s.attempts}
    opening = [s for s in due if (s.cluster, s.wave) not in waves and _object(s) not in objects]
    holds = {
        c: held for c in {s.cluster for s in opening} if (held := frozen_plan(plan, cluster=c))
    }
    going = [s for s in due if s.cluster not in holds or s not in opening]
    return going, "; ".join(f"{c}: {held.words}" for c, held in sorted(holds.items()))


def _object(step: Step) -> tuple[str, ...]:
    return tuple(step.target[part] for part in ("cluster", "kind", "namespace", "name"))


def frozen_now() -> list[Frozen]:
    """Each window that holds something back now, for the frame of every page."""
    windows = _windows()
    if not windows:  # as on most days, and every page asks
        return []
    now = clock.now()
    every = [(c, str(t)) for c in _clusters() for t in get_args(Tier)]
    # Pairs under the same windows are frozen alike: one of each is asked about.
    alike = {tuple(w.name for w in windows if w.covers(pair)): pair for pair in every}
    held = [found for pair in alike.values() if (found := frozen(windows, {pair}, now))]
    return [found for _, found in sorted({found.name: found for found in held}.items())]


def _windows() -> list[Window]:
    return [
        Window(
            name=row.name,
            denies=row.kind == FreezeWindow.Kind.DENY,
            cron=row.cron,
            length=timedelta(minutes=row.minutes),
            time_zone=row.time_zone,
            clusters=frozenset(row.clusters),
            tiers=frozenset(row.tiers),
        )
        for row in FreezeWindow.objects.all()
    ]


def opens_next(row: FreezeWindow, *, after: datetime) -> datetime:
    """When a window opens next, for the page that lists them."""
    length = timedelta(minutes=row.minutes)
    return next_opening(Window(row.name, True, row.cron, length, row.time_zone), after)


def _check(draft: Draft) -> None:
    if not 0 < len(draft.name) <= 100 or FreezeWindow.objects.filter(name=draft.name).exists():
        raise FreezeInvalid("Give it a name of at most 100 characters that no other window has.")
    if draft.kind not in FreezeWindow.Kind.values:
        raise FreezeInvalid("It either denies or allows.")
    if not 0 < draft.minutes <= MAX_MINUTES:
        raise FreezeInvalid(f"It lasts 1 to {MAX_MINUTES} minutes.")
    if draft.time_zone not in available_timezones():
        raise FreezeInvalid(f"There is no time zone {draft.time_zone!r}; name one as Europe/Oslo.")
    _known("cluster", draft.clusters, _clusters())
    _known("tier", draft.tiers, get_args(Tier))
    window = Window(draft.name, True, draft.cron, timedelta(), draft.time_zone)
    try:
        next_opening(window, clock.now())
    except (ValueError, RuntimeError) as err:  # a date that never comes is a RuntimeError
        raise FreezeInvalid(f"{draft.cron!r} is no time: {err}.") from err


def _known(what: str, names: Collection[str], known: Collection[str]) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise FreezeInvalid(f"There is no {what} {', '.join(unknown)}.")


def _clusters() -> list[str]:
    return list(Cluster.objects.values_list("id", flat=True))


def _tell(row: FreezeWindow, action: str, by: User) -> None:
    now = clock.now()
    publish(kind="freeze", id=str(row.pk), version=int(now.timestamp() * 1000))
    columns = ("name", "kind", "cron", "minutes", "time_zone", "clusters", "tiers")
    record_audit(
        actor=by.get_username(),
        action=action,
        object_kind="freeze",
        object_id=str(row.pk),
        detail={name: getattr(row, name) for name in columns},
    )
