"""Training as the list of its gangs, running and waiting, and when the running ones may end.

How long a gang still runs is the median of what earlier gangs of its tier still ran at the same
age; unknown where fewer than MIN_RUNS got that old. A deadline bounds it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Literal

MIN_RUNS = 8


@dataclass(frozen=True, slots=True)
class RunningGang:
    """A gang as a cluster tells of it now; None is what it does not tell."""

    namespace: str
    name: str
    tier: str
    gpus: int
    priority: int | None = None
    started_at: datetime | None = None
    deadline_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GangLine:
    """One gang of the list. `since` is when it began to run or to wait; `told` whether the cluster
    said so (else it was seen first then); `ends_by` None is unknown, and `basis` says why."""

    cluster: str
    name: str
    tier: str
    state: Literal["running", "waiting"]
    gpus: int
    priority: int | None
    since: datetime
    told: bool
    ends_by: datetime | None
    basis: str
    plan: str = ""  # what the last cycle found about one that waits


def remaining_s(age_s: float, durations_s: Iterable[float]) -> float | None:
    """Median seconds that runs as old as this still took; None where fewer than MIN_RUNS did."""
    longer = [d - age_s for d in durations_s if d > age_s]
    return median(longer) if len(longer) >= MIN_RUNS else None


def expected_end(
    started_at: datetime, deadline_at: datetime | None, durations_s: Iterable[float], now: datetime
) -> tuple[datetime | None, str]:
    """When a running gang may end, and on what basis."""
    left_s = remaining_s((now - started_at).total_seconds(), durations_s)
    if left_s is None:
        if deadline_at is not None:
            return deadline_at, "its deadline"
        return None, f"fewer than {MIN_RUNS} earlier gangs ran as long"
    expected = now + timedelta(seconds=left_s)
    if deadline_at is not None and deadline_at < expected:
        return deadline_at, "its deadline"
    return expected, "median of earlier gangs"
