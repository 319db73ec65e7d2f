"""I2: floors and budgets, by replaying every node write of the API log over the nodes before it.

A write of ours is judged by what it changes: a node that fails by itself, or is closed by somebody
else, breaks no promise of ours.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from infra_console.cluster.objects import node_state
from infra_console.plans.holding.guards import ready_gpus
from infra_console.plans.invariants.history import NO_LOG, History, PlanRow, Request, Verdict
from infra_console.plans.invariants.patches import patched
from infra_console.plans.invariants.writes import Account, account

NO_NODES = "the nodes before the run were not given, so floors were not replayed"
World = dict[str, dict[str, Mapping[str, Any]]]


def within_floors_and_budgets(history: History) -> Verdict:
    """I2: no write of ours leaves a tier's ready GPUs under its floor, or more nodes moving than
    the budget allows."""
    kept = account(history)
    judged, below = _floors(history, kept)
    over = _budgets(history, kept)
    missing = NO_LOG if history.requests is None else NO_NODES if history.nodes is None else ""
    return Verdict(judged + len(kept.effects), (*below, *over), missing)


def _floors(history: History, kept: Account) -> tuple[int, list[str]]:
    plans = {p.id: p for p in history.plans}
    ours = {id(request): plans.get(write.plan) for write, request in kept.effects if request}
    world: World = {
        cluster: {n["metadata"]["name"]: n for n in nodes}
        for cluster, nodes in (history.nodes or {}).items()
    }
    judged, found = 0, []
    for request in sorted(_node_writes(history), key=lambda r: r.at):
        nodes = world.get(request.cluster)
        if nodes is None:
            continue
        before = dict(nodes)
        _apply(nodes, request)
        if plan := ours.get(id(request)):
            judged += 1
            found += _broken(plan, request, before, nodes, history.tier_key)
    return judged, found


def _node_writes(history: History) -> list[Request]:
    written = [r for r in history.requests or () if r.took_effect and r.resource == "nodes"]
    return [r for r in written if not r.subresource]


def _apply(nodes: dict[str, Mapping[str, Any]], request: Request) -> None:
    if request.verb == "delete":
        nodes.pop(request.name, None)
    elif request.name in nodes:
        nodes[request.name] = patched(nodes[request.name], request.body)


def _broken(
    plan: PlanRow,
    request: Request,
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
    tier_key: str,
) -> list[str]:
    found = []
    for guard in plan.document.get("guards", ()):
        if guard["cluster"] != request.cluster:
            continue
        was = _ready(before.values(), tier_key, guard["tier"])
        left = _ready(after.values(), tier_key, guard["tier"])
        if left < was and left < guard["min_ready_gpus"]:
            floor = f"below its floor of {guard['min_ready_gpus']}"
            found.append(f"{plan}: {request} left {guard['tier']} {left} ready GPUs, {floor}")
    return found


def _ready(nodes: Iterable[Mapping[str, Any]], tier_key: str, tier: str) -> int:
    return ready_gpus((node_state(dict(n)) for n in nodes), tier_key=tier_key, tier=tier)


def _budgets(history: History, kept: Account) -> list[str]:
    """Nodes that we have closed and not opened again, counted at each one that we close."""
    steps = {(s.plan, s.key): s for s in history.steps}
    plans = {p.id: p for p in history.plans}
    moving: set[tuple[str, str]] = set()
    found = []
    for write, _ in sorted(kept.effects, key=lambda pair: pair[0].seq):
        step, plan = steps.get((write.plan, write.step)), plans.get(write.plan)
        if step and plan and step.kind == "node.cordon":
            moving.add((step.cluster, step.name))
            found += _over(plan, step.cluster, sum(c == step.cluster for c, _ in moving))
        elif write.what.startswith("uncordon "):
            moving = {m for m in moving if m[1] != write.what.removeprefix("uncordon ")}
    return found


def _over(plan: PlanRow, cluster: str, count: int) -> list[str]:
    return [
        f"{plan} had {count} nodes moving in {cluster}, more than its {budget['max_nodes']}"
        for budget in plan.document.get("budgets", ())
        if budget["cluster"] == cluster and count > budget["max_nodes"]
    ]
