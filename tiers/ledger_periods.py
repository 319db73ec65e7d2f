"""The ledger over a span of time: GPU-hours of every lot that stood in it, and what stood when."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, Q

from tiers.models import LedgerLot


@dataclass(frozen=True, slots=True)
class Spent:
    """GPU-hours of one pool's GPUs in one state, for one workload."""

    cluster: str
    pool: str
    tier: str
    state: str
    workload: str
    gpu_hours: float


def spent(*, start: datetime, end: datetime) -> list[Spent]:
    """GPU-hours in a span; a lot counts for the part of it in which it stood."""
    hours: Counter[tuple[str, str, str, str, str]] = Counter()
    lots = LedgerLot.objects.filter(Q(until=None) | Q(until__gt=start), since__lt=end)
    columns = ("cluster", "pool", "tier", "state", "workload", "gpus", "since", "until")
    for *key, gpus, since, until in lots.order_by().values_list(*columns).iterator():
        stood = min(until or end, end) - max(since, start)
        cluster, pool, tier, state, workload = key
        hours[cluster, pool, tier, state, workload] += gpus * stood.total_seconds() / 3600
    return [Spent(*key, gpu_hours) for key, gpu_hours in sorted(hours.items())]


def standing(*, at: datetime) -> Counter[str]:
    """GPUs by state at a moment; empty where the ledger does not reach back so far."""
    lots = LedgerLot.objects.filter(Q(until=None) | Q(until__gt=at), since__lte=at)
    found: Counter[str] = Counter()
    for state, gpus in lots.order_by().values_list("state", "gpus"):
        found[state] += gpus
    return found


def ledger_begins() -> datetime | None:
    """When the oldest lot that is kept began; None for an empty ledger."""
    begun: datetime | None = LedgerLot.objects.aggregate(at=Min("since"))["at"]
    return begun
