"""What checkpoints do to a training run, as formulas.

A gang loads, then works in cycles: `every_s` seconds of work, then a pause of `pause_s` in which
the checkpoint is written. Work is kept once its checkpoint is written; what an interruption finds
beyond that is lost. A run ends with its work, without a last pause.

Sources: Young 1974 (first-order interval); Daly 2006, "A higher order estimate of the optimum
checkpoint interval for restart dumps" (expected time under exponential failures). Recalled, and
checked against the event simulation in the tests.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Of one attempt, in seconds: work done, what of it is kept, pauses for checkpoints."""

    worked_s: float
    kept_s: float
    paused_s: float

    @property
    def at_risk_s(self) -> float:
        """Work that an interruption now would lose."""
        return self.worked_s - self.kept_s


def progress_after(elapsed_s: float, *, every_s: float, pause_s: float) -> Progress:
    """Where a run stands `elapsed_s` after it has loaded, unless its work ended before."""
    cycles = math.floor(elapsed_s / (every_s + pause_s))
    rest = max(0.0, elapsed_s - cycles * (every_s + pause_s))
    worked = min(rest, every_s)
    return Progress(cycles * every_s + worked, cycles * every_s, cycles * pause_s + rest - worked)


def seconds_to_finish(work_s: float, *, every_s: float, pause_s: float) -> float:
    """Time from loaded to done for `work_s` of work without interruption."""
    return work_s + pause_s * max(0, math.ceil(work_s / every_s) - 1)


def expected_seconds(
    work_s: float, *, every_s: float, pause_s: float, load_s: float, mtbf_s: float
) -> float:
    """Expected time of a run under failures at random, a mean of `mtbf_s` apart (Daly 2006).

    Every failure costs a new load, in which it may fail again; nothing else is waited for.
    """
    cycle = mtbf_s * math.exp(load_s / mtbf_s) * math.expm1((every_s + pause_s) / mtbf_s)
    return work_s / every_s * cycle


def best_interval_s(pause_s: float, mtbf_s: float) -> float:
    """Seconds of work between checkpoints that lose least: sqrt(2 pause mtbf) (Young 1974).

    First order: right while the pause is small against the mean time between failures.
    """
    return math.sqrt(2.0 * pause_s * mtbf_s)
