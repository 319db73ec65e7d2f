"""I5, I7 and I8: what was written down, before and after."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from infra_console.plans.invariants.history import NO_LOG, AuditEntry, History, PlanRow, Verdict
from infra_console.plans.invariants.writes import account

DECISIONS = {
    "plan.approved": "approve",
    "plan.approval_given": "approve",
    "plan.rejected": "reject",
}
COMMENTED = "plan.commented"
SYSTEM = "system:"
USABLE = frozenset({"live", "delayed"})
STOPS = frozenset({"kueue.signal", "kueue.deactivate"})
NO_NUMBER = frozenset({"nan", "inf", "-inf", "infinity", "-infinity", "+inf"})


def audited(history: History) -> Verdict:
    """I5: every mutation has its audit row before it, closed after it."""
    kept = account(history)
    ended = {p.id for p in history.plans if p.finished_at}
    found = [f"no audit row stands before {request}" for request in kept.unexplained]
    for write in kept.writes:
        if write.closed_at is None and write.plan in ended:
            found.append(f"{write} was never closed, and its plan has ended")
        elif write.closed_at is not None and write.closed_at < write.opened_at:
            found.append(f"{write} was closed before it was opened")
    missing = NO_LOG if history.requests is None else ""
    return Verdict(len(kept.writes) + len(kept.unexplained), tuple(found), missing)


def nothing_lost(history: History) -> Verdict:
    """I7: acknowledged approvals and comments are never lost."""
    rows = [r for r in history.audit if not r.actor.startswith(SYSTEM)]
    decided = [r for r in rows if r.action in DECISIONS]
    said = [r for r in rows if r.action == COMMENTED]
    kept = {(a.plan, a.by, a.decision, a.hash) for a in history.approvals}
    found = [
        f"the {DECISIONS[r.action]} of {r.actor} (audit row {r.seq}) is no longer there"
        for r in decided
        if _decision(r) not in kept
    ]
    comments = list(history.comments)
    for row in said:
        if (row.object_id, row.actor) in comments:
            comments.remove((row.object_id, row.actor))
        else:
            found.append(f"a comment of {row.actor} (audit row {row.seq}) is no longer there")
    return Verdict(len(decided) + len(said), tuple(found))


def _decision(row: AuditEntry) -> tuple[str, str, str, str]:
    return row.object_id, row.actor, DECISIONS[row.action], str(row.detail.get("hash", ""))


def from_sound_evidence(history: History) -> Verdict:
    """I8: no plan from stale, partial or NaN input, but for one that says what its metrics lack and
    only grows: what is seen of demand is a lower bound."""
    found = [f"{p} rests on {words}" for p in history.plans for words in _unsound(p)]
    return Verdict(len(history.plans), tuple(found))


def _unsound(plan: PlanRow) -> Iterator[str]:
    evidence = plan.document.get("evidence", {})
    for source, state in evidence.get("states", {}).items():
        if state == "partial" and source == "metrics" and evidence.get("doubts"):
            continue
        if state not in USABLE:
            yield f"{source} that was {state}"
    for source, age_s in evidence.get("ages_s", {}).items():
        if age_s is None or not _is_number(age_s) or age_s < 0:
            yield f"{source} of unknown age"
    if evidence.get("doubts"):
        yield from (f"doubtful input, and yet {words}" for words in _taken_away(plan.document))
    for name, value in evidence.get("objective", {}).items():
        if not _is_number(value):
            yield f"an objective without a number ({name})"
    if any(not _is_sound(value) for value in _leaves(evidence.get("demand", ()))):
        yield "a demand that is no number"


def _taken_away(document: Mapping[str, Any]) -> Iterator[str]:
    """What a plan stops, lowers or evicts."""
    for move in document.get("moves", ()):
        name = move["target"]["name"]
        if move.get("evicts"):
            yield f"it evicts from {name}"
        before, after = move.get("from_replicas"), move.get("to_replicas")
        if before is not None and after is not None and after < before:
            yield f"it lowers {name} from {before} to {after}"
    stops = [s["key"] for s in document.get("steps", ()) if s.get("kind") in STOPS]
    yield from (f"it stops work ({key})" for key in stops)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_sound(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not (isinstance(value, str) and value.lower() in NO_NUMBER)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
