"""Fields that plans took over, as the arming page shows them: still ours, or handed back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from infra_console.cluster.managers import names
from infra_console.plans import clock
from infra_console.plans.models import Plan, TakenField
from infra_console.plans.taking_back.handing import due, field_at, managers_of

SHOWN_FOR = timedelta(days=1)  # after it went back


@dataclass(frozen=True, slots=True)
class TakenRow:
    """One field. `why` is the reason why it goes back, empty while it may be kept; `outcome` what
    stood in the way so far, or how it went back."""

    cluster: str
    tier: str
    field: str
    owners: str
    plan: Plan
    taken_at: datetime
    handed_at: datetime | None
    why: str
    outcome: str


@dataclass(frozen=True, slots=True)
class TakenFields:
    """All of them, what is still ours first; `ours` and `leaving` count fields."""

    rows: tuple[TakenRow, ...]
    ours: int
    leaving: int


def taken_fields() -> TakenFields:
    """What is ours still, and what went back within a day."""
    found = TakenField.objects.select_related("plan")
    held = [_row(r, why=due(r)) for r in found.filter(handed_at=None)]
    gone = found.filter(handed_at__gt=clock.now() - SHOWN_FOR).order_by("-handed_at")
    rows = (*held, *(_row(r, why="") for r in gone))
    return TakenFields(rows, ours=len(held), leaving=sum(bool(r.why) for r in held))


def _row(row: TakenField, *, why: str) -> TakenRow:
    return TakenRow(
        cluster=row.cluster,
        tier=row.tier,
        field=field_at(row).words,
        owners=names(managers_of(row)),
        plan=row.plan,
        taken_at=row.taken_at,
        handed_at=row.handed_at,
        why=why,
        outcome=row.outcome,
    )
