"""Histograms of finished requests per replica, from the simulation's request log.

The kernel counts TTFT, inter-token and end-to-end times itself; what vLLM observes besides when a
request ends is booked here: its lengths, and how its time divides into waiting, reading the prompt
and writing tokens.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tiers.core.simulate.buckets import E2E_EDGES_S
from tiers.core.simulate.serving import Finished

# Multiples of 1, 2 and 5 up to the longest request, as vLLM cuts them (its `build_1_2_5_buckets`).
LENGTH_EDGES: tuple[float, ...] = (
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0,
)  # fmt: skip


class Quantity(NamedTuple):
    """What is booked of a request: vLLM's name of it, and the edges of its histogram."""

    name: str
    edges: tuple[float, ...]


PROMPT = Quantity("request_prompt_tokens", LENGTH_EDGES)
GENERATION = Quantity("request_generation_tokens", LENGTH_EDGES)
QUEUE = Quantity("request_queue_time_seconds", E2E_EDGES_S)
PREFILL = Quantity("request_prefill_time_seconds", E2E_EDGES_S)
DECODE = Quantity("request_decode_time_seconds", E2E_EDGES_S)
QUANTITIES = (PROMPT, GENERATION, QUEUE, PREFILL, DECODE)

Floats = npt.NDArray[np.float64]


@dataclass
class RequestBook:
    """Counts per bucket `(places, edges + 1)` and sums `(places,)` of each quantity."""

    places: int
    counts: dict[Quantity, npt.NDArray[np.int64]] = field(init=False)
    sums: dict[Quantity, Floats] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = {
            q: np.zeros((self.places, len(q.edges) + 1), dtype=np.int64) for q in QUANTITIES
        }
        self.sums = {q: np.zeros(self.places) for q in QUANTITIES}

    def clear(self, place: int) -> None:
        """A new replica at this place has counted nothing."""
        for quantity in QUANTITIES:
            self.counts[quantity][place] = 0
            self.sums[quantity][place] = 0.0

    def add(self, finished: Finished) -> None:
        if not len(finished):
            return
        values = {
            PROMPT: finished.prompt_tokens.astype(np.float64),
            GENERATION: finished.output_tokens.astype(np.float64),
            QUEUE: finished.queue_s,
            PREFILL: finished.ttft_s - finished.queue_s,
            DECODE: finished.e2e_s - finished.ttft_s,
        }
        for quantity, seen in values.items():
            buckets = np.searchsorted(quantity.edges, seen)
            np.add.at(self.counts[quantity], (finished.replica, buckets), 1)
            np.add.at(self.sums[quantity], finished.replica, seen)
