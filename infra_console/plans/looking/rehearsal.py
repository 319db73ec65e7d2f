"""The server's dry run of a plan that nobody has decided on, and the figures of its policy checks.

Each step asks the API server to check its writes and persist nothing. A step that follows another
is checked as the object stands now, before that one.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings

from infra_console.cluster.errors import (
    ClusterError,
    ClusterForbidden,
    InvalidRequest,
    ObjectMissing,
)
from infra_console.cluster.leases import read_lease
from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import list_nodes
from infra_console.fleet.queries import tier_key
from infra_console.plans.errors import Drifted
from infra_console.plans.facts.drift import check_drift
from infra_console.plans.holding.guards import GuardRail, ready_gpus
from infra_console.plans.holding.ownership import LEASE, identity_in
from infra_console.plans.marks import PLAN
from infra_console.plans.models import Plan
from infra_console.plans.places import is_own
from infra_console.plans.safety import is_killed
from infra_console.plans.spec import PlanSpec, StepSpec
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Failed,
    Outcome,
    Skipped,
    StepContext,
    Waiting,
)
from infra_console.plans.steps.registry import step_kind

# What has not been asked by then is said to be unknown: a look must not hold a worker for long.
AT_MOST_S = 45.0
NOT_ASKED = "not asked: it took too long"
KILLED = "not asked: the kill switch is engaged"


def rehearse(plan: Plan) -> dict[str, Any]:
    """Everything that the clusters say about a plan, as JSON. Nothing is written."""
    key, spec = tier_key(), plan.spec
    clusters = {k.cluster for k in spec.locks if not is_own(k.cluster)}
    rooms = {cluster: _read(cluster) for cluster in sorted(clusters)}
    return {
        "unread": {c: held for c, held in rooms.items() if isinstance(held, str)},
        "drift": _drift(spec, key),
        "floors": list(_floors(spec, rooms, key)),
        "moving": list(_moving(spec, rooms)),
        "owners": {cluster: _owner(cluster) for cluster in rooms},
        "steps": list(_steps(plan, key)),
    }


def _read(cluster: str) -> list[NodeState] | str:
    try:
        return list_nodes(cluster)
    except ClusterError as err:
        return err.problem


def _drift(spec: PlanSpec, key: str) -> dict[str, Any]:
    """What has changed of what the plan relies on; `changes` is None where it cannot be read."""
    try:
        check_drift(spec.preconditions, tier_key=key)
    except Drifted as drift:
        return {"changes": list(drift.changes), "problem": ""}
    except ClusterError as err:
        return {"changes": None, "problem": str(err)}
    return {"changes": [], "problem": ""}


def _floors(
    spec: PlanSpec, rooms: Mapping[str, list[NodeState] | str], key: str
) -> Iterable[dict[str, Any]]:
    """Ready GPUs of each guarded tier now, and once the plan's nodes have moved."""
    for guard in spec.guards:
        nodes = rooms.get(guard.cluster)
        now = after = None
        if isinstance(nodes, list):
            now = ready_gpus(nodes, tier_key=key, tier=guard.tier)
            after = now + _change(spec, nodes, guard.cluster, guard.tier, key)
        yield {
            "cluster": guard.cluster,
            "tier": guard.tier,
            "floor": guard.min_ready_gpus,
            "now": now,
            "after": after,
        }


def _change(spec: PlanSpec, nodes: list[NodeState], cluster: str, tier: str, key: str) -> int:
    by_name = {node.name: node for node in nodes}
    change = 0
    for move in spec.moves:
        node = by_name.get(move.target.name)
        if move.kind != "node" or move.target.cluster != cluster or node is None:
            continue
        if move.from_tier == tier:
            change -= ready_gpus([node], tier_key=key, tier=tier)
        if move.to_tier == tier and node.labels.get(key) != tier:
            change += node.gpus_allocatable
    return change


def _moving(spec: PlanSpec, rooms: Mapping[str, list[NodeState] | str]) -> Iterable[dict[str, Any]]:
    """Nodes of each budgeted cluster that plans of ours hold closed now."""
    for budget in spec.budgets:
        nodes = rooms.get(budget.cluster)
        held = [n for n in nodes if n.unschedulable and PLAN in n.annotations] if isinstance(
            nodes, list
        ) else None  # fmt: skip
        yield {
            "cluster": budget.cluster,
            "max": budget.max_nodes,
            "now": None if held is None else len(held),
        }


def _owner(cluster: str) -> dict[str, Any]:
    """Who holds the cluster's Lease; `ours` is None where it cannot be told."""
    try:
        held = read_lease(cluster, settings.OWNERSHIP_NAMESPACE, LEASE)
        mine = held is None or not held.holder or held.holder == identity_in(cluster)
    except ClusterError as err:
        return {"ours": None, "words": err.problem}
    if mine:
        words = "this console holds its Lease" if held and held.holder else "nobody holds its Lease"
        return {"ours": True, "words": words}
    return {"ours": False, "words": f"{held.holder if held else ''} holds its Lease"}


def _steps(plan: Plan, key: str) -> Iterable[dict[str, Any]]:
    """Each step with what the server said: passed True, refused False, not known None."""
    until = time.monotonic() + AT_MOST_S
    for spec in plan.spec.steps:
        if is_killed():
            passed, detail = None, KILLED
        elif time.monotonic() > until:
            passed, detail = None, NOT_ASKED
        else:
            passed, detail = _verdict(_try(plan, spec, key))
        yield {
            "key": spec.key,
            "title": spec.title,
            "cluster": spec.target.cluster,
            "passed": passed,
            "detail": detail,
        }


def _try(plan: Plan, spec: StepSpec, key: str) -> Outcome | ClusterError:
    try:
        return step_kind(spec.kind).rehearse(_context(plan, spec, key))
    except ClusterError as err:
        return err


def _context(plan: Plan, spec: StepSpec, key: str) -> StepContext:
    def write(_what: str, call: Callable[[], Any]) -> Any:
        return call()  # a dry run: no lease, no arming, and no audit row, as nothing is written

    return StepContext(
        plan_id=str(plan.id),
        epoch=0,
        target=spec.target,
        tier=spec.tier,
        params=spec.params,
        attempts=1,
        prior=None,
        tier_key=key,
        guards=GuardRail(
            spec.target.cluster,
            tier_key=key,
            guards=plan.spec.guards,
            budgets=plan.spec.budgets,
            list_nodes=list_nodes,
        ),
        dry_run=True,
        authorised_write=write,
        keep_prior=lambda _prior: None,
    )


def _verdict(outcome: Outcome | ClusterError) -> tuple[bool | None, str]:
    match outcome:
        case Done(detail):
            return True, detail
        case Waiting(reason) | Blocked(reason) | Failed(reason) | Skipped(reason):
            return False, reason
        case ClusterForbidden() | InvalidRequest() | ObjectMissing():
            return False, str(outcome)
        case _:  # no answer, which says nothing about the plan
            return None, str(outcome)
