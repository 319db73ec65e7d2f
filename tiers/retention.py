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
    ForecastModel,
    GangRun,
    LedgerLot,
    Observation,
    TrainingRun,
)

Rows = Callable[[datetime], QuerySet[Any]]
KEEP_MODELS = 12  # three days of trainings, as long as the forecasts that they made


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of `model` that are older than `keep` go; `rows` are those that went out of date.

    `before` is done with them first: files go before the rows that name them, so that a prune that
    was cut off is finished by the next.
    """

    what: str
    model: type[Model]
    keep: timedelta
    rows: Rows
    before: Callable[[QuerySet[Any]], None] | None = None


def _ledger_days() -> timedelta:
    return timedelta(days=settings.KEEP_LEDGER_DAYS)


def _old_models(_before: datetime) -> QuerySet[Any]:
    """All but the newest, and the newest that is usable however old."""
    newest = ForecastModel.objects.order_by("-trained_at").values_list("pk", flat=True)
    stay = [*newest[:KEEP_MODELS], *newest.filter(state="active")[:1]]
    return ForecastModel.objects.exclude(pk__in=stay)


def _unlink(models: QuerySet[Any]) -> None:
    for path in models.values_list("path", flat=True):
        (settings.STATE_DIR / path).unlink(missing_ok=True)


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
        Kept("weights of the network", ForecastModel, timedelta(0), _old_models, _unlink),
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
        if entry.before is not None and not dry_run:
            entry.before(rows)
        removed[entry.what] = (
            rows.count() if dry_run else rows.delete()[1].get(entry.model._meta.label, 0)
        )
    return removed
