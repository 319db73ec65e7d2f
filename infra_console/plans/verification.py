"""After the last step: does the cluster stand as the plan says, and do the metrics agree?

The cluster is asked first. Promises marked `verifies` are then read from samples taken after the
last step, for at most fifteen minutes; a promise not kept by then is written down, not hidden.
While a cluster cannot be read nothing is judged, and the fifteen minutes have not begun.
"""

from datetime import timedelta
from typing import Any

from infra_console.cluster.errors import ClusterError, ObjectMissing
from infra_console.cluster.reads import read_deployment
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.fence import EXECUTOR
from infra_console.plans.lifecycle import journal
from infra_console.plans.locks import release_locks
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.promises import Verdict, judge_now
from infra_console.plans.settlement import settle_at
from infra_console.plans.snapshot import Nodes
from infra_console.plans.spec import Move
from infra_console.plans.states import PlanState
from infra_console.telemetry.sources import current_sources

VERIFY_FOR = timedelta(minutes=15)
POLL_S = 5.0
UNREAD_POLL_S = 15.0


def verify(plan: Plan, *, tier_key: str) -> float:
    """Look once; return the seconds until the next look, 0 when verification has ended.

    Ends in `verifying` with a time to settle, in `verified` when there is no metric source, or in
    `failed` when the cluster does not stand as planned after fifteen minutes.
    """
    execution = Execution.objects.get(plan=plan)
    if execution.verified_at is not None:
        return 0.0
    overdue = execution.verify_until is not None and clock.now() > execution.verify_until
    try:
        problems = _cluster_problems(plan, tier_key)
    except ClusterError as err:
        _wait_for_cluster(plan, err)
        return UNREAD_POLL_S
    if not problems:
        return _ask_metrics(plan, overdue=overdue)
    _note(plan, {"cluster": problems})
    if not overdue:
        return POLL_S
    _fail(plan, problems)
    return 0.0


def _ask_metrics(plan: Plan, *, overdue: bool) -> float:
    """The cluster stands as planned: do the promises that verify hold too?"""
    if not current_sources():
        _close(
            plan, {"cluster": [], "metrics": "unknown: there is no metric source"}, metrics=False
        )
        return 0.0
    verdicts = _verdicts(plan)
    found = {"cluster": [], "metrics": [v.as_json() for v in verdicts]}
    if any(not v.kept for v in verdicts) and not overdue:
        _note(plan, found)
        return POLL_S
    _close(plan, found, metrics=True)
    return 0.0


def _verdicts(plan: Plan) -> list[Verdict]:
    last = Step.objects.filter(plan=plan).order_by("-finished_at").first()
    after = last.finished_at if last and last.finished_at else plan.created_at
    return [judge_now(p, after=after) for p in plan.spec.promises if p.verifies]


def _cluster_problems(plan: Plan, tier_key: str) -> list[str]:
    """How the cluster differs from the plan.

    Raises:
        ClusterError: it cannot be read, which says nothing about how it stands.
    """
    problems: list[str] = []
    nodes = Nodes()
    for move in plan.spec.moves:
        try:
            problems += _move_problems(move, nodes, tier_key)
        except ObjectMissing:
            problems.append(f"{move.target.name} is gone")
    return problems


def _move_problems(move: Move, nodes: Nodes, tier_key: str) -> list[str]:
    """How one object differs from what its move promised."""
    target = move.target
    if move.kind == "scale":
        held = read_deployment(target.cluster, target.namespace, target.name)
        wanted = {"replicas": move.to_replicas, "ready": move.to_replicas}
        facts: dict[str, Any] = {"replicas": held.replicas, "ready": held.ready}
    else:
        node = nodes.get(target.cluster, target.name)
        taints = [t.value for t in node.taints if t.key == tier_key]
        wanted = {"tier": move.to_tier, "taints": [move.to_tier], "closed": False, "ready": True}
        facts = {"tier": node.labels.get(tier_key), "taints": taints}
        facts |= {"closed": node.unschedulable, "ready": node.ready}
    return [
        f"{target.name}: {fact} is {facts[fact]}, planned {value}"
        for fact, value in wanted.items()
        if facts[fact] != value
    ]


def _note(plan: Plan, found: dict[str, Any]) -> None:
    Execution.objects.filter(plan=plan).update(verification=found, outcome="")


def _wait_for_cluster(plan: Plan, err: ClusterError) -> None:
    Execution.objects.filter(plan=plan).update(
        outcome=f"waits to verify, unknown how it stands: {err}",
        verify_until=clock.now() + VERIFY_FOR,
    )


def _close(plan: Plan, found: dict[str, Any], *, metrics: bool) -> None:
    """Verification is over: let the locks go; settle later, or end where nothing is measured."""
    now = clock.now()
    with journal() as moves:
        if Plan.objects.select_for_update().get(id=plan.id).state != PlanState.VERIFYING:
            return  # somebody is rolling it back
        Execution.objects.filter(plan=plan, verified_at=None).update(
            verification=found,
            verified_at=now,
            finished_at=now,
            settle_at=settle_at(now) if metrics else None,
            outcome="the cluster stands as planned",
        )
        release_locks(plan)
        if metrics:
            publish(kind="plan", id=str(plan.id), version=plan.version)
        else:
            why = "the cluster stands as planned; metrics are unknown"
            moves.move(plan.id, to=PlanState.VERIFIED, who=EXECUTOR, why=why)


def _fail(plan: Plan, problems: list[str]) -> None:
    why = f"the cluster does not stand as planned: {'; '.join(problems[:5])}"
    with journal() as moves:
        Execution.objects.filter(plan=plan).update(finished_at=clock.now(), outcome=why)
        release_locks(plan)
        moves.move(plan.id, to=PlanState.FAILED, who=EXECUTOR, why=why)
