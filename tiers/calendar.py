"""The calendar of known events: launches, batch windows, holidays. People with the right edit it.

The forecaster does not read it yet: events are marked on charts, so that a person sees what no
model could know.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from infra_console.access.roles import missing_right
from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from tiers.errors import EventInvalid, NotAllowed
from tiers.models import CalendarEvent, EventKind
from tiers.queries import current_facts

RIGHT = "forecast.manage"
LONGEST = timedelta(days=31)
COMING = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event as a person writes it. Times are UTC; empty region or workload means all."""

    kind: str
    title: str
    starts_at: datetime | None
    ends_at: datetime | None
    region: str = ""
    workload: str = ""


def utc(at: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def events_between(
    start: datetime, end: datetime, *, region: str = "", workload: str = "", tier: str = ""
) -> list[CalendarEvent]:
    """Events that touch the span and concern the scope."""
    facts = current_facts()
    tiers = {w.id: w.tier for w in facts.workloads.values()} if facts else {}
    return [
        event
        for event in CalendarEvent.objects.filter(starts_at__lt=end, ends_at__gt=start)
        if (not region or event.region in {"", region})
        and (not workload or event.workload in {"", workload})
        and (not tier or not event.workload or tiers.get(event.workload) == tier)
    ]


@transaction.atomic
def add_event(draft: EventDraft, *, by: User, at: datetime) -> CalendarEvent:
    """Keep an event.

    Raises:
        NotAllowed, EventInvalid: see each; nothing was kept.
    """
    _require(by)
    starts_at, ends_at = _times(draft)
    _check_names(draft)
    event = CalendarEvent.objects.create(
        kind=draft.kind,
        title=draft.title.strip(),
        starts_at=starts_at,
        ends_at=ends_at,
        region=draft.region,
        workload=draft.workload,
        made_by=by.get_username(),
        made_at=at,
    )
    _tell(event, "forecast.event_added", by)
    return event


@transaction.atomic
def remove_event(event_id: int, *, by: User) -> None:
    """Remove an event; the audit keeps what it said. One that is gone stays gone.

    Raises:
        NotAllowed: the user may not; nothing was changed.
    """
    _require(by)
    event = CalendarEvent.objects.select_for_update().filter(pk=event_id).first()
    if event is not None:
        _tell(event, "forecast.event_removed", by)
        event.delete()


def _require(by: User) -> None:
    if lacks := missing_right(by, RIGHT):
        raise NotAllowed(lacks)


def _times(draft: EventDraft) -> tuple[datetime, datetime]:
    if draft.starts_at is None or draft.ends_at is None:
        raise EventInvalid("it needs a beginning and an end, in UTC")
    if draft.ends_at <= draft.starts_at:
        raise EventInvalid("it ends before it begins")
    if draft.ends_at - draft.starts_at > LONGEST:
        raise EventInvalid(f"it may last {LONGEST.days} days at most")
    return draft.starts_at, draft.ends_at


def _check_names(draft: EventDraft) -> None:
    if draft.kind not in EventKind.values:
        raise EventInvalid(f"its kind must be one of {', '.join(EventKind.values)}")
    if not 1 <= len(draft.title.strip()) <= 120:
        raise EventInvalid("it needs a title of at most 120 characters")
    facts = current_facts()
    regions = {r.id for r in facts.config.regions} if facts else set()
    if draft.region and draft.region not in regions:
        raise EventInvalid(f"there is no region {draft.region[:63]!r}")
    if draft.workload and not (facts and draft.workload in facts.workloads):
        raise EventInvalid(f"there is no workload {draft.workload[:63]!r}")


def _tell(event: CalendarEvent, action: str, by: User) -> None:
    publish("calendar", str(event.pk), 0)
    record_audit(
        actor=by.get_username(), action=action, object_kind="event", object_id=str(event.pk),
        detail={
            "kind": event.kind, "title": event.title, "starts_at": event.starts_at.isoformat(),
            "ends_at": event.ends_at.isoformat(), "region": event.region,
            "workload": event.workload,
        },
    )  # fmt: skip
