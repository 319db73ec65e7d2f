"""Machines whose clocks are an hour ahead or behind, one after the other at the same plan."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest.mock import patch

from benchmarks.fault_boundaries import die
from benchmarks.fault_workers import pass_time
from benchmarks.faults_bench import Bench

HOUR = timedelta(hours=1)


@contextmanager
def skewed(by: timedelta) -> Iterator[None]:
    """Everything of this process that asks Django for the time is told another one."""
    with patch("django.utils.timezone.now", lambda: datetime.now(UTC) + by):
        yield


def wrong_clock(by: timedelta, bench: Bench) -> None:
    """A worker with a wrong clock dies midway, one with a right one goes on, and the other way."""
    for first, second in ((by, timedelta(0)), (timedelta(0), by)):
        plan = bench.next_plan()
        with skewed(first):
            bench.strike(plan, bench.rng.randrange(2, 15), die)
        with skewed(second):
            bench.finish(plan)
        bench.judge(plan, what=f"{first} then {second}")


def ran_out_long_ago(bench: Bench) -> None:
    """A clock that is behind begins no plan whose time has run out."""
    plan = bench.next_plan()
    pass_time(plan, plan.expires_at - plan.created_at + timedelta(minutes=1))
    with skewed(-HOUR):
        bench.finish(plan)
    bench.judge(plan, what="expired by the database's clock", ends=("expired",))


FAULTS: Mapping[str, Callable[[Bench], None]] = {
    "clock 1 h ahead": partial(wrong_clock, HOUR),
    "clock 1 h behind": partial(wrong_clock, -HOUR),
    "expired, clock 1 h behind": ran_out_long_ago,
}
