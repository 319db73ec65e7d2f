"""What a forecast is worth to a decision: capacity held and lacking at an equal objective.

Capacity for each step is decided one actuation lag before. Two policies are tuned alike, each to
the smallest margin that kept the wanted share of steps served before the scored part: the last
value with a share on top, and the forecast's median with a part of its way to the 97.5 % quantile,
which may be more than all of it. Amounts are in GPU-hours where one unit of demand takes one GPU.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiers.core.forecast.quantiles import MEDIAN, STEP_S, Array
from tiers.core.forecast.windows import Index

SERVED = 0.99
LAGS = (1, 3, 6)  # steps: ten minutes, half an hour, an hour
_HOURS = STEP_S / 3600


@dataclass(frozen=True, slots=True)
class Held:
    """One policy over the scored steps; `margin` is what tuning gave it."""

    margin: float
    held_gpu_hours: float
    short_gpu_hours: float
    served: float


def decide(
    values: Array,
    last: Array,
    outcome: Array,
    *,
    lag: int,
    before: Index,
    scored: Index,
    gpus_per_unit: float = 1.0,
    wanted: float = SERVED,
) -> dict[str, Held | None]:
    """Both policies at one lag; None where no margin served the wanted share before.

    Args:
        values: (O, 24, 15) quantiles at origins.
        last: (O,) the last value at each origin.
        outcome: (O, 24) what came; steps where it, or a policy's input, is unknown are left out.
        lag: steps from a decision to its effect, 1 … 24.
        before: places of origins to tune on; their outcomes must lie before the scored ones.
        scored: places of origins to score.
        gpus_per_unit: GPUs that one unit of demand takes.
        wanted: share of steps in which the capacity must suffice.
    """
    came = outcome[:, lag - 1]
    median, high = values[:, lag - 1, MEDIAN], values[:, lag - 1, -1]
    known = np.isfinite(came) & np.isfinite(last) & np.isfinite(high)
    bases = {"last": (last, last), "forecast": (median, high - median)}
    return {
        name: _policy(
            base, room, came, before[known[before]], scored[known[scored]], gpus_per_unit, wanted
        )
        for name, (base, room) in bases.items()
    }


def _policy(
    base: Array,
    room: Array,
    came: Array,
    before: Index,
    scored: Index,
    gpus_per_unit: float,
    wanted: float,
) -> Held | None:
    margin = _margin(base[before], room[before], came[before], wanted)
    if margin is None or not len(scored):
        return None
    held = base[scored] + margin * room[scored]
    short = np.maximum(came[scored] - held, 0.0)
    amount = gpus_per_unit * _HOURS
    return Held(
        margin,
        float(held.sum()) * amount,
        float(short.sum()) * amount,
        float((short <= 1e-9 * np.maximum(came[scored], 1.0)).mean()),
    )


def _margin(base: Array, room: Array, came: Array, wanted: float) -> float | None:
    """The smallest margin that served the wanted share; None where none did."""
    if not len(came):
        return None
    lacking = np.maximum(came - base, 0.0)
    needed = np.where(lacking > 0, np.inf, 0.0)
    np.divide(lacking, room, out=needed, where=(lacking > 0) & (room > 0))
    found = float(np.sort(needed)[math.ceil(wanted * len(needed)) - 1])
    return found if math.isfinite(found) else None


def saved(found: Mapping[str, Held | None]) -> float | None:
    """Share of the last value's capacity that the forecast does without; None where unknown."""
    last, forecast = found["last"], found["forecast"]
    if last is None or forecast is None or not last.held_gpu_hours:
        return None
    return 1 - forecast.held_gpu_hours / last.held_gpu_hours


def decision_lines(
    values: Array, last: Array, outcome: Array, *, before: Index, scored: Index
) -> list[dict[str, Any]]:
    """The test at each of LAGS, as the backtest prints it."""
    lines = []
    for lag in LAGS:
        tuned_on = before[: max(0, len(before) - lag)]
        found = decide(values, last, outcome, lag=lag, before=tuned_on, scored=scored)
        policies = {
            name: None if p is None else {
                "margin": p.margin, "held_gpu_hours": p.held_gpu_hours,
                "short_gpu_hours": p.short_gpu_hours, "served": p.served,
            }
            for name, p in found.items()
        }  # fmt: skip
        lines.append(
            {"lag_min": lag * STEP_S // 60, "wanted": SERVED, **policies, "saved": saved(found)}
        )
    return lines
