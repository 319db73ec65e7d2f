"""What makes a proposed document acceptable, and when a new one is the same as one under review."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from infra_console.plans.errors import SpecInvalid, UnknownStepKind
from infra_console.plans.models import Plan
from infra_console.plans.spec import PlanSpec
from infra_console.plans.steps.registry import installed_kinds

# A gain that moved by more than this share is another proposal, though its moves are the same.
GAIN_TOLERANCE = 0.2
# What an approval binds to beside the moves: what is relied on, done, kept to and promised.
TERMS = ("preconditions", "steps", "locks", "guards", "budgets", "promises")


def check_spec(spec: PlanSpec) -> None:
    """Refuse a document that the executor could not carry out as it stands.

    Raises:
        UnknownStepKind: a step's kind is not installed.
        SpecInvalid: no steps, a key twice, or a step outside the plan's locks.
    """
    if not spec.steps:
        raise SpecInvalid("The plan has no steps, so there is nothing to approve.")
    if unknown := sorted({s.kind for s in spec.steps} - installed_kinds()):
        raise UnknownStepKind(unknown)
    if twice := sorted(_twice(s.key for s in spec.steps)):
        raise SpecInvalid(f"The plan names the step {', '.join(twice)} twice.")
    locks = {(lock.cluster, lock.tier) for lock in spec.locks}
    if outside := sorted(s.key for s in spec.steps if (s.target.cluster, s.tier) not in locks):
        raise SpecInvalid(f"The plan holds no lock for the step {', '.join(outside)}.")


def still_the_same(standing: Plan, spec: PlanSpec) -> bool:
    """Whether a plan with the same moves may stay: on the same terms, gain within 20 %."""
    held = standing.spec
    (held_terms, held_uids), (terms, uids) = _terms(held), _terms(spec)
    # A cycle that reads metrics alone knows no uid: knowing less is no new proposal.
    if held_terms != terms or not uids.items() <= held_uids.items():
        return False
    if held.gain_usd is None or spec.gain_usd is None:
        return held.gain_usd == spec.gain_usd
    return abs(spec.gain_usd - held.gain_usd) <= GAIN_TOLERANCE * abs(held.gain_usd)


def _terms(spec: PlanSpec) -> tuple[Any, dict[str, str]]:
    """The terms without uids, and the uids by where they stand."""
    uids: dict[str, str] = {}

    def without_uids(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            if value.get("uid"):
                uids[path] = value["uid"]
            return {k: without_uids(v, f"{path}/{k}") for k, v in value.items() if k != "uid"}
        if isinstance(value, list):
            return [without_uids(item, f"{path}/{i}") for i, item in enumerate(value)]
        return value

    document = spec.model_dump(mode="json", include=set(TERMS))
    return without_uids(document, ""), uids


def overlaps(document: dict[str, Any], spec: PlanSpec) -> bool:
    """Whether two plans would take one lock."""
    held = {(lock["cluster"], lock["tier"]) for lock in document["locks"]}
    return any((lock.cluster, lock.tier) in held for lock in spec.locks)


def _twice(keys: Iterable[str]) -> set[str]:
    return {key for key, count in Counter(keys).items() if count > 1}
