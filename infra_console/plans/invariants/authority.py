"""I3: who allowed it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from infra_console.plans.invariants.envelopes import not_covered, overspent
from infra_console.plans.invariants.history import (
    NO_LOG,
    ApprovalRow,
    History,
    PlanRow,
    StepRow,
    TransitionRow,
    Verdict,
)
from infra_console.plans.invariants.kueue import beyond_the_steps
from infra_console.plans.invariants.writes import Account, Write, account, changed_paths

# A stop that arrives between the last look and the write holds from the next write on.
IN_FLIGHT = timedelta(seconds=5)
OWNERSHIP = "/metadata/managedFields"
# Steps run while executing; what undoes them runs after an end as well.
WRITES_STEPS = frozenset({"executing"})
WRITES_COMPENSATIONS = frozenset({"executing", "rolling_back", "aborted", "failed", "rolled_back"})


def authorised(history: History) -> Verdict:
    """I3: no mutation outside an unchanged plan (or its compensations) that was approved by someone
    not its author, by an envelope that covers it, or alone in an emergency and ratified, and was
    unexpired when it started; what it took over may go back to its owner."""
    plans = {p.id: p for p in history.plans}
    kept, found = account(history), []
    for request in kept.unexplained:
        found.append(f"no plan accounts for {request}")
    for write in kept.writes:
        plan = plans.get(write.plan)
        found.append(
            f"{write} belongs to no plan" if plan is None else _outside(write, plan, history)
        )
    found += beyond_the_steps(history, kept) + _beyond_ownership(kept)
    wrote = [plans[i] for i in dict.fromkeys(w.plan for w in kept.writes) if i in plans]
    for plan in wrote:
        found += _unapproved(plan, history)
    found += overspent(wrote, history)
    missing = NO_LOG if history.requests is None else ""
    return Verdict(len(kept.writes) + len(kept.unexplained), tuple(filter(None, found)), missing)


def _outside(write: Write, plan: PlanRow, history: History) -> str:
    """Why a write is none of what the plan says, or was made at the wrong time."""
    if write.hand_back:
        return _never_taken(write, plan, history)
    named = {s["key"] for s in plan.document.get("steps", ())}
    allowed = WRITES_STEPS if write.step in named else WRITES_COMPENSATIONS
    moments = (write.opened_at, write.opened_at - IN_FLIGHT)
    state, before = (_state_at(at, plan, history.transitions) for at in moments)
    if not allowed & {state, before}:
        return f"{write} was made while {plan} was {state or 'not there'}"
    steps = [s for s in history.steps if s.plan == plan.id]
    step = next((s for s in steps if s.key == write.step), None)
    if step is None or step.key in named or _compensates(step, steps):
        return ""
    return f"{write} is of a step that {plan} does not list"


def _never_taken(write: Write, plan: PlanRow, history: History) -> str:
    """Why a write hands back what its plan had not taken over from anybody."""
    if any(s.took for s in history.steps if (s.plan, s.key) == (plan.id, write.step)):
        return ""
    return f"{write} hands back what {plan} never took over"


def _beyond_ownership(kept: Account) -> list[str]:
    """Handing a field back changes whose it is, and nothing else of the object."""
    return [
        f"{write} changed {path or 'the object'}, and not only whose the field is"
        for write, request in kept.effects
        if write.hand_back and request is not None
        for path in changed_paths(request.body)
        if path != OWNERSHIP
    ]


def _compensates(step: StepRow, steps: Sequence[StepRow]) -> bool:
    """Whether a step back was written down for the object that it writes to."""
    same = [s for s in steps if not s.back and (s.cluster, s.name) == (step.cluster, step.name)]
    return step.back and any(step.kind in s.undo for s in same)


def _unapproved(plan: PlanRow, history: History) -> list[str]:
    found = []
    if plan.document_hash != plan.hash:
        found.append(f"{plan} is not the document that its hash covers")
    if plan.started_at is None:
        return [*found, f"{plan} wrote without having started"]
    if plan.started_at > plan.expires_at:
        found.append(f"{plan} started after it had expired")
    given = _standing(plan, history.approvals, plan.started_at)
    if not given:
        found.append(f"{plan} had no approval of its hash when it started")
    found += [f"{plan} was approved by its author {a.by}" for a in given if a.by in plan.authors]
    found += [w for a in given if a.envelope for w in not_covered(plan, a, history.envelopes)]
    found += [
        f"{plan} was approved by {a.by} alone and nobody ratified it"
        for a in given
        if a.ratify_before and not a.ratified_by and history.now > a.ratify_before
    ]
    return found


def _standing(plan: PlanRow, approvals: Sequence[ApprovalRow], at: datetime) -> list[ApprovalRow]:
    """Approvals of this very plan that stood at that moment."""
    return [
        a
        for a in approvals
        if a.plan == plan.id
        and a.decision == "approve"
        and a.hash == plan.hash
        and a.at <= at
        and (a.taken_back_at is None or a.taken_back_at > at)
    ]


def _state_at(at: datetime, plan: PlanRow, transitions: Sequence[TransitionRow]) -> str:
    """Where the plan was at that moment; empty before it was proposed."""
    passed = [t for t in transitions if t.plan == plan.id and t.at <= at]
    return max(passed, key=lambda t: t.at).to_state if passed else ""
