"""What the twin's users want: requests, training jobs and operational pods, at any wall time.

Everything is a function of (seed, time) alone, so history and the live fleet share one demand.
The built-in profile has a day by the region's local hour, a weekend, slow noise, and launches that
lift one model everywhere for a day. `trace.py` puts a recorded trace in its place.

Its size: at a region's weekday peak the small models want a little more than the groups that run
at first, so that a fifth or so more GPUs are needed for some hours; at night about a third.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.noise import Floats, smooth_noise, stream, uniform_at
from tiers.twin.profile import (
    DEFAULT_SEED,
    INFERENCE_BY_ID,
    OPERATIONAL_BY_ID,
    REGIONS,
    TRAINING,
    initial_groups,
)

HOUR_S = 3600.0
DAY_S = 86_400.0
# 1970-01-01 was a Thursday.
EPOCH_WEEKDAY = 3

# Share of a region's peak by local hour of a weekday; joined linearly.
HOUR_SHAPE = np.array([
    0.36, 0.31, 0.28, 0.27, 0.28, 0.32, 0.41, 0.55, 0.72, 0.87, 0.95, 0.98,
    0.94, 0.96, 1.00, 0.99, 0.95, 0.88, 0.82, 0.78, 0.74, 0.67, 0.56, 0.45,
])  # fmt: skip
WEEKEND_FACTOR = {"code-34b": 0.45}
DEFAULT_WEEKEND_FACTOR = 0.75
# Peak demand over what the first groups serve at their objective.
PEAK_OVER_INITIAL = {
    "chat-7b": 1.06, "chat-13b": 0.98, "code-34b": 1.02, "chat-70b": 1.06,
    "chat-180b": 0.80, "chat-405b": 0.74,
}  # fmt: skip
NOISE = ((6 * HOUR_S, 0.055), (1.5 * HOUR_S, 0.03), (0.3 * HOUR_S, 0.02))
LAUNCH_WINDOW_S = 6 * DAY_S
LAUNCH_CHANCE = 0.5
LAUNCH_LIFT = 0.3
LAUNCH_RISE_S = 1.5 * HOUR_S
LAUNCH_DECAY_S = 14 * HOUR_S


class Demand(Protocol):
    """Inference demand of the twin."""

    @property
    def description(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def rate_rps(self, region: str, model: str, t_s: Floats) -> Floats:
        """Requests/s at Unix times `t_s` `(n,)`; zero where the model does not run."""
        ...


@dataclass(frozen=True)
class BuiltInDemand:
    """The built-in profile, for a fleet of `size` times the one written down."""

    seed: int = DEFAULT_SEED
    size: int = 1

    @property
    def description(self) -> str:
        return "built-in profile"

    @property
    def notes(self) -> tuple[str, ...]:
        return ("demand is a built-in profile: days, weekends, noise and launches",)

    def rate_rps(self, region: str, model: str, t_s: Floats) -> Floats:
        times = np.asarray(t_s, dtype=np.float64)
        groups = initial_groups(region, INFERENCE_BY_ID[model], self.size)
        peak = groups * UNITS_PER_GROUP[model] * PEAK_OVER_INITIAL[model]
        if peak == 0.0:
            return np.zeros_like(times)
        shape = day_shape(region, times) * _week(region, model, times)
        noise = np.ones_like(times)
        for period_s, spread in NOISE:
            curve = stream(self.seed, "rate", region, model, str(period_s))
            noise += spread * smooth_noise(curve, times, period_s)
        return np.maximum(0.0, peak * shape * noise * self._launches(model, times))

    def _launches(self, model: str, t_s: Floats) -> Floats:
        """Lift by launches: steep rise, slow decay; at most one per window and model."""
        curve = stream(self.seed, "launch", model)
        window = np.floor(t_s / LAUNCH_WINDOW_S).astype(np.int64)
        lift = np.ones_like(t_s)
        for number in (window, window - 1):
            happens = uniform_at(curve, 2 * number) < LAUNCH_CHANCE
            starts = (number + uniform_at(curve, 2 * number + 1)) * LAUNCH_WINDOW_S
            age = np.maximum(0.0, t_s - starts)
            rise = np.clip(age / LAUNCH_RISE_S, 0.0, 1.0)
            lift += LAUNCH_LIFT * happens * rise * np.exp(-age / LAUNCH_DECAY_S)
        return lift


_OFFSET_S = {region.id: region.utc_offset_hours * HOUR_S for region in REGIONS}


def day_shape(region: str, t_s: Floats) -> Floats:
    """Share of the weekday peak at Unix times, by the region's local hour."""
    hour = ((t_s + _OFFSET_S[region]) % DAY_S) / HOUR_S
    shape: Floats = np.interp(hour, np.arange(25), np.append(HOUR_SHAPE, HOUR_SHAPE[0]))
    return shape


