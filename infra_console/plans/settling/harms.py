"""Whether a plan that was not carried out would have hurt, by the signs that it carries.

Each sign is about what really happened without the plan, so it tells the truth only while nobody
moved the same capacity in another way: then nothing is said.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Q

from infra_console.plans.approving.proposals import overlaps
from infra_console.plans.models import Plan
from infra_console.plans.settling.judging import aggregated, judged
from infra_console.plans.settling.promises import read_over
from infra_console.plans.spec import Harm
from infra_console.plans.states import Mode
from infra_console.telemetry.errors import QueryUnknown
from infra_console.telemetry.series import Reading

NO_SIGN = "the plan names no sign by which to tell"


@dataclass(frozen=True, slots=True)
class Sign:
    """One harm and what was seen of it. `seen` and `realised` are None where nothing is known."""

    title: str
    op: str
    bound: float
    unit: str
    realised: float | None
    seen: bool | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def signs_of(plan: Plan, *, start: datetime, end: datetime) -> list[Sign]:
    """Every harm that the plan names, looked for over its horizon."""
    return [look_for(harm, start=start, end=end) for harm in plan.spec.harms]


def look_for(harm: Harm, *, start: datetime, end: datetime) -> Sign:
    """Whether one harm was seen; moments without a sample do not count."""
    try:
        reading = read_over(harm, start=start, end=end)
    except QueryUnknown as err:
        return judged(Sign, harm, None, str(err))
    values = _sum(reading)
    if not len(values):
        return judged(Sign, harm, None, reading.error or "no sample in the span")
    return judged(Sign, harm, aggregated(harm, values))


def verdict(plan: Plan, signs: Sequence[Sign], *, start: datetime, end: datetime) -> bool | None:
    """Whether the plan would have hurt: one sign is enough, none seen needs all of them known."""
    if not signs or acted_meanwhile(plan, start=start, end=end):
        return None
    if any(sign.seen for sign in signs):
        return True
    return None if any(sign.seen is None for sign in signs) else False


def why_untold(plan: Plan, signs: Sequence[Sign], *, start: datetime, end: datetime) -> str:
    """Why it cannot be told whether the plan would have hurt."""
    if not signs:
        return NO_SIGN
    if other := acted_meanwhile(plan, start=start, end=end):
        return f"plan {other} changed the same tiers in the meantime"
    return "not every sign could be measured"


def acted_meanwhile(plan: Plan, *, start: datetime, end: datetime) -> int | None:
    """The number of a plan that wrote under one of this plan's locks in the span."""
    at_work = Q(execution__finished_at=None) | Q(execution__finished_at__gt=start)
    others = Plan.objects.filter(
        at_work, execution__mode=Mode.REAL, execution__started_at__lt=end
    ).exclude(id=plan.id)
    spec = plan.spec
    found = (p.number for p in others.only("number", "document") if overlaps(p.document, spec))
    return next(found, None)


def _sum(reading: Reading) -> Any:
    """(T,) the sum of what is known at each moment at which anything is."""
    if not reading.series:
        return np.array([])
    values = np.stack([series.values for series in reading.series])
    known = ~np.isnan(values).all(axis=0)
    return np.nansum(values[:, known], axis=0)
