"""The corrections of demand that are in force: those of the newest plan, until another one; and the
clusters that a cycle is to be asked for because of them."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

from django.conf import settings

from tiers.core.demand.correction import Correction
from tiers.models import Cycle, CycleState, DemandCorrection, PlannedSnapshot

Key = tuple[str, str]  # (cluster, workload)
CYCLES_IN_FORCE = 2  # a plan so many periods old is none to correct any more
ASK_EVERY = timedelta(minutes=2)  # for a cycle, at most, because of one cluster


def newest_plan(*, now: datetime) -> PlannedSnapshot | None:
    """What the newest cycle that planned has planned from; None where none did lately."""
    oldest = now - timedelta(seconds=CYCLES_IN_FORCE * settings.CYCLE_EVERY_S)
    return PlannedSnapshot.objects.filter(at__gte=oldest).first()


def corrections_in_force(*, now: datetime) -> dict[Key, Correction]:
    """By cluster and workload."""
    plan = newest_plan(now=now)
    if plan is None:
        return {}
    rows = DemandCorrection.objects.filter(cycle_id=plan.pk)
    return {(row.cluster, row.workload): _read(row) for row in rows}


def keep_corrections(plan: PlannedSnapshot, found: Mapping[Key, Correction]) -> None:
    """Keep corrections of a plan, where none as high is kept."""
    for (cluster, workload), correction in found.items():
        values = asdict(correction)
        mine = {"cycle_id": plan.pk, "cluster": cluster, "workload": workload}
        _, new = DemandCorrection.objects.get_or_create(**mine, defaults=values)
        if not new:
            lower = DemandCorrection.objects.filter(**mine, wanted_rps__lt=correction.wanted_rps)
            lower.update(**values)


def take_asking(*, now: datetime) -> list[str]:
    """The clusters because of which a cycle is to be asked for now, which is marked at them.

    None where a cycle has begun since their demand was last corrected, as that one knows of it, and
    none within `ASK_EVERY` of the last time. Of two workers at once one is told.
    """
    plan = newest_plan(now=now)
    if plan is None:
        return []
    begun = Cycle.objects.exclude(state=CycleState.FAILED).first()
    recently = DemandCorrection.objects.filter(asked_at__gt=now - ASK_EVERY)
    open_rows = DemandCorrection.objects.filter(cycle_id=plan.pk)
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
