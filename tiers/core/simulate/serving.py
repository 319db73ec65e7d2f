"""Event simulation of one served model: replicas with continuous batching behind one queue.

The model. Requests reach one central queue (first in, first out) and go to the active replica with
most free key-value cache that has a free sequence place (`max_batch`, vLLM's `max_num_seqs`). A
replica works in iterations of continuous batching (Orca, Yu et al., OSDI 2022) with chunked
prefill (Sarathi-Serve, Agrawal et al., OSDI 2024) and the scheduling order of vLLM (Kwon et al.,
SOSP 2023): decoding sequences first, prompts in order of admission within the token budget;
`loop` gives the formula. A replica may load before it serves, drain, or be lost. A service is
advanced in slices of any length, with replicas added and removed between slices, and gives the
same events as one run. Nothing here is random: the trace is.

The cache. By default a replica reserves the cache of the whole request when it admits it, which a
server that does not know the output length cannot do; nothing is ever preempted then. With
`grow_cache` it holds what has been read and made, as vLLM does, and when no decoding sequence has
room left the youngest is preempted and computed again. `docs/simulator.md` has the difference.

Limits. An iteration's time is linear: no effect of a prompt's length squared, none of overlap
between prompts and decoding; the context counts by its sum, where `per_context_token_s` is given.
No prefix cache, speculative decoding or disaggregated prefill; cache counts single tokens, not
blocks of 16. The router sees every replica at once and without delay, and a preempted request may
resume elsewhere. A request that finds the queue full, or is longer than the cache, is refused and
counted. A request of a lost replica starts anew with its old arrival time; tokens made before stay
in the counters, as they do on a real server.
"""

from dataclasses import dataclass, field

import numpy as np

from tiers.core.simulate import loop
from tiers.core.simulate.buckets import E2E_EDGES_S, ITL_EDGES_S, TTFT_EDGES_S, edges
from tiers.core.simulate.errors import EmptyRequest, NoPlaceForReplica, NotAscending
from tiers.core.simulate.state import (
    ABSENT,
    ACTIVE,
    BUSY,
    DRAINING,
    IDLE,
    LENGTH,
    LOADED,
    LOADING,
    PREEMPTED,
    REFUSED,
    REQUEUED,
    Arrays,
    Costs,
    Edges,
    Floats,
    Ints,
    Log,
    empty_arrays,
    empty_log,
)

EDGES = Edges(ttft=edges(TTFT_EDGES_S), itl=edges(ITL_EDGES_S), e2e=edges(E2E_EDGES_S))


@dataclass(frozen=True)
class ServingCosts:
    """What a replica's iterations cost, and where it is full.

    Attributes:
        base_s: seconds of an iteration that does nothing but read the weights.
        per_sequence_s: seconds added by each sequence that decodes.
        per_prompt_token_s: seconds added by each prompt token.
        per_context_token_s: seconds added by each token that lies in the cache.
        chunk_tokens: tokens an iteration may process; decoding sequences take one each.
        kv_tokens: key-value cache in tokens.
        max_batch: sequences at once.
        queue_limit: waiting requests of the whole service before one is refused.
        length_cap: output tokens from which a request counts as cut by length.
        grow_cache: hold the cache of tokens as they come, and preempt when it is full.
    """

    base_s: float
    per_sequence_s: float
    per_prompt_token_s: float
    chunk_tokens: int
    kv_tokens: int
    max_batch: int
    queue_limit: int = 2000
    length_cap: int = 2048
    grow_cache: bool = False
    per_context_token_s: float = 0.0


@dataclass(frozen=True)
class Requests:
    """Arrivals in order of time: `arrival_s`, `prompt_tokens` and `output_tokens`, all `(n,)`."""

    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints

    def __len__(self) -> int:
        return len(self.arrival_s)

    def between(self, after_s: float, until_s: float) -> "Requests":
        """Arrivals in (after_s, until_s]."""
        low, high = np.searchsorted(self.arrival_s, (after_s, until_s), side="right")
        return Requests(
            self.arrival_s[low:high], self.prompt_tokens[low:high], self.output_tokens[low:high]
        )


@dataclass(frozen=True)
class Finished:
    """Finished requests in order of their end; arrays `(n,)`, times in seconds.

    From the arrival on: `queue_s` until an iteration first reads the prompt, `ttft_s` until the
    first token, `e2e_s` until the last.
    """

    request_id: Ints
    replica: Ints
    arrival_s: Floats
    queue_s: Floats
    ttft_s: Floats
    e2e_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints

    def __len__(self) -> int:
        return len(self.request_id)


@dataclass(frozen=True)
class ReplicaSeconds:
    """Seconds of replicas; GPU-seconds are these times the GPUs of one replica."""

    loading: float
    busy: float
    idle: float

    @property
    def total(self) -> float:
        return self.loading + self.busy + self.idle


