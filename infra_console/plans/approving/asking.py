"""How often people are asked: a cap on approval requests per shift.

Above it proposals are held back: they stay under review, can be read and decided on, but are not
counted as waiting. Room goes to the most valuable first; what is urgent, or becomes so while it
waits, is asked for at once. A plan that replaces one under review renews its request and takes no
room.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet

from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Plan
from infra_console.plans.states import PlanState

SHIFT = timedelta(hours=8)
# Numbers, "the same moves are under review" and who is asked are decided one at a time.
PROPOSALS_LOCK = 0x1F7A_0001


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What the cap holds back now, and when there is room again (None: as soon as it is asked)."""

    count: int
    cap: int
    room_at: datetime | None

    @property
    def words(self) -> str:
        hours = SHIFT.total_seconds() / 3600
        then = f"; room again at {self.room_at:%H:%M} UTC" if self.room_at else ""
        return f"{self.count} held back; the cap of {self.cap} per {hours:g} h is reached{then}"


def take_turns() -> None:
    """Hold the lock under which proposals are decided, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PROPOSALS_LOCK])


@transaction.atomic
def ask_next() -> int:
    """Ask for the plans that were held back and for which there is room now; return how many."""
    take_turns()
    held = sorted(_held(), key=_value, reverse=True)
    urgent = [plan for plan in held if plan.urgent]
    calm = [plan for plan in held if not plan.urgent]
    for plan in urgent:
        _ask(plan)
    room = _room()
    chosen = calm if room is None else calm[: max(0, room)]
    for plan in chosen:
        _ask(plan)
    return len(urgent) + len(chosen)


def raise_urgency(plan_id: UUID, *, why: str, who: str) -> bool:
    """Ask people at once for a plan under review; its document and hash stay as they are.

    Returns:
        False where it was urgent before, or is decided.
    """
    with journal() as moves:
        take_turns()
        calm = Plan.objects.filter(id=plan_id, state=PlanState.PROPOSED, urgent="")
        if not calm.filter(expires_at__gt=clock.now()).update(urgent=why[:250]):
            return False
        moves.tell(Plan.objects.get(id=plan_id), "plan.urgent", who=who, detail={"why": why})
        ask_next()
    return True


def renew(plan: Plan, replaced: Plan) -> None:
    """A plan takes over the request for the plan under review that it replaces."""
    asked_at = replaced.asked_at or replaced.created_at
    Plan.objects.filter(id=plan.id).update(held_back=False, asked_at=asked_at)


def held_back() -> HeldBack | None:
    """What is held back now; None when nothing is."""
    count = _held().count()
    if not count:
        return None
    cap = settings.APPROVAL_REQUESTS_PER_SHIFT
    asked = list(_asked().order_by("-asked_at").values_list("asked_at", flat=True)[:cap])
    room_at = asked[-1] + SHIFT if cap and len(asked) == cap and asked[-1] else None
    return HeldBack(count=count, cap=cap, room_at=room_at)


def _held() -> QuerySet[Plan]:
    return Plan.objects.filter(state=PlanState.PROPOSED, held_back=True, expires_at__gt=clock.now())


def _asked() -> QuerySet[Plan]:
    """What people were asked for in this shift; a request that was renewed counts once."""
    rows = Plan.objects.filter(asked_at__gt=clock.now() - SHIFT)
    return rows.exclude(superseded_by__asked_at=F("asked_at"))


def _room() -> int | None:
    """How many more may be asked for; None without a cap."""
    cap: int = settings.APPROVAL_REQUESTS_PER_SHIFT
    return cap - _asked().count() if cap else None


def _value(plan: Plan) -> tuple[float, int]:
    """The gain that a plan expects; of equals the older goes first."""
    gain = plan.document.get("gain_usd")
    return (gain if gain is not None else float("-inf"), -plan.number)


def _ask(plan: Plan) -> None:
    Plan.objects.filter(id=plan.id, held_back=True).update(held_back=False, asked_at=clock.now())
    publish(kind="plan", id=str(plan.id), version=plan.version)
