"""After the last step: does the cluster stand as the plan says, and do the metrics agree?

The cluster is asked first. Promises marked `verifies` are then read from samples taken after the
last step, for at most fifteen minutes; a promise not kept by then is written down, not hidden.
While a cluster cannot be read nothing is judged, and the fifteen minutes have not begun.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet

from infra_console.cluster.errors import ClusterError, ObjectMissing
from infra_console.cluster.reads import read_deployment
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.approving.approvals import locked
from infra_console.plans.errors import ReasonMissing, WrongState
from infra_console.plans.facts.kueue_facts import quota_problems
from infra_console.plans.facts.snapshot import Nodes
from infra_console.plans.holding.fence import EXECUTOR
from infra_console.plans.holding.locks import release_locks
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.safety import require_right
from infra_console.plans.settling.promises import Verdict, judge_now
from infra_console.plans.settling.readings import need_metrics
from infra_console.plans.settling.settlement import settle_at
from infra_console.plans.spec import Move
from infra_console.plans.states import PlanState, StepState
from infra_console.plans.steps.looks import Looks
from infra_console.plans.steps.registry import step_kind
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
    if not current_sources() and need_metrics(plan.spec.promises):
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


def end_verification(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """End by hand what cannot be verified, such as on a cluster that never comes back.

    The plan is `verified` with cluster and metrics unknown; its locks are let go and it is never
    settled. It may still be rolled back.

    Raises:
        NotAllowed, ReasonMissing, WrongState, PlanMissing: see each; nothing was changed.
    """
    require_right(by, "execution.control")
    who, reason = by.get_username(), reason.strip()
    with journal() as moves:
        plan = locked(plan_id)
        run = Execution.objects.filter(plan=plan).first()
        if plan.state != PlanState.VERIFYING or run is None or run.verified_at:
            raise WrongState(plan.number, plan.state, PlanState.VERIFIED)
        if not reason:
            raise ReasonMissing
        why = f"verification ended by hand, cluster and metrics unknown: {reason}"
        Execution.objects.filter(plan=plan).update(finished_at=clock.now(), outcome=why)
        release_locks(plan)
        return moves.move(plan.id, to=PlanState.VERIFIED, who=who, why=why)


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
    return problems + _step_problems(plan)


def _step_problems(plan: Plan) -> list[str]:
    """How objects differ that the plan changed, by the step kinds that can tell."""
    problems: list[str] = []
    skipped = Step.objects.filter(plan=plan, state=StepState.SKIPPED).values_list("key", flat=True)
    left_out = set(skipped)
    for step in plan.spec.steps:
        if step.key in left_out:
            continue
        kind = step_kind(step.kind)
        if isinstance(kind, Looks):
            try:
                found = kind.look(step.target, step.params).problem
            except ObjectMissing:
                found = "it is gone"
            problems += [f"{step.target.name}: {found}"] if found else []
    return problems


def _move_problems(move: Move, nodes: Nodes, tier_key: str) -> list[str]:
    """How one object differs from what its move promised."""
    target = move.target
    if target.kind == "ClusterQueue":
        return quota_problems(move)
    if move.kind != "node" and target.kind != "Deployment":
        return []  # its step looks at it
    if move.kind == "scale":
        held = read_deployment(target.cluster, target.namespace, target.name)
        wanted: dict[str, Any] = {"replicas": move.to_replicas, "ready": move.to_replicas}
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
    _open(plan).update(verification=found, outcome="")


def _open(plan: Plan) -> QuerySet[Execution]:
    """The execution, unless somebody ended its verification meanwhile."""
    return Execution.objects.filter(plan=plan, finished_at=None)


def _wait_for_cluster(plan: Plan, err: ClusterError) -> None:
    _open(plan).update(
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
        Plan.objects.select_for_update().get(id=plan.id)  # before its execution, as everybody here
        Execution.objects.filter(plan=plan).update(finished_at=clock.now(), outcome=why)
        release_locks(plan)
        moves.move(plan.id, to=PlanState.FAILED, who=EXECUTOR, why=why)