@dataclass
class Service:
    """A served model in simulation; `arrays` is all its state and may be saved and put back."""

    costs: ServingCosts
    max_replicas: int
    now_s: float = 0.0
    arrays: Arrays = field(init=False)

    def __post_init__(self) -> None:
        self._costs = Costs(
            base_s=float(self.costs.base_s),
            per_sequence_s=float(self.costs.per_sequence_s),
            per_prompt_token_s=float(self.costs.per_prompt_token_s),
            per_context_token_s=float(self.costs.per_context_token_s),
            chunk_tokens=self.costs.chunk_tokens,
            kv_tokens=self.costs.kv_tokens,
            max_batch=self.costs.max_batch,
            queue_limit=self.costs.queue_limit,
            length_cap=self.costs.length_cap,
            grow_cache=self.costs.grow_cache,
        )
        self.arrays = empty_arrays(self._costs, EDGES, self.max_replicas, self.now_s)

    def advance(self, until_s: float, arrivals: Requests) -> Finished:
        """Run to `until_s` and return the requests that finished on the way.

        Raises:
            NotAscending: arrivals are not sorted or not within (now, until].
            EmptyRequest: a request without a prompt token or without an output token.
        """
        times = arrivals.arrival_s
        if until_s < self.now_s or (
            len(times)
            and (times[0] < self.now_s or times[-1] > until_s or bool((np.diff(times) < 0).any()))
        ):
            raise NotAscending(self.now_s, until_s)
        if (arrivals.prompt_tokens < 1).any() or (arrivals.output_tokens < 1).any():
            raise EmptyRequest
        log = empty_log(self.in_system + len(arrivals))
        # One type each: another would compile the loop once more.
        loop.run(
            self._costs, self.arrays, EDGES, log,
            np.ascontiguousarray(times, dtype=np.float64),
            np.ascontiguousarray(arrivals.prompt_tokens, dtype=np.int64),
            np.ascontiguousarray(arrivals.output_tokens, dtype=np.int64),
            float(until_s),
        )  # fmt: skip
        self.now_s = float(until_s)
        return _finished(log)

    def add_replica(self, load_s: float = 0.0) -> int:
        """Add a replica that serves once it has loaded for `load_s` seconds. Returns its place.

        Its counters start at zero.

        Raises:
            NoPlaceForReplica: all `max_replicas` places are taken.
        """
        free = np.flatnonzero(self.arrays.status == ABSENT)
        if not len(free):
            raise NoPlaceForReplica(self.max_replicas)
        place = int(free[0])
        for counter in self._counters():
            counter[place] = 0
        self.arrays.status[place] = LOADING if load_s > 0.0 else ACTIVE
        self.arrays.next_s[place] = self.now_s + load_s if load_s > 0.0 else np.inf
        self.arrays.since_s[place] = self.now_s
        return place

    def drain_replica(self, place: int) -> None:
        """Send it nothing more; it leaves when its running requests have finished."""
        if self.arrays.status[place] in (ACTIVE, LOADING):
            if self.arrays.running[place]:
                self.arrays.status[place] = DRAINING
            else:
                loop.leave(self.arrays, place, self.now_s)

    def lose_replica(self, place: int) -> None:
        """Take it away at once; its running requests go back to the head of the queue."""
        if self.arrays.status[place] != ABSENT:
            loop.lose(self.arrays, place, self.now_s)

    def present(self, place: int) -> bool:
        """Whether the replica is there: loading, serving or draining."""
        return bool(self.arrays.status[place] != ABSENT)

    @property
    def waiting(self) -> int:
        return int(self.arrays.marks[LENGTH])

    @property
    def running(self) -> int:
        return int(self.arrays.running.sum())

    @property
    def in_system(self) -> int:
        return self.waiting + self.running

    @property
    def refused(self) -> int:
        return int(self.arrays.marks[REFUSED])

    @property
    def requeued(self) -> int:
        return int(self.arrays.marks[REQUEUED])

    @property
    def preempted(self) -> int:
        return int(self.arrays.marks[PREEMPTED])

    def replica_seconds(self) -> "ReplicaSeconds":
        """What every replica that was ever here has spent its time on, up to now."""
        spent = self.arrays.left_s.copy()
        spent[BUSY] += self.arrays.busy_s.sum()
        spent[IDLE] += self.arrays.idle_s.sum()
        spent[LOADED] += self.arrays.loading_s.sum()
        for place in np.flatnonzero(self.arrays.status != ABSENT):
            kind, seconds = loop.stretch(self.arrays, place, self.now_s)
            spent[kind] += seconds
        return ReplicaSeconds(*spent[[LOADED, BUSY, IDLE]].tolist())

    def kv_usage(self, place: int) -> float:
        """Share of a replica's key-value cache that holds tokens, 0 to 1."""
        return float(self.arrays.kv_held[place]) / self.costs.kv_tokens

    def reset_counters(self) -> None:
        """Tokens, finished requests and histograms begin at zero, in the middle of a plan too.

        A replica's seconds are not counters: they must add up.
        """
        a = self.arrays
        a.at_start_s[:, 1] -= a.sums_s[:, 1]  # a plan adds its gaps to what stood at its start
        for counter in (
            a.prompt_tokens, a.output_tokens, a.finished, a.ttft_counts, a.itl_counts,
            a.e2e_counts, a.sums_s,
        ):  # fmt: skip
            counter[:] = 0

    def _counters(self) -> tuple[Floats | Ints, ...]:
        a = self.arrays
        return (
            a.busy_s, a.idle_s, a.loading_s, a.prompt_tokens, a.output_tokens, a.finished,
            a.ttft_counts, a.itl_counts, a.e2e_counts, a.sums_s, a.turn,
        )  # fmt: skip


def _finished(log: Log) -> Finished:
    n = int(log.filled[0])
    return Finished(
        log.request_id[:n], log.replica[:n], log.arrival_s[:n], log.queue_s[:n], log.ttft_s[:n],
        log.e2e_s[:n], log.prompt[:n], log.output[:n],
    )  # fmt: skip


def simulate(costs: ServingCosts, replicas: int, requests: Requests, until_s: float) -> Finished:
    """Serve a whole trace with a fixed number of replicas from an empty start at time 0."""
    service = Service(costs, max_replicas=replicas)
    for _ in range(replicas):
        service.add_replica()
    return service.advance(until_s, requests)
