"""From what comes, waits and is refused to GPUs needed now.

    wanted_rps = arrivals + refused + waiting / WORK_OFF_S
    gpus       = wanted_rps / requests/s that one GPU serves at the objective

with arrivals and refused in requests/s (means of five minutes) and waiting in requests. What has
piled up is demand until it is worked off, in ten minutes: a plan that only keeps pace would leave
the queue as long as it is. What the gateway refused came as well, and comes again.

Unknown is never zero. Without arrivals, or without a throughput, there is no need to speak of;
without refusals or queue it is at least what is known. A total is unknown where a part of it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tiers.core.demand.throughput import Throughput

WORK_OFF_S = 600.0


@dataclass(frozen=True, slots=True)
class Live:
    """What the counters of one model in one region say now; None is unknown, and `why` says why.

    Rates are requests/s and tokens/s; `tokens_per_request` counts prompt and output.
    """

    arrivals_rps: float | None
    refused_rps: float | None
    waiting: float | None
    prompt_tokens_per_s: float | None = None
    output_tokens_per_s: float | None = None
    tokens_per_request: float | None = None
    why: tuple[str, ...] = ()
    age_s: float | None = None

    @property
    def backlog_rps(self) -> float:
        """What must be served beside arrivals so that the queue is gone in WORK_OFF_S."""
        return (self.waiting or 0.0) / WORK_OFF_S

    @property
    def wanted_rps(self) -> float | None:
        """Requests/s that want to be served now; at least so many where a part is unknown."""
        if self.arrivals_rps is None:
            return None
        return self.arrivals_rps + (self.refused_rps or 0.0) + self.backlog_rps

    @property
    def at_least(self) -> bool:
        return self.refused_rps is None or self.waiting is None


@dataclass(frozen=True, slots=True)
class Need:
    """GPUs needed; `gpus` None is unknown. `groups` is the whole number that holds them."""

    gpus: float | None
    groups: int | None = None
    at_least: bool = False
    why: tuple[str, ...] = ()


def gpus_needed(live: Live, throughput: Throughput, *, group_gpus: int) -> Need:
    """GPUs that one model needs in one region on one GPU type."""
    wanted, served = live.wanted_rps, throughput.rps(live.tokens_per_request)
    if wanted is None:
        return Need(None, why=live.why)
    if not served:
        return Need(None, why=(*live.why, "what one GPU serves of it is unknown"))
    gpus = wanted / served
    groups = math.ceil(gpus / group_gpus - 1e-9)
    return Need(gpus, groups, live.at_least, live.why)


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of needs: `known_gpus` over the parts that are known, `missing` those that are not."""

    known_gpus: float
    missing: tuple[str, ...]
    at_least: bool
    parts: int

    @property
    def gpus(self) -> float | None:
        return None if self.missing else self.known_gpus

    @property
    def low_gpus(self) -> float | None:
        """At least so many; None where no part is known."""
        return None if self.missing and len(self.missing) == self.parts else self.known_gpus


def total(needs: Mapping[str, Need]) -> Total:
    """The needs of several models, by name, added."""
    return Total(
        known_gpus=sum(n.gpus for n in needs.values() if n.gpus is not None),
        missing=tuple(sorted(name for name, n in needs.items() if n.gpus is None)),
        at_least=any(n.at_least for n in needs.values()),
        parts=len(needs),
    )


def lifted(
    steps: Sequence[Mapping[str, float]],
    live: Live,
    *,
    step_s: float = 1800.0,
    serves_rps: float | None = None,
) -> list[dict[str, float]]:
    """Forecast demand corrected upward from live queues; nothing is ever lowered.

    What comes now is the least of the first step. The queue is demand in that step, and in those
    after it as far as the present replicas would not have worked it off by then:
    left' = left - step_s x max(0, serves_rps - p50).

    Args:
        steps: demand in requests/s by quantile, one entry a step, `p50` among them.
        serves_rps: what the present replicas serve at the objective; unknown: the first step alone.
    """
    corrected = [dict(step) for step in steps]
    if not corrected or live.arrivals_rps is None:
        return corrected
    coming = live.arrivals_rps + (live.refused_rps or 0.0)
    corrected[0] = {q: max(v, coming) for q, v in corrected[0].items()}
    left = live.waiting or 0.0
    for step in corrected if serves_rps is not None else corrected[:1]:
        drained = step_s * max(0.0, (serves_rps or 0.0) - step["p50"])
        step.update({q: v + left / WORK_OFF_S for q, v in step.items()})
        left = max(0.0, left - drained)
    return corrected


def added(values: Iterable[float | None]) -> float | None:
    """The sum; unknown where any part is, or where there is none."""
    parts = list(values)
    known = [v for v in parts if v is not None]
    return sum(known) if parts and len(known) == len(parts) else None
