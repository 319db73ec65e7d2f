"""Each minute between two cycles: live queues against what the last cycle planned, upward only.

It reads three numbers a model (`QUEUES`), asks no cluster and plans nothing. What it keeps is what
pages show and the next cycle begins from. It makes those waiting plans urgent that would help and
asks for that cycle at once; what is carried out without people is an envelope's to say, as always.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from infra_console.fleet.queries import current_fleet
from infra_console.live.services import publish
from tiers.core.demand.correction import Correction, corrected, planned_of
from tiers.core.snapshot import Snapshot
from tiers.corrections import (
    Key,
    corrections_in_force,
    keep_corrections,
    newest_plans,
    take_asking,
)
from tiers.demand_readings import live_demand, read_queues
from tiers.errors import NoFleet
from tiers.facts import FleetFacts, fleet_facts
from tiers.models import PlannedSnapshot
from tiers.services import FAST_AUTHOR, request_cycle
from tiers.urgency import raise_waiting


def correct_demand(*, now: datetime) -> list[str]:
    """Look once, keep what outgrew its plan and hasten what would serve it; what was corrected now,
    in words.

    Raises:
        NoFleet: nothing is configured. Silent sources do not raise: what is unknown corrects
            nothing.
    """
    config, plans = current_fleet(), newest_plans(now=now)
    if config is None:
        raise NoFleet
    facts, known = fleet_facts(config), corrections_in_force(now=now)
    found = _outgrown(facts, plans, known, now=now) if plans else {}
    if found:
        with transaction.atomic():
            keep_corrections(plans, found)
            publish("demand", "fast-pass", 0)
    raise_waiting(facts, known | found, who=FAST_AUTHOR)
    with transaction.atomic():
        if clusters := take_asking(now=now):
            why = f"demand is above its plan in {', '.join(clusters)}"
            request_cycle(by=FAST_AUTHOR, why=why)
    return [f"{workload} in {cluster}: {c.words}" for (cluster, workload), c in found.items()]


def _outgrown(
    facts: FleetFacts, plans: Mapping[str, UUID], known: Mapping[Key, Correction], *, now: datetime
) -> dict[Key, Correction]:
    """What is wanted above each cluster's own newest plan, where it is more than was known."""
    kept = PlannedSnapshot.objects.in_bulk(set(plans.values()))
    snapshots = {key: Snapshot.model_validate(row.snapshot) for key, row in kept.items()}
    found = {}
    for key, live in live_demand(facts, read_queues()).items():
        snapshot = snapshots.get(plans[key[0]]) if key[0] in plans else None
        planned = snapshot and planned_of(snapshot, key[1], facts.region_of[key[0]])
        after = corrected(planned, live, known.get(key), at=now) if planned else None
        if after is not None and after != known.get(key):
            found[key] = after
    return found
