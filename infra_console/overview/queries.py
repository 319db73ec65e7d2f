"""Reads of plans for the first page and the frame."""

from infra_console.fleet.queries import list_clusters
from infra_console.plans.models import Execution, KillSwitch, Plan
from infra_console.plans.queries import unfinished
from infra_console.plans.safety import armed_now
from infra_console.plans.states import PlanState

MOST_PLANS = 200  # what one page looks through; far more than ever wait or run at once


def plans_by_state(*states: PlanState, region: str = "", limit: int = 100) -> list[Plan]:
    """Plans in these states and not yet verified, newest first; of one region when given."""
    rows = unfinished(states).order_by("-number")
    clusters = _clusters(region)
    return [plan for plan in rows[:MOST_PLANS] if _touches(plan, clusters)][:limit]


def recent_executions(*, limit: int, region: str = "") -> list[Execution]:
    """The newest executions with their plans."""
    rows = Execution.objects.select_related("plan").order_by("-plan__number")[:MOST_PLANS]
    clusters = _clusters(region)
    return [run for run in rows if _touches(run.plan, clusters)][:limit]


def kill_switch() -> KillSwitch:
    return KillSwitch.objects.filter(id=1).first() or KillSwitch()


def kill_switch_engaged() -> bool:
    return kill_switch().engaged


def armed_pairs() -> int:
    """How many (cluster, tier) pairs may be written to now."""
    return armed_now().count()


def plans_waiting() -> int:
    return Plan.objects.filter(state=PlanState.PROPOSED, held_back=False).count()


def plans_to_decide(*, region: str = "") -> list[Plan]:
    """Plans that people are asked for, newest first; of one region when given."""
    return [p for p in plans_by_state(PlanState.PROPOSED, region=region) if not p.held_back]


def _clusters(region: str) -> frozenset[str] | None:
    """A region's clusters; None for the whole fleet."""
    return frozenset(c.id for c in list_clusters(region_id=region)) if region else None


def _touches(plan: Plan, clusters: frozenset[str] | None) -> bool:
    return clusters is None or any(lock["cluster"] in clusters for lock in plan.document["locks"])
