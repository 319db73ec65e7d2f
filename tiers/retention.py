"""What is stored and for how long: the one list that prune, its test and docs/stored.md follow."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Model, Q, QuerySet

from tiers.models import (
    CalendarEvent,
    Cycle,
    FleetChange,
    GangRun,
    LedgerLot,
    Observation,
    TrainingRun,
)

Rows = Callable[[datetime], QuerySet[Any]]


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of `model` that are older than `keep` go; `rows` are those that went out of date."""

    what: str
    model: type[Model]
    keep: timedelta
    rows: Rows


def _ledger_days() -> timedelta:
    return timedelta(days=settings.KEEP_LEDGER_DAYS)


def kept() -> tuple[Kept, ...]:
    """All that prune removes. Standing lots are not history, whatever their age."""
    return (
        Kept("observations", Observation, timedelta(hours=6),
             lambda before: Observation.objects.filter(at__lt=before)),
        Kept("cycles and their forecasts", Cycle, timedelta(days=3),
             lambda before: Cycle.objects.filter(started_at__lt=before)),
        Kept("ledger history", LedgerLot, _ledger_days(),
             lambda before: LedgerLot.objects.filter(until__lt=before)),
        Kept("runs of gangs that ended", GangRun, _ledger_days(),
             lambda before: GangRun.objects.filter(ended_at__lt=before)),
        Kept("changes seen in clusters", FleetChange, _ledger_days(),
             lambda before: FleetChange.objects.filter(at__lt=before)),
        Kept("trainings of the network", TrainingRun, timedelta(days=30),
             lambda before: TrainingRun.objects.filter(finished_at__lt=before)),
        Kept("events of the calendar", CalendarEvent, timedelta(days=400),
             lambda before: CalendarEvent.objects.filter(ends_at__lt=before)),
        Kept("sessions that ended", Session, timedelta(0),
             lambda before: Session.objects.filter(Q(expire_date__lt=before))),
    )  # fmt: skip


def prune(
    *, now: datetime, dry_run: bool = False, ledger_days: int | None = None
) -> dict[str, int]:
    """Remove what is out of date, or count it; rows by what they are.

    Args:
        ledger_days: instead of settings.KEEP_LEDGER_DAYS.
    """
    removed = {}
    for entry in kept():
        own = entry.model in {LedgerLot, FleetChange, GangRun} and ledger_days is not None
        keep = timedelta(days=ledger_days or 0) if own else entry.keep
        rows = entry.rows(now - keep)
        removed[entry.what] = (
            rows.count() if dry_run else rows.delete()[1].get(entry.model._meta.label, 0)
        )
    return removed
