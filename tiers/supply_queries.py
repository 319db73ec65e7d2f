"""Supply of the next hours by region and GPU type: from the ledger, its history, the calendar."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import (
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Min,
    Q,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce

from infra_console.fleet.models import Reservation
from tiers.core.demand.rates import SUPPLY_STATES, Rates, Spell, rates
from tiers.core.demand.supply import Coming, SupplyNow, SupplyStep, supply_band
from tiers.facts import FleetFacts
from tiers.models import LedgerLot

STEP, STEPS = timedelta(minutes=30), 8
HOURS = STEP * STEPS
GPUS_PER_NODE = 8
Place = tuple[str, str]  # (region, GPU type)


@dataclass(frozen=True, slots=True)
class SupplyRow:
    """GPUs of one region and type now and at each step; `why` says what is unknown."""

    region: str
    gpu_type: str
    now: SupplyNow | None
    steps: tuple[SupplyStep, ...]
    calendar: tuple[Coming, ...]
    why: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[SupplyStep, ...]:
        """The steps at one, two and four hours, for a page."""
        return tuple(self.steps[i] for i in (1, 3, 7) if i < len(self.steps))


def fleet_rates(facts: FleetFacts, *, now: datetime) -> Rates:
    """Rates of failure, repair and interruption from all of the ledger that is kept."""
    spot = {p.id for p in facts.config.pools if p.purchase == "spot"}
    oldest = now - timedelta(days=settings.KEEP_LEDGER_DAYS)
    kept = LedgerLot.objects.filter(since__gt=oldest)
    told = kept.filter(Q(state="broken") | Q(pool__in=spot))
    rows = told.values_list("cluster", "node", "state", "gpus", "since", "until", "pool")
    quiet = kept.filter(state__in=SUPPLY_STATES).exclude(pool__in=spot)
    span = Coalesce("until", Value(now), output_field=DateTimeField()) - F("since")
    hours = ExpressionWrapper(F("gpus") * span, output_field=DurationField())
    held = quiet.aggregate(hours=Sum(hours), begun=Min("since"))
    return rates(
        [
            Spell(f"{cluster}/{node}", state, gpus, since, until, pool in spot)
            for cluster, node, state, gpus, since, until, pool in rows
        ],
        now=now,
        gpus_per_node=GPUS_PER_NODE,
        supply_gpu_hours=(held["hours"] or timedelta()).total_seconds() / 3600,
        begun=held["begun"],
    )


def supply_rows(
    facts: FleetFacts, seen: Mapping[str, Any], rates: Rates, *, now: datetime
) -> list[SupplyRow]:
    """The supply of these clusters; a silent one is unknown.

    Args:
        seen: the observation's entry by cluster, empty where it was never read.
    """
    held = _held(facts, seen)
    calendar, odd = _calendar(facts, seen, now)
    silent = {facts.region_of[c]: c for c, entry in seen.items() if not entry.get("reachable")}
    places = {(facts.region_of[p.cluster], p.gpu_type) for p in facts.config.pools
              if p.cluster in seen} | set(held)  # fmt: skip
    rows = []
    for region, gpu_type in sorted(places):
        coming = calendar.get((region, gpu_type), [])
        if region in silent:
            why = (f"{silent[region]} does not answer", *odd.get(region, ()))
            rows.append(SupplyRow(region, gpu_type, None, (), tuple(coming), why))
            continue
        known = held.get((region, gpu_type), SupplyNow(0, 0, 0, GPUS_PER_NODE))
        steps = supply_band(known, rates, coming, now=now, step=STEP, steps=STEPS)
        rows.append(
            SupplyRow(region, gpu_type, known, tuple(steps), tuple(coming), odd.get(region, ()))
        )
    return rows


def _held(facts: FleetFacts, clusters: Iterable[str]) -> dict[Place, SupplyNow]:
    of_spot = {p.id for p in facts.config.pools if p.purchase == "spot"}
    sums: dict[Place, list[int]] = {}
    for lot in LedgerLot.objects.filter(until=None, cluster__in=list(clusters)):
        place = sums.setdefault((facts.region_of.get(lot.cluster, ""), lot.gpu_type), [0, 0, 0])
        if lot.state in SUPPLY_STATES:
            place[0] += lot.gpus
            place[1] += lot.gpus if lot.pool in of_spot else 0
        elif lot.state == "broken":
            place[2] += lot.gpus
    return {
        place: SupplyNow(gpus, spot, broken, GPUS_PER_NODE)
        for place, (gpus, spot, broken) in sums.items()
    }


def _calendar(
    facts: FleetFacts, clusters: Iterable[str], now: datetime
) -> tuple[dict[Place, list[Coming]], dict[str, tuple[str, ...]]]:
    """What reservations bring and take by place, and by region those without a GPU type."""
    pools = {p.id: p for p in facts.config.pools}
    wanted = set(clusters)
    found: dict[Place, list[Coming]] = {}
    odd: dict[str, tuple[str, ...]] = {}
    for row in Reservation.objects.filter(start__lte=now + HOURS, end__gt=now):
        pool = pools.get(row.pool)
        cluster = row.cluster or (pool.cluster if pool else "")
        gpu_type = row.gpu_type or (pool.gpu_type if pool else "")
        changes = [
            Coming(at, gpus, f"reservation {row.id} {word}")
            for at, gpus, word in ((row.start, row.gpus, "begins"), (row.end, -row.gpus, "ends"))
            if now < at <= now + HOURS
        ]
        if not changes or cluster not in wanted:
            continue
        region = facts.region_of[cluster]
        if gpu_type:
            found.setdefault((region, gpu_type), []).extend(changes)
        else:
            words = f"reservation {row.id} changes and names no GPU type"
            odd[region] = (*odd.get(region, ()), words)
    return found, odd
