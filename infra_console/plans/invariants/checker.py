"""All promises over one history, and the answer as JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from infra_console.plans.invariants.authority import authorised
from infra_console.plans.invariants.capacity import within_floors_and_budgets
from infra_console.plans.invariants.history import History, Verdict
from infra_console.plans.invariants.records import audited, from_sound_evidence, nothing_lost
from infra_console.plans.invariants.taking_effect import alone, comes_to_an_end, exactly_once

INVARIANTS: Mapping[str, Callable[[History], Verdict]] = {
    "I1": exactly_once,
    "I2": within_floors_and_budgets,
    "I3": authorised,
    "I4": alone,
    "I5": audited,
    "I6": comes_to_an_end,
    "I7": nothing_lost,
    "I8": from_sound_evidence,
}


def check(history: History) -> dict[str, Verdict]:
    return {name: invariant(history) for name, invariant in INVARIANTS.items()}


def statement(name: str) -> str:
    """What an invariant promises, in one line."""
    words = " ".join((INVARIANTS[name].__doc__ or "").split())
    return words.removeprefix(f"{name}: ")


def as_json(verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    """`ok` is false with any violation, null when something could not be checked."""
    oks = [v.ok for v in verdicts.values()]
    lines = {
        name: {
            "ok": v.ok,
            "checked": v.checked,
            "violations": list(v.violations),
            "not_checked": v.not_checked,
            "statement": statement(name),
        }
        for name, v in verdicts.items()
    }
    ok = False if False in oks else None if None in oks else True
    return {"ok": ok, "violations": sum(len(v.violations) for v in verdicts.values()), **lines}
