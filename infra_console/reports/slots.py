"""When a report is due, and what it is about. Pure.

A schedule has a local time of one zone, read by Celery's crontab. On the day when the clocks skip
that time the report comes by as much later; on the day when it comes twice, at the first. A report
is about the time since the same local time a day, or a week, before: 23 to 25 hours, or so.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from infra_console.plans.approving.windows import Window, next_opening
from infra_console.reports.sections import Kind, Period

DAYS = {Kind.DAILY: 1, Kind.WEEKLY: 7}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_of(kind: Kind, *, hour: int, minute: int, weekday: str) -> str:
    """The crontab line of a schedule; a daily one has no weekday."""
    return f"{minute} {hour} * * {weekday if kind is Kind.WEEKLY else '*'}"


def slots_between(cron: str, time_zone: str, *, after: datetime, until: datetime) -> list[datetime]:
    """Every slot after one moment, up to and with another, oldest first, in UTC."""
    window = Window("", denies=True, cron=cron, length=timedelta(0), time_zone=time_zone)
    found: list[datetime] = []
    slot = next_opening(window, after)
    while slot <= until:
        found.append(slot)
        slot = next_opening(window, slot)
    return found


def latest_slot(cron: str, time_zone: str, *, at: datetime) -> datetime:
    """The newest slot that is not in the future."""
    return slots_between(cron, time_zone, after=at - timedelta(days=9), until=at)[-1]


def next_slot(cron: str, time_zone: str, *, after: datetime) -> datetime:
    """The first slot after a moment."""
    window = Window("", denies=True, cron=cron, length=timedelta(0), time_zone=time_zone)
    return next_opening(window, after)


def period_of(kind: Kind, slot: datetime, time_zone: str) -> Period:
    """From the same local time a day or a week before until the slot."""
    local = slot.astimezone(ZoneInfo(time_zone))
    start = (local - timedelta(days=DAYS[kind])).astimezone(UTC)
    return Period(kind=kind, start=start, end=slot.astimezone(UTC))
