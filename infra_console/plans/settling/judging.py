"""The one rule by which what was measured is held against what a plan says: promises and harms."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from infra_console.plans.spec import Harm, Promise

Found = TypeVar("Found")

_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    # Counts come as floats; a promise of equality is one of whole numbers.
    "==": lambda realised, bound: abs(realised - bound) < 1e-6,
}
_AGGREGATE: Mapping[str, Callable[[Any], Any]] = {
    "avg": np.mean,
    "min": np.min,
    "max": np.max,
    "last": lambda values: values[-1],
    "p10": lambda values: np.percentile(values, 10),
    "p90": lambda values: np.percentile(values, 90),
}


def aggregated(asked: Promise | Harm, values: Any) -> float:
    """(T,) samples, at least one and none of them NaN, as the plan wants them in one number."""
    return float(_AGGREGATE[asked.aggregate](values))


def judged(
    kind: Callable[[str, str, float, str, float | None, bool | None, str], Found],
    asked: Promise | Harm,
    realised: float | None,
    note: str = "",
) -> Found:
    """What came of a promise or a harm: whether `realised op bound` holds, None when unknown.

    Args:
        kind: `Verdict` or `Sign`, which name the answer as their pages do.
        note: why nothing is known; dropped where something is.
    """
    holds = None if realised is None else _HOLDS[asked.op](realised, asked.bound)
    why = note if realised is None else ""
    return kind(asked.title, asked.op, asked.bound, asked.unit, realised, holds, why)
