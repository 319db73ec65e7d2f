"""Each minute between two cycles: live queues against what the last cycle planned, upward only.

It reads three numbers a model (`QUEUES`), asks no cluster and plans nothing: what it keeps is what
pages show and the next cycle begins from.
"""

from datetime import datetime

from django.db import transaction

from infra_console.fleet.queries import current_fleet
from infra_console.live.services import publish
from tiers.core.demand.correction import corrected, planned_of
from tiers.core.snapshot import Snapshot
from tiers.corrections import corrections_in_force, keep_corrections, newest_plan
from tiers.demand_readings import live_demand, read_queues
from tiers.errors import NoFleet
from tiers.facts import fleet_facts


def correct_demand(*, now: datetime) -> list[str]:
    """Look once and keep what outgrew its plan; what was corrected now, in words.

    Raises:
        NoFleet: nothing is configured. Silent sources do not raise: what is unknown corrects
            nothing.
    """
    config, plan = current_fleet(), newest_plan(now=now)
    if config is None:
        raise NoFleet
    if plan is None:
        return []
    facts, snapshot = fleet_facts(config), Snapshot.model_validate(plan.snapshot)
    known = corrections_in_force(now=now)
    found = {}
    for key, live in live_demand(facts, read_queues()).items():
        planned = planned_of(snapshot, key[1], facts.region_of[key[0]])
        after = corrected(planned, live, known.get(key), at=now) if planned else None
        if after is not None and after != known.get(key):
            found[key] = after
    if found:
        with transaction.atomic():
            keep_corrections(plan, found)
            publish("demand", str(plan.pk), 0)
    return [f"{workload} in {cluster}: {c.words}" for (cluster, workload), c in found.items()]
