"""When reports are due: one a day by the local clock, through both changes of the clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.reports.sections import Kind
from infra_console.reports.slots import cron_of, latest_slot, next_slot, period_of, slots_between

BERLIN = "Europe/Berlin"


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # At 02:30 the clocks have jumped from 02:00 to 03:00: it is 03:30 there.
        (at(2026, 3, 28, 12), at(2026, 3, 29, 1, 30)),
        # 02:30 comes twice, at 00:30 and 01:30 UTC.
        (at(2026, 10, 24, 12), at(2026, 10, 25, 0, 30)),
    ],
)
def test_a_day_on_which_the_clocks_change_has_one_slot(day, expected):
    found = slots_between("30 2 * * *", BERLIN, after=day, until=day + timedelta(hours=24))
    assert found == [expected]


def test_the_local_hour_stays_when_the_clocks_change():
    found = slots_between("0 7 * * *", BERLIN, after=at(2026, 3, 27, 12), until=at(2026, 3, 30, 12))
    assert found == [at(2026, 3, 28, 6), at(2026, 3, 29, 5), at(2026, 3, 30, 5)]


@pytest.mark.parametrize(
    ("slot", "hours"),
    [(at(2026, 3, 28, 6), 24), (at(2026, 3, 29, 5), 23), (at(2026, 10, 25, 6), 25)],
)
def test_daily_periods_meet_without_a_gap(slot, hours):
    period = period_of(Kind.DAILY, slot, BERLIN)
    assert (period.end - period.start) == timedelta(hours=hours)
    assert latest_slot("0 7 * * *", BERLIN, at=slot - timedelta(minutes=1)) == period.start


def test_a_weekly_report_is_about_the_week_before_its_weekday():
    cron = cron_of(Kind.WEEKLY, hour=8, minute=15, weekday="fri")
    slot = next_slot(cron, "UTC", after=at(2026, 11, 24, 0))
    assert slot == at(2026, 11, 27, 8, 15)
    assert period_of(Kind.WEEKLY, slot, "UTC").start == at(2026, 11, 20, 8, 15)
