"""The policy checks of a plan under review, one by one, each with its figure.

What stands in our database is read now; what only a cluster knows comes from the newest look of a
worker and says how old it is. A look that is too old, or never was, is unknown and not passed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from infra_console.plans import clock
from infra_console.plans.approving.freezes import frozen_plan
from infra_console.plans.approving.quorum import quorum_of
from infra_console.plans.looking.looks import look_of
from infra_console.plans.models import LockRow, Plan
from infra_console.plans.models.looks import Look, LookKind
from infra_console.plans.places import is_own
from infra_console.plans.safety import armed_now, is_killed
from infra_console.plans.spec import plan_hash
from infra_console.plans.states import PlanState

# Asked again by each cycle while the plan is under review; older than this proves nothing.
FRESH_FOR = timedelta(minutes=15)
SHOWN_IN = frozenset({PlanState.PROPOSED, PlanState.APPROVED})
NEVER = "no worker has looked yet"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: passed, failed or unknown (None), and the figure behind it. `seen_at` is when a
    worker saw it, None for what is known here and now; `plan_id` is the plan that stands in the
    way; `waits` tells what people are still to do from what has failed."""

    rule: str
    passed: bool | None
    words: str
    seen_at: datetime | None = None
    plan_id: UUID | None = None
    waits: bool = False


def policy_checks(plan: Plan) -> list[Check]:
    """Every rule in the order in which an operator asks; none once the plan has begun."""
    if plan.state not in SHOWN_IN:
        return []
    look = look_of(plan.id, LookKind.REHEARSAL)
    return [*_known_here(plan), *_known_there(plan, look)]


def _known_here(plan: Plan) -> Iterator[Check]:
    quorum = quorum_of(plan)
    given = f"{len(quorum.approvals)} of {quorum.needed} approvals"
    words = given if quorum.is_met else f"{given}; missing: {quorum.words}"
    yield Check("Quorum", quorum.is_met, words, waits=not quorum.is_met)
    left = (plan.expires_at - clock.now()).total_seconds()
    when = f"{plan.expires_at:%H:%M:%S} UTC"
    words = f"{left / 60:.0f} min left, until {when}" if left > 0 else f"it ended at {when}"
    yield Check("Expiry", left > 0, words)
    same = plan_hash(plan.spec) == plan.hash
    yield Check("Hash", same, f"{plan.hash[:16]}… {'covers' if same else 'does not cover'} it")
    killed = is_killed()
    yield Check("Kill switch", not killed, "engaged: nothing is written" if killed else "released")
    yield _arming(plan)
    held = frozen_plan(plan)
    yield Check("Freeze windows", held is None, held.words if held else "none holds it")
    yield _locks(plan)


def _arming(plan: Plan) -> Check:
    ends = {(a.cluster, a.tier): a.expires_at for a in armed_now()}
    locks = [k for k in plan.document["locks"] if not is_own(k["cluster"])]
    if not locks:
        return Check("Arming", True, "none needed: it writes to no cluster")
    pairs = sorted({(k["cluster"], k["tier"]) for k in locks})
    if missing := [f"{cluster}/{tier}" for cluster, tier in pairs if (cluster, tier) not in ends]:
        return Check("Arming", False, f"not armed: {', '.join(missing)}; it would be rehearsed")
    until = min((ends[pair] for pair in pairs), default=None)
    words = f"{len(pairs)} of {len(pairs)} armed"
    return Check("Arming", True, f"{words}, until {until:%Y-%m-%d %H:%M} UTC" if until else words)


def _locks(plan: Plan) -> Check:
    pairs = {(k["cluster"], k["tier"]) for k in plan.document["locks"]}
    for row in LockRow.objects.exclude(plan=plan).select_related("plan"):
        if (row.cluster, row.tier) in pairs:
            words = f"{row} is held by plan {row.plan.number}"
            return Check("Locks", False, words, plan_id=row.plan_id)
    return Check("Locks", True, f"{len(pairs)} of {len(pairs)} free")


def _known_there(plan: Plan, look: Look | None) -> Iterator[Check]:
    document, at, why_not = _fresh(look)
    if document is None:
        rules = ("Floors", "Budgets", "Drift", "Ownership", "Server dry-run")
        yield from (Check(rule, None, why_not, at) for rule in rules)
        return
    yield from (_floor(one, at) for one in document["floors"])
    yield from (_budget(one, at) for one in document["moving"])
    yield _drift(plan, document["drift"], at)
    for cluster, owner in document["owners"].items():
        yield Check(f"Ownership of {cluster}", owner["ours"], owner["words"], at)
    yield _dry_run(document["steps"], at)


def _fresh(look: Look | None) -> tuple[dict[str, Any] | None, datetime | None, str]:
    """The answer, when it was seen, and why there is none to go by."""
    if look is None:
        return None, None, NEVER
    if look.document is None or look.seen_at is None:
        return None, None, look.problem or "a worker was asked and has not answered yet"
    if clock.now() - look.seen_at > FRESH_FOR:
        minutes = FRESH_FOR.total_seconds() / 60
        return None, look.seen_at, f"what was seen is older than {minutes:.0f} min; ask again"
    return look.document, look.seen_at, ""


def _floor(one: dict[str, Any], at: datetime | None) -> Check:
    rule = f"Floor of {one['tier']} in {one['cluster']}"
    if one["now"] is None:
        return Check(rule, None, f"floor {one['floor']}; the cluster could not be read", at)
    # A plan may lift a tier that is under its floor, never press one below it.
    holds = one["after"] >= one["floor"] or one["after"] >= one["now"]
    words = f"{one['now']} → {one['after']} ready GPUs, floor {one['floor']}"
    return Check(rule, holds, words, at)


def _budget(one: dict[str, Any], at: datetime | None) -> Check:
    rule = f"Budget of {one['cluster']}"
    if one["now"] is None:
        return Check(rule, None, f"at most {one['max']}; the cluster could not be read", at)
    words = f"{one['now']} of at most {one['max']} nodes are moving"
    return Check(rule, one["now"] < one["max"], words, at)


def _drift(plan: Plan, drift: dict[str, Any], at: datetime | None) -> Check:
    facts = sum(len(p["facts"]) for p in plan.document["preconditions"])
    changes = drift["changes"]
    if changes is None:
        return Check("Drift", None, drift["problem"], at)
    if changes:
        return Check("Drift", False, f"{len(changes)} changed: {'; '.join(changes[:3])}", at)
    return Check("Drift", True, f"none of {facts} facts has changed", at)


def _dry_run(steps: list[dict[str, Any]], at: datetime | None) -> Check:
    passed = sum(step["passed"] is True for step in steps)
    refused = [step for step in steps if step["passed"] is False]
    words = f"{passed} of {len(steps)} steps passed"
    if refused:
        return Check("Server dry-run", False, f"{words}; {refused[0]['detail']}", at)
    return Check("Server dry-run", True if passed == len(steps) else None, words, at)
