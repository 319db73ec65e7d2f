"""The clock of a plan: when its first `k` iterations are over, which boundary a moment meets."""

import numpy as np

from tiers.core.simulate.loop.compiled import inlined
from tiers.core.simulate.state import Arrays


@inlined
def span(step_s: float, longer_s: float, k: int) -> float:
    """Seconds of a plan's first `k` iterations: the first, and how much longer each next one is."""
    return k * step_s + longer_s * (k * (k - 1) // 2)


@inlined
def boundary(s: Arrays, r: int, at: float) -> int:
    """Number of the plan's first iteration boundary not before `at`; at least one."""
    if s.step_s[r] <= 0.0:
        return s.planned[r]  # type: ignore[no-any-return]
    since, half = at - s.start_s[r], s.step_s[r] - s.longer_s[r] / 2.0
    # The root of `span(k) = since`, in the form that is also right for equal iterations.
    root = 2.0 * since / (half + np.sqrt(half * half + 2.0 * s.longer_s[r] * max(0.0, since)))
    k = max(1, s.done[r], int(root) - 1)
    while s.start_s[r] + span(s.step_s[r], s.longer_s[r], k) < at:
        k += 1
    return min(s.planned[r], k)  # type: ignore[no-any-return]
