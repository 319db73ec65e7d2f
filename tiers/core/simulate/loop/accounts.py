"""What is booked: tokens, gaps between them, finished requests, and a replica's seconds."""

import numpy as np

from tiers.core.simulate.loop.compiled import compiled, inlined
from tiers.core.simulate.loop.requests import free_row
from tiers.core.simulate.loop.spans import span
from tiers.core.simulate.state import (
    ABSENT,
    BUSY,
    IDLE,
    LOADED,
    LOADING,
    Arrays,
    Costs,
    Edges,
    Floats,
    Log,
)


@inlined
def _bucket(edges: Floats, value: float) -> int:
    """Index of the histogram bucket that holds a value."""
    low, high = 0, edges.shape[0]
    while low < high:
        middle = (low + high) // 2
        if edges[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _count_gaps(s: Arrays, edges: Edges, r: int, upto: int, decoders: int) -> None:
    """Put the gaps between tokens of iterations `done` to `upto` into their buckets."""
    k = s.done[r]
    while k < upto:
        bucket, last = _bucket(edges.itl, s.step_s[r] + k * s.longer_s[r]), upto - 1
        while last > k and _bucket(edges.itl, s.step_s[r] + last * s.longer_s[r]) > bucket:
            last = k + (last - k) // 2
        s.itl_counts[r, bucket] += (last + 1 - k) * decoders
        k = last + 1


@inlined
def _hold(costs: Costs, s: Arrays, r: int, made: int) -> None:
    """Tokens that were made fill the cache."""
    s.kv_held[r] += made
    if costs.grow_cache:
        s.kv_reserved[r] += made


@inlined
def settle(costs: Costs, s: Arrays, edges: Edges, r: int, upto: int) -> None:
    """Book the plan's iterations up to number `upto`: tokens, gaps between tokens, busy time."""
    decoders = s.running[r] - s.readers[r]
    tokens = (upto - s.done[r]) * decoders
    if tokens > 0:
        _count_gaps(s, edges, r, upto, decoders)
        s.sums_s[r, 1] = s.at_start_s[r, 1] + decoders * span(s.step_s[r], s.longer_s[r], upto)
        s.output_tokens[r] += tokens
        _hold(costs, s, r, tokens)
    s.busy_s[r] = s.at_start_s[r, 0] + span(s.step_s[r], s.longer_s[r], upto)
    s.turn[r] += upto - s.done[r]
    s.done[r] = upto


@inlined
def finish(costs: Costs, s: Arrays, edges: Edges, log: Log, r: int, row: int, at: float) -> None:
    n = log.filled[0]
    log.filled[0] += 1
    arrival, took = s.arrival_s[row], at - s.arrival_s[row]
    log.request_id[n], log.replica[n], log.arrival_s[n] = s.id[row], r, arrival
    log.queue_s[n], log.ttft_s[n] = s.begun_s[row] - arrival, s.first_s[row] - arrival
    log.e2e_s[n], log.prompt[n], log.output[n] = took, s.prompt[row], s.output[row]
    s.finished[r, 1 if s.output[row] >= costs.length_cap else 0] += 1
    s.e2e_counts[r, _bucket(edges.e2e, took)] += 1
    s.sums_s[r, 2] += took
    s.kv_reserved[r] -= s.prompt[row] + s.output[row]
    s.kv_held[r] -= s.prompt[row] + s.output[row]
    s.running[r] -= 1
    free_row(s.free, s.marks, row)


@inlined
def token_after_prompt(costs: Costs, s: Arrays, edges: Edges, r: int, row: int, at: float) -> None:
    """The token that ends a prompt: the request's first, or the next one after a preemption."""
    s.output_tokens[r] += 1
    _hold(costs, s, r, 1)
    if s.made[row] > 0:
        s.itl_counts[r, _bucket(edges.itl, at - s.last_s[row])] += 1
        s.sums_s[r, 1] += at - s.last_s[row]
    else:
        s.first_s[row] = at
        s.ttft_counts[r, _bucket(edges.ttft, at - s.arrival_s[row])] += 1
        s.sums_s[r, 0] += at - s.arrival_s[row]


@compiled
def stretch(s: Arrays, r: int, at: float) -> tuple[int, float]:
    """What a present replica does at `at`, and the seconds of it that are not booked yet."""
    if s.planned[r] > 0:
        return BUSY, at - (s.start_s[r] + span(s.step_s[r], s.longer_s[r], s.done[r]))
    return (LOADED if s.status[r] == LOADING else IDLE), at - s.since_s[r]


@compiled
def leave(s: Arrays, r: int, at: float) -> None:
    """Close a replica's account and free its place."""
    kind, seconds = stretch(s, r, at)
    s.left_s[BUSY] += s.busy_s[r]
    s.left_s[IDLE] += s.idle_s[r]
    s.left_s[LOADED] += s.loading_s[r]
    s.left_s[kind] += seconds
    s.busy_s[r] = s.idle_s[r] = s.loading_s[r] = 0.0
    s.status[r], s.planned[r], s.done[r], s.next_s[r] = ABSENT, 0, 0, np.inf
