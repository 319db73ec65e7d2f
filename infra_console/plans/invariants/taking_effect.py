"""I1, I4 and I6: once, alone, and to an end."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise

from infra_console.plans.invariants.history import NO_LOG, History, PlanRow, Verdict
from infra_console.plans.invariants.writes import Account, account

SUCCEEDED = frozenset({"verifying", "verified", "settled"})
ENDED_WELL = frozenset({"done", "rehearsed", "skipped"})
UNDONE = frozenset({"aborted", "failed", "rolled_back"})
ENDED = SUCCEEDED | UNDONE | {"void", "rehearsed"}
UNTENDED = timedelta(seconds=120)


def exactly_once(history: History) -> Verdict:
    """I1: an approved plan takes effect exactly once, and redelivery adds no mutation."""
    kept, found = account(history), []
    real = [p for p in history.plans if p.real]
    begun = Counter(
        t.plan
        for t in history.transitions
        if (t.from_state, t.to_state) == ("approved", "executing")
    )
    unfinished = defaultdict(list)
    for step in history.steps:
        if step.state not in ENDED_WELL:
            unfinished[step.plan].append(step.key)
    for plan in real:
        if begun[plan.id] > 1:
            found.append(f"{plan} was begun {begun[plan.id]} times")
        if plan.state in SUCCEEDED and unfinished[plan.id]:
            found.append(f"{plan} is {plan.state}, but {unfinished[plan.id][0]} never took effect")
    found += _repeated(history, kept) + _too_late(history, kept)
    missing = NO_LOG if history.requests is None else ""
    return Verdict(len(real) + len(kept.effects), tuple(found), missing)


def _repeated(history: History, kept: Account) -> list[str]:
    names = {p.id: str(p) for p in history.plans}
    made = Counter((w.plan, w.step, w.what) for w, _ in kept.effects)
    return [
        f"{names.get(plan, plan)}: {what!r} took effect {times} times"
        for (plan, _, what), times in made.items()
        if times > 1
    ]


def _too_late(history: History, kept: Account) -> list[str]:
    ended = {p.id: p.finished_at for p in history.plans}
    found = []
    for write, request in kept.effects:
        at, end = request.at if request else write.opened_at, ended.get(write.plan)
        if end is not None and at > end + history.skew and not write.hand_back:
            found.append(f"{write} took effect after its plan had ended")
    return found


def alone(history: History) -> Verdict:
    """I4: one live execution per tier and cluster."""
    held: dict[tuple[str, str], list[tuple[datetime, datetime, PlanRow]]] = defaultdict(list)
    for plan in history.plans:
        if plan.real and plan.started_at:
            for lock in plan.document.get("locks", ()):
                span = (plan.started_at, plan.finished_at or history.now, plan)
                held[lock["cluster"], lock["tier"]].append(span)
    found, checked = [], 0
    for (cluster, tier), spans in sorted(held.items()):
        checked += len(spans)
        ordered = sorted(spans, key=lambda span: span[0])
        for (_, end, first), (start, _, second) in pairwise(ordered):
            if start < end:
                found.append(f"{first} and {second} were both at work in {cluster}/{tier}")
    return Verdict(checked, tuple(found))


def comes_to_an_end(history: History) -> Verdict:
    """I6: every run ends in a terminal state or paused for a person; nothing executes without a
    lease for 120 s; no node stays cordoned, or kept from disruption, by an ended plan."""
    begun = [p for p in history.plans if p.started_at]
    found = [words for p in begun if (words := _untended(p, history))]
    cordoned, unsure = _still_cordoned(history)
    return Verdict(len(begun), (*found, *cordoned, *_still_kept(history)), unsure)


def _still_kept(history: History) -> list[str]:
    """Nodes that ended plans still keep from being consolidated."""
    ended = {p.id: p for p in history.plans if p.finished_at}
    kept: dict[tuple[str, str], bool] = {}
    for write, _ in sorted(account(history).effects, key=lambda pair: pair[0].seq):
        words = write.what.split()
        if write.what.endswith(" from disruption"):
            kept[write.plan, words[1]] = True
        elif write.what.endswith(" be consolidated"):
            kept[write.plan, words[1]] = False
    return [
        f"{name} stays kept from disruption by {ended[plan]}, which is {ended[plan].state}"
        for (plan, name), held in kept.items()
        if held and plan in ended
    ]


def _untended(plan: PlanRow, history: History) -> str:
    if plan.finished_at or plan.state == "paused":
        return ""
    moved = [t.at for t in history.transitions if t.plan == plan.id]
    seen = [t for t in (plan.lease_expires_at, plan.not_before, *moved) if t]
    if max(seen, default=plan.created_at) >= history.now - UNTENDED:
        return ""
    return f"{plan} is {plan.state}, and nobody has worked on it since {max(seen, default='ever')}"


def _given_back(history: History) -> set[tuple[str, str]]:
    """Nodes whose machine a plan gave back: they are gone, so nobody opens them."""
    done = {(s.plan, s.key) for s in history.steps if s.state == "done"}
    return {
        (plan.id, name)
        for plan in history.plans
        for step in plan.document.get("steps", ())
        if step.get("kind") == "machines.scale" and (plan.id, step["key"]) in done
        for name in step.get("params", {}).get("leaves", ())
    }


def _still_cordoned(history: History) -> tuple[list[str], str]:
    """Nodes that ended plans still close, and what is not known about others."""
    kept, ended = account(history), {p.id: p for p in history.plans if p.finished_at}
    kinds = {(s.plan, s.key): (s.kind, s.name) for s in history.steps}
    opened_by_step = {
        (s.plan, s.name) for s in history.steps if s.kind == "node.uncordon" and s.state == "done"
    }
    gone = {
        r.name
        for r in history.requests or ()
        if (r.verb, r.resource, r.took_effect) == ("delete", "nodes", True)
    }
    closed: dict[tuple[str, str], bool] = {}
    for write, _ in sorted(kept.effects, key=lambda pair: pair[0].seq):
        kind, name = kinds.get((write.plan, write.step), ("", ""))
        if kind == "node.cordon":
            closed[write.plan, name] = True
        elif write.what.startswith("uncordon "):
            closed[write.plan, write.what.removeprefix("uncordon ")] = False
    found = [
        f"{name} stays closed by {ended[plan]}, which is {ended[plan].state}"
        for (plan, name), shut in closed.items()
        if shut
        and plan in ended
        and name not in gone
        and (plan, name) not in opened_by_step | _given_back(history)
    ]
    return found, NO_LOG if history.requests is None else ""
