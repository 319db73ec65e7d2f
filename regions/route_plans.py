"""A proposal of weights as a plan: a step for each route, its floors and its way out as data."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra_console.fleet.queries import list_clusters
from infra_console.plans.spec import (
    Evidence,
    Lock,
    Move,
    ObjectRef,
    PlanSpec,
    Precondition,
    Promise,
    StepSpec,
)
from regions.core.weights import Proposal, Split, flows_into
from regions.route_facts import RESIDENCY
from regions.routing import Board, Held

DOMAIN = "regions"
# A promised share is met where this part of it arrives: two minutes of requests are a sample.
SHARE_MET, LEAST_PERCENT, NOTHING = 0.8, 10, 0.05
MORE = 0.1  # of the requests: what may stay beyond the share that was planned


def route_plan(board: Board) -> PlanSpec | None:
    """The plan of everything that the board proposes; None where nothing would change."""
    splits = {key: split for p in board.proposals for key, split in p.splits.items()}
    changed = [one for one in board.held if one.route.id in splits]
    if not changed:
        return None
    cases = _cases(board, {r for split in splits.values() for r, p in split.items() if p})
    models = sorted({one.route.model for one in changed})
    return PlanSpec(
        schema="plan/1",
        domain=DOMAIN,
        title=f"Routes of {', '.join(models)}: {len(changed)} change",
        summary=_summary(board),
        moves=tuple(move for one in changed for move in _moves(one, splits[one.route.id], board)),
        steps=tuple(_step(one, splits[one.route.id], board, cases) for one in changed),
        locks=tuple(
            Lock(cluster=c, tier="inference") for c in sorted({one.cluster for one in changed})
        ),
        guards=(),
        promises=tuple(p for one in changed for p in _promises(one, splits[one.route.id])),
        preconditions=tuple(_relied_on(one) for one in changed),
        evidence=Evidence(cycle_id="", taken_at=board.at, ages_s={}, states={}, notes=board.notes),
    )


def _cases(board: Board, receivers: set[str]) -> dict[str, dict[str, Proposal]]:
    """By region that may be lost, then by model: what would hold then, where anything can."""
    found: dict[str, dict[str, Proposal]] = {}
    for region in sorted(receivers):
        found[region] = {p.model: p for p in board.if_lost(region)}
    return found


def _step(
    one: Held, split: Split, board: Board, cases: Mapping[str, Mapping[str, Proposal]]
) -> StepSpec:
    proposal = next(p for p in board.proposals if one.route.id in p.splits)
    without = {
        lost: case
        for lost, by_model in cases.items()
        if lost != one.route.origin
        and (case := _case(one, by_model.get(one.route.model), lost, board))
    }
    return StepSpec(
        key=f"{one.route.id}/route.weights",
        kind="route.weights",
        title=f"Weigh {one.state.name} in {one.cluster}",
        target=_target(one),
        tier="inference",
        wave=0,
        params={
            "model": one.route.model,
            "uid": one.state.uid,
            "regions": dict(one.backends),
            "from": one.state.weights,
            "to": _by_backend(one, split),
            "into": dict(proposal.into),
            "without": without,
        },
    )


def _case(one: Held, proposal: Proposal | None, lost: str, board: Board) -> dict[str, Any] | None:
    """The weights approved for a region's loss; None where there are none that keep the floors."""
    if proposal is None:
        return None
    split = proposal.splits.get(one.route.id, one.route.now)
    into = proposal.into or flows_into(
        [h.route for h in board.held if h.route.model == one.route.model], {}
    )
    outside = [r for r, p in split.items() if p and r not in board.scores[one.route.id].ms]
    over = [r for r, n in into.items() if n > (board.room.get((r, one.route.model)) or 0.0)]
    if split.get(lost) or outside or over:
        return None
    return {"to": _by_backend(one, split), "into": dict(into)}


def _by_backend(one: Held, split: Split) -> dict[str, int]:
    return {name: split.get(region, 0) for name, region in one.backends.items()}


def _target(one: Held) -> ObjectRef:
    return ObjectRef(
        cluster=one.cluster,
        kind="HTTPRoute",
        namespace=one.state.namespace,
        name=one.state.name,
    )


def _moves(one: Held, split: Split, board: Board) -> Iterator[Move]:
    reason = next(p.reason for p in board.proposals if one.route.id in p.splits)
    for region in one.route.regions:
        before, after = one.route.now.get(region, 0), split.get(region, 0)
        if before != after:
            yield Move(
                kind="route",
                target=_target(one),
                pool=region,
                workload=one.route.model,
                from_replicas=before,
                to_replicas=after,
                gpus=0,
                reason=reason or "nearer, or sooner served",
            )


def _promises(one: Held, split: Split) -> Iterator[Promise]:
    """The share of the requests that each region gets, as the gateway of their origin counts it."""
    clusters = {cluster.region_id: cluster.id for cluster in list_clusters()}
    for region, percent in split.items():
        before = one.route.now.get(region, 0)
        labels = {"cluster": one.cluster, "model": one.route.model, "to": clusters[region]}
        if percent >= max(LEAST_PERCENT, before + 1):
            yield Promise(
                title=f"{one.route.model} from {one.cluster}: {percent} % go to {region}",
                query="routed_share", labels=labels, op=">=", bound=SHARE_MET * percent / 100,
                unit="of requests", verifies=True,
            )  # fmt: skip
        elif percent and before - percent >= LEAST_PERCENT:
            yield Promise(
                title=f"{one.route.model} from {one.cluster}: {percent} % are left to {region}",
                query="routed_share", labels=labels, op="<=", bound=percent / 100 + MORE,
                unit="of requests", verifies=True,
            )  # fmt: skip
        elif before and not percent:
            yield Promise(
                title=f"{one.route.model} from {one.cluster}: nothing goes to {region}",
                query="routed_share", labels=labels, op="<=", bound=NOTHING,
                unit="of requests", verifies=True,
            )  # fmt: skip


def _relied_on(one: Held) -> Precondition:
    facts = {
        "uid": one.state.uid,
        "weights": one.state.weights,
        "residency": one.state.annotations.get(RESIDENCY, ""),
    }
    return Precondition(target=_target(one), facts=facts)


def _summary(board: Board) -> str:
    lines = []
    for proposal in board.proposals:
        if proposal.splits:
            gain = ""
            if proposal.before_ms is not None and proposal.after_ms is not None:
                gain = f", {proposal.before_ms:.0f} → {proposal.after_ms:.0f} ms expected"
            lines.append(f"{proposal.model}: {proposal.reason or 'a better way'}{gain}.")
    return " ".join(lines)
