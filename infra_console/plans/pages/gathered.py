"""What the plan pages show, gathered from rows; decisions about who may do what are asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra_console.fleet.queries import list_clusters
from infra_console.overview.looks import Tone, look_of
from infra_console.overview.scope import TIERS
from infra_console.plans.approving.changes import Lane, lanes
from infra_console.plans.models import Arming, Execution, Plan, Settlement, Step
from infra_console.plans.safety import armed_now
from infra_console.plans.states import LIVE, PlanState

SEARCHED = 2000  # plans looked through when a region is asked for

GROUPS: Mapping[str, tuple[str, frozenset[str]]] = {
    "all": ("All", frozenset(PlanState.values)),
    "review": ("To decide", frozenset({PlanState.PROPOSED})),
    "live": ("Under way", frozenset(LIVE)),
    "good": (
        "Carried out",
        frozenset({PlanState.SETTLED, PlanState.VERIFIED, PlanState.REHEARSED}),
    ),
    "bad": (
        "Failed, aborted, rolled back",
        frozenset({PlanState.FAILED, PlanState.ABORTED, PlanState.ROLLED_BACK}),
    ),
    "gone": (
        "Not carried out",
        frozenset(
            {
                PlanState.REJECTED,
                PlanState.WITHDRAWN,
                PlanState.EXPIRED,
                PlanState.SUPERSEDED,
                PlanState.VOID,
            }
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class GroupCount:
    """One filter of the list with how many plans it holds."""

    key: str
    word: str
    count: int
    current: bool


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """A step as the timeline shows it."""

    state: str
    tone: Tone
    title: str
    detail: str
    attempts: int
    finished: bool
    took_s: float | None
    cluster: str
    target: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """A promise beside what came of it: `realised` and `kept` (None where nothing was measured)
    right after the last step, and at the settlement; None where that has not been looked at."""

    title: str
    op: str
    bound: float
    unit: str
    verifies: bool
    verified: Mapping[str, Any] | None
    settled: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ArmingCell:
    tier: str
    arming: Arming | None


@dataclass(frozen=True, slots=True)
class ArmingRow:
    cluster: str
    cells: tuple[ArmingCell, ...]


def plans_page(
    *, group: str, region: str = "", before: int | None = None, limit: int
) -> list[Plan]:
    """Plans of a group, newest first, with numbers below `before`; of one region when given."""
    plans = Plan.objects.filter(state__in=GROUPS[group][1]).order_by("-number")
    if before is not None:
        plans = plans.filter(number__lt=before)
    if not region:
        return list(plans[:limit])
    clusters = {c.id for c in list_clusters(region_id=region)}
    here = (p for p in plans[:SEARCHED] if clusters & {k["cluster"] for k in p.document["locks"]})
    return [plan for plan, _ in zip(here, range(limit), strict=False)]


def group_counts(current: str) -> list[GroupCount]:
    states = list(Plan.objects.values_list("state", flat=True))
    return [
        GroupCount(key, word, sum(state in members for state in states), key == current)
        for key, (word, members) in GROUPS.items()
    ]


def timeline(steps: Iterable[Step]) -> list[Lane]:
    """Steps as stored, by the object they touch."""
    return lanes([_timeline_step(step) for step in steps])


def planned_timeline(plan: Plan) -> list[Lane]:
    """The steps of a plan that has not been approved: all pending."""
    steps = plan.spec.steps
    return lanes(
        [
            TimelineStep(
                state="pending",
                tone="quiet",
                title=step.title,
                detail="",
                attempts=0,
                finished=False,
                took_s=None,
                cluster=step.target.cluster,
                target=step.target.model_dump(),
            )
            for step in steps
        ]
    )


def _timeline_step(step: Step) -> TimelineStep:
    took = step.finished_at - step.started_at if step.finished_at and step.started_at else None
    return TimelineStep(
        state=step.state,
        tone=look_of("step", step.state).tone,
        title=step.title,
        detail=step.detail,
        attempts=step.attempts,
        finished=step.finished_at is not None,
        took_s=took.total_seconds() if took else None,
        cluster=step.cluster,
        target=step.target,
    )


def promise_rows(
    plan: Plan, execution: Execution | None, settlement: Settlement | None
) -> list[PromiseRow]:
    """Each promise of the plan, with what was found at verification and at settlement."""
    metrics = execution.verification.get("metrics") if execution else None
    verified = _by_title(metrics if isinstance(metrics, list) else [])
    settled = _by_title(settlement.promises if settlement else [])
    return [
        PromiseRow(
            title=promise.title,
            op=promise.op,
            bound=promise.bound,
            unit=promise.unit,
            verifies=promise.verifies,
            verified=verified.get(promise.title),
            settled=settled.get(promise.title),
        )
        for promise in plan.spec.promises
    ]


def _by_title(verdicts: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {verdict["title"]: verdict for verdict in verdicts}


def arming_rows() -> list[ArmingRow]:
    """Every cluster with what is armed of it now."""
    armed = {(row.cluster, row.tier): row for row in armed_now()}
    return [
        ArmingRow(c.id, tuple(ArmingCell(tier, armed.get((c.id, tier))) for tier in TIERS))
        for c in list_clusters()
    ]


def is_armed(plan: Plan) -> bool:
    """Whether every (cluster, tier) that the plan locks may be written to now."""
    armed = set(armed_now().values_list("cluster", "tier"))
    return {(k["cluster"], k["tier"]) for k in plan.document["locks"]} <= armed