def _week(region: str, model: str, t_s: Floats) -> Floats:
    """1 on local weekdays, the model's weekend factor on Saturday and Sunday, 3 h between them."""
    days = (t_s + _OFFSET_S[region]) / DAY_S + EPOCH_WEEKDAY
    weekday = days % 7.0
    ramp = 3.0 / 24.0
    weekend = np.clip((weekday - (5.0 - ramp)) / ramp, 0.0, 1.0)
    # Sunday's last hours come back to Monday.
    weekend *= np.clip((7.0 - weekday) / ramp, 0.0, 1.0)
    factor = WEEKEND_FACTOR.get(model, DEFAULT_WEEKEND_FACTOR)
    return np.asarray(1.0 - (1.0 - factor) * weekend, dtype=np.float64)


@dataclass(frozen=True)
class Surge:
    """Demand multiplied by hand for a while; None means every region, every model."""

    region: str | None
    model: str | None
    factor: float
    from_s: float
    until_s: float

    def touches(self, region: str, model: str, t_s: float) -> bool:
        return (
            self.region in (None, region)
            and self.model in (None, model)
            and self.from_s <= t_s < self.until_s
        )


def surge_factor(surges: tuple[Surge, ...], region: str, model: str, t_s: float) -> float:
    """The product of all surges that hold at a Unix time."""
    factors = [surge.factor for surge in surges if surge.touches(region, model, t_s)]
    return float(np.prod(factors)) if factors else 1.0


@dataclass(frozen=True)
class JobArrival:
    """A training job that its user submits: a gang of whole nodes and its work when all run."""

    nodes: int
    work_s: float
    submitted_at_s: float


def job_arrivals(
    seed: int, cluster: str, after_s: float, until_s: float, queued_nodes: int, size: int = 1
) -> list[JobArrival]:
    """Training jobs submitted in (after, until], a thinned Poisson process in one-minute cells.

    Users hold back as the queue grows: the rate falls linearly to zero at the queue limit, so a
    backlog is normal and bounded. A cell belongs to the interval that holds its end. A fleet of
    `size` has that many such groups of users.
    """
    first, last = int(after_s // 60.0) + 1, int(until_s // 60.0)
    if last < first:
        return []
    cells = np.arange(first, last + 1, dtype=np.int64)
    mean_nodes = float(np.dot(TRAINING.gang_nodes, TRAINING.gang_shares))
    patience = max(0.0, 1.0 - queued_nodes / (TRAINING.queue_limit_nodes * size))
    chance = TRAINING.arrivals_nodes_per_hour / mean_nodes / 60.0 * patience
    found = [
        _job(seed, who, int(cell))
        for who in _users(cluster, size)
        for cell in cells[uniform_at(stream(seed, "job", *who), cells) < chance]
    ]
    return sorted(found, key=lambda job: job.submitted_at_s)


def _users(cluster: str, size: int) -> Iterator[tuple[str, ...]]:
    """Words that name each group of users; the first is the same in a fleet of any size."""
    yield (cluster,)
    for number in range(1, size):
        yield cluster, str(number)


def _job(seed: int, who: tuple[str, ...], cell: int) -> JobArrival:
    rng = np.random.default_rng((stream(seed, "job-shape", *who) % 2**32, cell))
    nodes = int(rng.choice(TRAINING.gang_nodes, p=TRAINING.gang_shares))
    hours = rng.lognormal(np.log(TRAINING.work_hours_median), TRAINING.work_hours_sigma)
    return JobArrival(nodes, float(np.clip(hours, 0.25, 24.0)) * HOUR_S, cell * 60.0)


def operational_pods(seed: int, cluster: str, workload: str, t_s: Floats, size: int = 1) -> Floats:
    """Pods wanted by an operational workload at Unix times `(n,)`; whole numbers.

    Embedding follows the day of the region; evaluation and index builds fill the night.
    """
    times = np.asarray(t_s, dtype=np.float64)
    day = day_shape(cluster, times)
    share = 0.4 + 0.6 * day if workload == "embedding" else 1.45 - 0.9 * day
    noise = 0.1 * smooth_noise(stream(seed, "pods", cluster, workload), times, 2 * HOUR_S)
    groups = OPERATIONAL_BY_ID[workload].initial_groups * size
    return np.maximum(0.0, np.rint(groups * (share + noise)))
