"""The corrections of demand that are in force: those of the newest plan, until another one."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

from django.conf import settings

from tiers.core.demand.correction import Correction
from tiers.models import DemandCorrection, PlannedSnapshot

Key = tuple[str, str]  # (cluster, workload)
CYCLES_IN_FORCE = 2  # a plan so many periods old is none to correct any more


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
