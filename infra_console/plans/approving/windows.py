"""When changes are frozen: windows of a cron expression, a length and a time zone. Pure.

Times of the expression are read by Celery, in the window's own zone, so a window opens at the same
local hour in summer and winter. Unlike in crontab(5) a day must fit both day fields where both are
given. A window is open from each such time for its length.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab

Pair = tuple[str, str]  # cluster, tier
MOST_HOPS = 100  # windows that follow each other without a gap: after so many no end is in sight


@dataclass(frozen=True, slots=True)
class Window:
    """No clusters or tiers means all of them."""

    name: str
    denies: bool
    cron: str
    length: timedelta
    time_zone: str
    clusters: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()

    def covers(self, pair: Pair) -> bool:
        cluster, tier = pair
        here = not self.clusters or cluster in self.clusters
        return here and (not self.tiers or tier in self.tiers)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Which window stands in the way now, and when nothing will (None: no end in sight)."""

    name: str
    until: datetime | None

    @property
    def words(self) -> str:
        if self.until is None:
            return f"frozen by “{self.name}”, and no end is in sight"
        return f"frozen by “{self.name}”: starts not before {self.until:%Y-%m-%d %H:%M} UTC"


def parse_cron(text: str) -> crontab:
    """Five fields: minute, hour, day of month, month, day of week.

    Raises:
        ValueError: it is no such expression.
    """
    fields = text.split()
    if len(fields) != 5:
        raise ValueError("five fields are needed: minute hour day-of-month month day-of-week")
    minute, hour, day_of_month, month_of_year, day_of_week = fields
    try:
        return crontab(minute, hour, day_of_week, day_of_month, month_of_year)
    except ParseException as err:
        raise ValueError(str(err)) from err


def next_opening(window: Window, after: datetime) -> datetime:
    """The first time after `after` at which the window opens, in UTC."""
    schedule = _schedule(window.cron, window.time_zone)
    local, step, _ = schedule.remaining_delta(after, tz=schedule.tz)
    return (local + step).astimezone(UTC)  # type: ignore[no-any-return]


@lru_cache(maxsize=256)  # pages ask for the same few windows again and again
def _schedule(cron: str, time_zone: str) -> crontab:
    schedule = parse_cron(cron)
    # Both would be asked of the Celery application, which has one zone for all.
    schedule.tz, schedule.nowfun = ZoneInfo(time_zone), lambda: datetime.now(UTC)
    return schedule


def open_until(window: Window, at: datetime) -> datetime | None:
    """When the window closes, None when it is not open."""
    opened = next_opening(window, at - window.length)
    return opened + window.length if opened <= at else None


def frozen(windows: Iterable[Window], pairs: Collection[Pair], at: datetime) -> Frozen | None:
    """What freezes any of these pairs at a time, and the first time at which nothing does."""
    concerned = [w for w in windows if any(w.covers(pair) for pair in pairs)]
    first = obstacle = _obstacle(concerned, pairs, at)
    for _ in range(MOST_HOPS):
        if first is None or obstacle is None:
            return first and Frozen(first[0], at)
        at = obstacle[1]
        obstacle = _obstacle(concerned, pairs, at)
    return Frozen(first[0], None) if first else None


def _obstacle(
    windows: Sequence[Window], pairs: Collection[Pair], at: datetime
) -> tuple[str, datetime] | None:
    """One window in the way, and when to look again. What is denied is denied though another
    window allows it."""
    for window in windows:
        if window.denies and (until := open_until(window, at)):
            return window.name, until
    for pair in pairs:
        allowing = [w for w in windows if not w.denies and w.covers(pair)]
        if allowing and not any(open_until(w, at) for w in allowing):
            opening, name = min((next_opening(w, at), w.name) for w in allowing)
            return name, opening
    return None
