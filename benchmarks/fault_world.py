"""Others who write to the same cluster, nodes that leave or change, budgets in the way."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest.mock import patch

from benchmarks.fault_stranger import Busy
from benchmarks.faults_bench import MOVED, Bench
from infra_console.plans import services
from infra_console.plans.executing import patience
from infra_console.plans.models import Plan
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import TIER_KEY, node_steps, scale_move, scale_step
from tiers.twin.controllers import gitops, nodes
from tiers.twin.kube.resources import DEPLOYMENTS, LEASES, PDBS

OTHERS = (f"{CLUSTER}-a100-reserved-02", f"{CLUSTER}-a100-reserved-03")
SERVING = f"{CLUSTER}-h100-reserved-04"  # of the inference tier, with pods under budgets
ENDED_BY_OTHERS = ("failed", "void", "paused")
# One boundary in each step of the four: cordon, drain, assign, uncordon, and their records.
HOUR_S = 3.0  # as long as an hour is here
MOMENTS = (1, 3, 6, 9, 12)


def others_at_work(bench: Bench) -> None:
    """Heartbeats, autoscalers, Kueue, a GitOps agent and another cordoner, all the time."""
    _own_replicas(bench, "chat-7b")
    with Busy(bench.stranger, list(OTHERS), MOVED, bench.rng) as busy:
        for _ in range(4):
            plan = bench.next_plan()
            bench.finish(plan)
            bench.judge(plan)
    bench.expect(busy.writes > 5, f"the others wrote {busy.writes} times only")
    for node in OTHERS:
        held = bench.twin.node(node)["metadata"].get("annotations") or {}
        bench.expect("infra-console.dev/plan" not in held, f"{node} carries a mark of ours")


def owned_by_git(bench: Bench) -> None:
    """What git owns is left to git: the plan names the owner and writes nothing."""
    before = int(bench.twin.deployment("chat-7b")["spec"]["replicas"])
    _own_replicas(bench, "chat-7b")
    plan = bench.next_plan(
        bench.document(
            moves=(scale_move("chat-7b", before, before + 1),),
            steps=(scale_step("chat-7b", before, before + 1),),
            preconditions=(),
        )
    )
    bench.finish(plan)
    bench.judge(plan, ends=("paused",))
    plan.refresh_from_db()
    bench.expect("argocd" in plan.state_reason, f"it does not say whose it is: {plan.state_reason}")
    tries = bench.twin.count("update deployments/scale chat-7b")
    bench.expect(not tries, f"it wrote {tries} times against git")


def _own_replicas(bench: Bench, name: str) -> None:
    def own() -> None:
        held = bench.twin.store.get(DEPLOYMENTS, "inference", name)
        partial_manifest = {
            "apiVersion": held["apiVersion"],
            "kind": held["kind"],
            "metadata": {"namespace": "inference", "name": name},
            "spec": {"replicas": held["spec"]["replicas"]},
        }
        gitops.own(bench.twin.store, partial_manifest, datetime.now(UTC))

    bench.twin.call(own)


def node_changes(change: Callable[[Bench], None], ends: Sequence[str], bench: Bench) -> None:
    """Somebody changes the node at one moment of the plan, each time another."""
    number = bench.rng.choice(MOMENTS)
    plan = bench.next_plan()
    bench.strike(plan, number, partial(change, bench))
    bench.finish(plan)
    plan.refresh_from_db()
    if plan.state == "paused":
        _abort(bench, plan)
        bench.judge(plan, what=f"at boundary {number}", ends=("aborted",))
    else:
        bench.judge(plan, what=f"at boundary {number}", ends=ends)


def _abort(bench: Bench, plan: Plan) -> None:
    services.abort_execution(plan.id, by=bench.operator, reason="somebody else was there")
    bench.finish(plan)


def _delete(bench: Bench) -> None:
    bench.stranger.delete_node(MOVED)


def _relabel(bench: Bench) -> None:
    bench.stranger.set_label(MOVED, TIER_KEY, "operational")


def _open(bench: Bench) -> None:
    bench.stranger.open_node(MOVED)


def _fail(bench: Bench) -> None:
    """The node falls silent, and is NotReady after its grace."""

    def silence() -> None:
        nodes.fail_node(bench.twin.store, MOVED, datetime.now(UTC))
        beat = bench.twin.store.get(LEASES, "kube-node-lease", MOVED)
        silent = {**beat["spec"], "renewTime": "2026-01-01T00:00:00.000000Z"}
        bench.twin.store.put(LEASES, {**beat, "spec": silent})

    bench.twin.call(silence)
    time.sleep(0.3)


def budget_in_the_way(bench: Bench) -> None:
    """A disruption budget gives way to nobody for an hour; then its owner lifts it."""
    bench.twin.call(partial(_allow, bench, 0))
    giver, taker = "inference", "training"
    document = bench.document(
        SERVING,
        moves=(),
        steps=tuple(node_steps(SERVING, giver, taker)),
        preconditions=(),
        guards=(),
    )
    plan = bench.next_plan(document)
    with patch.object(patience, "PATIENCE", timedelta(seconds=HOUR_S / 2)):
        bench.finish(plan, within_s=HOUR_S * 3)
    plan.refresh_from_db()
    bench.expect(plan.state == "paused", f"{plan} is {plan.state}, nobody was asked")
    bench.expect("disruption budget keeps" in plan.state_reason, plan.state_reason)
    bench.judge(plan, what="an hour in the way", ends=("paused",))
    bench.twin.call(partial(_allow, bench, 8))
    if plan.state == "paused":
        services.resume_execution(plan.id, by=bench.operator, reason="the budget gives way")
    bench.finish(plan)
    bench.judge(plan, what="given way")


def _allow(bench: Bench, pods: int) -> None:
    for budget in bench.twin.store.all(PDBS, "inference"):
        spec = {"selector": budget["spec"]["selector"]}
        bench.twin.store.put(PDBS, {**budget, "spec": spec | {"maxUnavailable": pods}})


FAULTS: Mapping[str, Callable[[Bench], None]] = {
    "others at work all the time": others_at_work,
    "owned by git": owned_by_git,
    "node deleted by somebody else": partial(node_changes, _delete, ENDED_BY_OTHERS),
    "node relabelled by somebody else": partial(node_changes, _relabel, ENDED_BY_OTHERS),
    "node opened by somebody else": partial(node_changes, _open, (*ENDED_BY_OTHERS, "verified")),
    "node NotReady": partial(node_changes, _fail, (*ENDED_BY_OTHERS, "verified")),
    "PDB blocks for an hour": budget_in_the_way,
}
