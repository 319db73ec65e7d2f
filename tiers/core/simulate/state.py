"""State of a simulated service as plain arrays, which compiled code and a saved file both take."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ABSENT, ACTIVE, DRAINING = 0, 1, 2


class Costs(NamedTuple):
    """Constants of the loop: seconds per iteration, sequence and prompt token; limits in tokens."""

    base_s: float
    per_sequence_s: float
    per_prompt_token_s: float
    chunk_tokens: int
    kv_tokens: int
    max_batch: int
    queue_limit: int
    length_cap: int


class Arrays(NamedTuple):
    """State of one service: `R` replica places, `B` sequences each, a ring of `Q` requests."""

    # replicas, (R,)
    status: Ints
    start_s: Floats
    step_s: Floats
    planned: Ints
    done: Ints
    running: Ints
    decoding: Ints
    kv_reserved: Ints
    kv_held: Ints
    # sequences in order of admission, (R, B)
    seq_id: Ints
    seq_arrival_s: Floats
    seq_start_s: Floats
    seq_first_s: Floats
    seq_prompt: Ints
    seq_output: Ints
    prompt_left: Ints
    output_left: Ints
    chunk: Ints
    # central queue: ring of (Q,)
    queue_id: Ints
    queue_arrival_s: Floats
    queue_prompt: Ints
    queue_output: Ints
    # per replica since it was added: counters (R,), histogram counts (R, edges + 1), sums (R,)
    busy_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    finished: Ints
    ttft_counts: Ints
    itl_counts: Ints
    e2e_counts: Ints
    sums_s: Floats
    # scalars: [queue head, queue length, next id, refused, requeued]; [now]
    marks: Ints
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


HEAD, LENGTH, NEXT_ID, REFUSED, REQUEUED = 0, 1, 2, 3, 4


HISTOGRAM_SUMS = 3  # TTFT, inter-token, end to end


def empty_arrays(costs: Costs, edges: Edges, replicas: int, now_s: float) -> Arrays:
    """A service without replicas and requests, at time `now_s`."""
    batch, ring = costs.max_batch, costs.queue_limit + replicas * costs.max_batch

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, dtype=np.int64)

    def floats(*shape: int) -> Floats:
        return np.zeros(shape, dtype=np.float64)

    r, rb = (replicas,), (replicas, batch)
    return Arrays(
        status=ints(*r), start_s=floats(*r), step_s=floats(*r), planned=ints(*r), done=ints(*r),
        running=ints(*r), decoding=ints(*r), kv_reserved=ints(*r), kv_held=ints(*r),
        seq_id=ints(*rb), seq_arrival_s=floats(*rb), seq_start_s=floats(*rb),
        seq_first_s=floats(*rb),
        seq_prompt=ints(*rb), seq_output=ints(*rb), prompt_left=ints(*rb), output_left=ints(*rb),
        chunk=ints(*rb),
        queue_id=ints(ring), queue_arrival_s=floats(ring), queue_prompt=ints(ring),
        queue_output=ints(ring),
        busy_s=floats(*r), prompt_tokens=ints(*r), output_tokens=ints(*r), finished=ints(*r, 2),
        ttft_counts=ints(*r, len(edges.ttft) + 1), itl_counts=ints(*r, len(edges.itl) + 1),
        e2e_counts=ints(*r, len(edges.e2e) + 1), sums_s=floats(*r, HISTOGRAM_SUMS),
        marks=ints(5), clock=np.full(1, now_s),
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
