"""The corrections of demand that are in force: those of each cluster's newest plan, until another
one; and the clusters that a cycle is to be asked for because of them."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from tiers.core.demand.correction import Correction
from tiers.models import Cycle, CycleState, DemandCorrection, PlannedSnapshot

Key = tuple[str, str]  # (cluster, workload)
CYCLES_IN_FORCE = 2  # a plan so many periods old is none to correct any more
ASK_EVERY = timedelta(minutes=2)  # for a cycle, at most, because of one cluster


def newest_plans(*, now: datetime) -> dict[str, UUID]:
    """By cluster, the newest cycle that planned on it; without those where none did lately.

    A cluster that a cycle leaves out keeps the plan it had.
    """
    oldest = now - timedelta(seconds=CYCLES_IN_FORCE * settings.CYCLE_EVERY_S)
    rows = PlannedSnapshot.objects.filter(at__gte=oldest).values_list("pk", "snapshot__pools")
    found: dict[str, UUID] = {}
    for cycle_id, pools in rows:
        for pool in pools:
            found.setdefault(pool["cluster"], cycle_id)
    return found


def corrections_in_force(*, now: datetime) -> dict[Key, Correction]:
    """By cluster and workload."""
    return {(row.cluster, row.workload): _read(row) for row in _in_force(newest_plans(now=now))}


def _in_force(plans: Mapping[str, UUID]) -> QuerySet[DemandCorrection]:
    mine = Q(pk__in=())
    for cluster, cycle_id in plans.items():
        mine |= Q(cluster=cluster, cycle_id=cycle_id)
    return DemandCorrection.objects.filter(mine)


def keep_corrections(plans: Mapping[str, UUID], found: Mapping[Key, Correction]) -> None:
    """Keep corrections of each cluster's plan, where none as high is kept."""
    for (cluster, workload), correction in found.items():
        values = asdict(correction)
        mine = {"cycle_id": plans[cluster], "cluster": cluster, "workload": workload}
        _, new = DemandCorrection.objects.get_or_create(**mine, defaults=values)
        if not new:
            lower = DemandCorrection.objects.filter(**mine, wanted_rps__lt=correction.wanted_rps)
            lower.update(**values)


def take_asking(*, now: datetime) -> list[str]:
    """The clusters because of which a cycle is to be asked for now, which is marked at them.

    None where a cycle has begun since their demand was last corrected, as that one knows of it, and
    none within `ASK_EVERY` of the last time. Of two workers at once one is told.
    """
    begun = Cycle.objects.exclude(state=CycleState.FAILED).first()
    recently = DemandCorrection.objects.filter(asked_at__gt=now - ASK_EVERY)
    open_rows = _in_force(newest_plans(now=now))
    if begun:
        open_rows = open_rows.filter(at__gt=begun.started_at)
    due = set(open_rows.values_list("cluster", flat=True))
    due -= set(recently.values_list("cluster", flat=True))
    free = open_rows.exclude(asked_at__gt=now - ASK_EVERY)
    return [c for c in sorted(due) if free.filter(cluster=c).update(asked_at=now)]


def _read(row: DemandCorrection) -> Correction:
    return Correction(
        at=row.at,
        wanted_rps=row.wanted_rps,
        planned_rps=row.planned_rps,
        gpus=row.gpus,
        arrivals_rps=row.arrivals_rps,
        waiting=row.waiting,
        refused_rps=row.refused_rps,
    )
