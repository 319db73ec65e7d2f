"""How late this fleet acts: from a plan to pods that run, as its own executions took."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import Max, Q

from infra_console.plans.models import Execution
from infra_console.plans.states import Mode, StepState

LOOKED_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Lag:
    """Medians over `executions` real ones: people's part, the cluster's part, both together."""

    executions: int
    decided_s: float
    carried_out_s: float
    total_s: float
    total_p90_s: float


def actuation_lag(*, now: datetime) -> Lag | None:
    """None where nothing was carried out in the last 30 days: the lag is unknown, not zero."""
    done = Q(plan__steps__state=StepState.DONE, plan__steps__back=False)
    rows = (
        Execution.objects.filter(
            mode=Mode.REAL, started_at__gt=now - LOOKED_BACK, verify_until__isnull=False
        )
        .annotate(ready_at=Max("plan__steps__finished_at", filter=done))
        .exclude(ready_at=None)
        .values_list("plan__created_at", "started_at", "ready_at")
    )
    spans = [
        ((begun - asked).total_seconds(), (ready - begun).total_seconds())
        for asked, begun, ready in rows
        if begun is not None and ready >= begun
    ]
    if not spans:
        return None
    totals = sorted(decided + carried for decided, carried in spans)
    return Lag(
        executions=len(spans),
        decided_s=median(decided for decided, _ in spans),
        carried_out_s=median(carried for _, carried in spans),
        total_s=median(totals),
        total_p90_s=totals[min(len(totals) - 1, int(0.9 * len(totals)))],
    )
