"""The part of I3 about approvals given in advance: told from the rows anew, not by the code that
gave them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from infra_console.plans.invariants.history import ApprovalRow, EnvelopeRow, History, PlanRow

MACHINE = "system:"
USABLE = frozenset({"live", "delayed"})


def not_covered(
    plan: PlanRow, given: ApprovalRow, envelopes: Sequence[EnvelopeRow]
) -> Iterator[str]:
    """Why an envelope could not approve this plan, one line each."""
    envelope = next((e for e in envelopes if e.id == given.envelope), None)
    if envelope is None:
        yield f"{plan} was approved by an envelope that is not there"
        return
    said = f"{plan} was approved by {envelope}"
    for problem in (*_unarmed(envelope, plan, given.at), *_beyond(envelope, plan, given.at)):
        yield f"{said}, {problem}"
    for problem in _never(plan.document):
        yield f"{said}, though {problem}"


def overspent(plans: Iterable[PlanRow], history: History) -> Iterator[str]:
    """Envelopes under which more GPUs were moved than they allow in all."""
    by = {a.plan: a.envelope for a in history.approvals if a.envelope and a.decision == "approve"}
    moved: dict[int, int] = defaultdict(int)
    for plan in plans:
        if envelope := by.get(plan.id):
            moved[envelope] += gpus_moved(plan.document)
    for row in history.envelopes:
        if moved[row.id] > row.total_gpus:
            yield f"under {row} {moved[row.id]} GPUs moved, and it allows {row.total_gpus}"


def gpus_moved(document: Any) -> int:
    """The largest of what changes tier, what grows and what shrinks."""
    nodes = grown = shrunk = 0
    for move in document.get("moves", ()):
        if move["kind"] == "node":
            nodes += move["gpus"]
        elif (move.get("to_replicas") or 0) > (move.get("from_replicas") or 0):
            grown += abs(move["gpus"])
        else:
            shrunk += abs(move["gpus"])
    return max(nodes, grown, shrunk)


def _unarmed(envelope: EnvelopeRow, plan: PlanRow, at: datetime) -> Iterator[str]:
    approved = envelope.approved_at
    if not envelope.approved_by or approved is None or approved > at:
        yield "which nobody had approved"
    if envelope.approved_by == envelope.author:
        yield f"which its author {envelope.author} approved"
    if envelope.ended_at and envelope.ended_at <= at:
        yield "which had been revoked"
    started = plan.started_at or at
    if max(at, started) > envelope.expires_at:
        yield "which had expired"
    if people := sorted(a for a in plan.authors if not a.startswith(MACHINE)):
        yield f"and {', '.join(people)} had a part in it"
    if envelope.approved_by in plan.authors:
        yield f"which {envelope.approved_by}, an author of the plan, approved"


def _beyond(envelope: EnvelopeRow, plan: PlanRow, at: datetime) -> Iterator[str]:
    locks, steps = plan.document.get("locks", ()), plan.document.get("steps", ())
    named = (
        ("cluster", {k["cluster"] for k in locks}, envelope.clusters),
        ("tier", {k["tier"] for k in locks}, envelope.tiers),
        ("step kind", {s.get("kind", "") for s in steps}, envelope.step_kinds),
    )
    for what, used, allowed in named:
        if more := sorted(used - set(allowed)):
            yield f"which does not cover the {what} {', '.join(more)}"
    gpus = gpus_moved(plan.document)
    if gpus > envelope.plan_gpus:
        yield f"which covers {envelope.plan_gpus} GPUs a plan, and it moves {gpus}"
    local = at.astimezone(ZoneInfo(envelope.time_zone)).time()
    opens, closes = envelope.opens, envelope.closes
    inside = opens <= local < closes if opens < closes else local >= opens or local < closes
    if not inside:
        yield f"which is not for {local:%H:%M} {envelope.time_zone}"


def _never(document: Any) -> Iterator[str]:
    """What no envelope covers: doubtful input, what cannot be taken back, and a tier or workload at
    its floor."""
    evidence = document.get("evidence", {})
    doubtful = {state for state in evidence.get("states", {}).values() if state not in USABLE}
    if evidence.get("doubts") or doubtful or None in evidence.get("ages_s", {}).values():
        yield "its input was in doubt"
    if document.get("losses"):
        yield "it cannot be taken back"
    for step in document.get("steps", ()):
        params = step.get("params", {})
        before, after = params.get("from"), params.get("to")
        shrinks = isinstance(before, int) and isinstance(after, int) and after < before
        floor = params.get("floor")
        if shrinks and (floor is None or after <= floor):
            yield f"it leaves {step['target']['name']} at its floor"
    yield from _tiers_at_floor(document)


def _tiers_at_floor(document: Any) -> Iterator[str]:
    change: dict[tuple[str, str], int] = defaultdict(int)
    for move in document.get("moves", ()):
        if move["kind"] == "node":
            cluster = move["target"]["cluster"]
            change[cluster, move["from_tier"] or ""] -= move["gpus"]
            change[cluster, move["to_tier"] or ""] += move["gpus"]
    left = {
        (p["labels"].get("cluster", ""), p["labels"].get("tier", "")): p["bound"]
        for p in document.get("promises", ())
        if p["query"] == "tier_gpus" and p["op"] == "=="
    }
    floors = {(g["cluster"], g["tier"]): g["min_ready_gpus"] for g in document.get("guards", ())}
    for pair, delta in sorted(change.items()):
        if pair[1] and delta < 0 and left.get(pair, -1) <= floors.get(pair, 0):
            yield f"it leaves {pair[1]} in {pair[0]} at its floor"
