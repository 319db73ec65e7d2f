"""State of a simulated service as plain arrays, which compiled code and a saved file both take.

A request that is in the service has one row in the table of requests from its arrival to its end;
the queue, and each replica's prompts and decoding sequences, are lists of rows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ABSENT, ACTIVE, DRAINING, LOADING = 0, 1, 2, 3


class Costs(NamedTuple):
    """Constants of the loop: seconds per iteration, sequence and token; limits in tokens."""

    base_s: float
    per_sequence_s: float
    per_prompt_token_s: float
    per_context_token_s: float
    chunk_tokens: int
    kv_tokens: int
    max_batch: int
    queue_limit: int
    length_cap: int
    grow_cache: bool


class Arrays(NamedTuple):
    """State of one service: `R` replica places, `B` sequences each, room for `N` requests."""

    # table of requests, (N,); `made` counts output tokens made before a preemption
    id: Ints
    arrival_s: Floats
    begun_s: Floats
    first_s: Floats
    last_s: Floats
    prompt: Ints
    output: Ints
    made: Ints
    prompt_left: Ints
    end_turn: Ints
    free: Ints
    # rows that wait, a ring of (N,)
    queue: Ints
    # per replica a ring of rows whose prompt is not read and a heap of those that decode, (R, B)
    reading: Ints
    decoding: Ints
    # replicas, (R,): what they are, the plan they follow, the iterations behind them
    status: Ints
    next_s: Floats
    since_s: Floats
    start_s: Floats
    step_s: Floats
    longer_s: Floats
    planned: Ints
    done: Ints
    turn: Ints
    chunk: Ints
    running: Ints
    readers: Ints
    reading_head: Ints
    kv_reserved: Ints
    kv_held: Ints
    # per replica since it was added: counters (R,), histogram counts (R, edges + 1), sums (R, 3)
    busy_s: Floats
    idle_s: Floats
    loading_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    finished: Ints
    ttft_counts: Ints
    itl_counts: Ints
    e2e_counts: Ints
    sums_s: Floats
    # busy seconds and the sum of gaps when the plan began, (R, 2)
    at_start_s: Floats
    # scalars: see the names of `marks` below; seconds of replicas that left; [now]
    marks: Ints
    left_s: Floats
    clock: Floats


class Edges(NamedTuple):
    """Histogram edges in seconds."""

    ttft: Floats
    itl: Floats
    e2e: Floats


class Log(NamedTuple):
    """One row per finished request, of which `filled[0]` are taken."""

    filled: Ints
    request_id: Ints
    replica: Ints
    arrival_s: Floats
    queue_s: Floats
    ttft_s: Floats
    e2e_s: Floats
    prompt: Ints
    output: Ints


# Queue's head and length, next id, refused, requeued after a loss, preempted, free rows.
HEAD, LENGTH, NEXT_ID, REFUSED, REQUEUED, PREEMPTED, FREE = range(7)
MARKS = 7
# Columns of `left_s`.
BUSY, IDLE, LOADED = 0, 1, 2


HISTOGRAM_SUMS = 3  # TTFT, inter-token, end to end


def empty_arrays(costs: Costs, edges: Edges, replicas: int, now_s: float) -> Arrays:
    """A service without replicas and requests, at time `now_s`."""
    rows = costs.queue_limit + replicas * costs.max_batch + 1

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, dtype=np.int64)

    def floats(*shape: int) -> Floats:
        return np.zeros(shape, dtype=np.float64)

    n, r, rb = (rows,), (replicas,), (replicas, costs.max_batch)
    marks = ints(MARKS)
    marks[FREE] = rows
    return Arrays(
        id=ints(*n), arrival_s=floats(*n), begun_s=floats(*n), first_s=floats(*n),
        last_s=floats(*n), prompt=ints(*n), output=ints(*n), made=ints(*n), prompt_left=ints(*n),
        end_turn=ints(*n), free=np.arange(rows, dtype=np.int64)[::-1].copy(),
        queue=ints(*n), reading=ints(*rb), decoding=ints(*rb),
        status=ints(*r), next_s=np.full(r, np.inf), since_s=floats(*r), start_s=floats(*r),
        step_s=floats(*r), longer_s=floats(*r), planned=ints(*r), done=ints(*r),
        turn=ints(*r), chunk=ints(*r), running=ints(*r), readers=ints(*r),
        reading_head=ints(*r), kv_reserved=ints(*r), kv_held=ints(*r),
        busy_s=floats(*r), idle_s=floats(*r), loading_s=floats(*r), prompt_tokens=ints(*r),
        output_tokens=ints(*r), finished=ints(*r, 2),
        ttft_counts=ints(*r, len(edges.ttft) + 1), itl_counts=ints(*r, len(edges.itl) + 1),
        e2e_counts=ints(*r, len(edges.e2e) + 1), sums_s=floats(*r, HISTOGRAM_SUMS),
        at_start_s=floats(*r, 2), marks=marks, left_s=floats(3), clock=np.full(1, now_s),
    )  # fmt: skip


def empty_log(rows: int) -> Log:
    """Room for `rows` finished requests."""
    return Log(
        filled=np.zeros(1, dtype=np.int64),
        request_id=np.zeros(rows, dtype=np.int64),
        replica=np.zeros(rows, dtype=np.int64),
        arrival_s=np.zeros(rows),
        queue_s=np.zeros(rows),
        ttft_s=np.zeros(rows),
        e2e_s=np.zeros(rows),
        prompt=np.zeros(rows, dtype=np.int64),
        output=np.zeros(rows, dtype=np.int64),
    )
