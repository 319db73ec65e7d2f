"""The compiled event loop under `serving`: one service, its replicas, its central queue.

A replica repeats iterations. An iteration decodes one token for every running sequence and spends
what is left of the token budget on waiting prompts, in order of admission (chunked prefill):

    duration = base + per_sequence x decoding + per_prompt_token x chunk

While a batch only decodes, nothing can happen before its first sequence ends, so the loop plans
that many equal iterations at once and cuts the plan at the next iteration boundary when a request
joins. Boundaries are always `start + k x duration`, never summed, which makes a run in slices equal
to a whole run to the last bit. Times are seconds, lengths are tokens.
"""

import numpy as np
from numba import njit

from tiers.core.simulate.state import (
    ABSENT,
    ACTIVE,
    DRAINING,
    HEAD,
    LENGTH,
    NEXT_ID,
    REFUSED,
    REQUEUED,
    Arrays,
    Costs,
    Edges,
    Floats,
    Ints,
    Log,
)


@njit(cache=True)
def _bucket(edges: Floats, value: float) -> int:
    return int(np.searchsorted(edges, value))


@njit(cache=True)
def _roomiest(costs: Costs, s: Arrays, need: int) -> int:
    """The active replica with most free cache that can take `need` tokens, or -1."""
    best, best_room = -1, -1
    for r in range(s.status.shape[0]):
        if s.status[r] != ACTIVE or s.running[r] >= costs.max_batch:
            continue
        room = costs.kv_tokens - s.kv_reserved[r]
        if room >= need and (
            room > best_room or (room == best_room and s.running[r] < s.running[best])
        ):
            best, best_room = r, room
    return best


@njit(cache=True)
def _cut_plan(s: Arrays, r: int, at: float) -> None:
    """End the replica's plan at its first iteration boundary not before `at`."""
    k = max(1, s.done[r], int((at - s.start_s[r]) / s.step_s[r]) - 1)
    while s.start_s[r] + k * s.step_s[r] < at:
        k += 1
    s.planned[r] = min(s.planned[r], k)


@njit(cache=True)
def _admit(
    s: Arrays, r: int, rid: int, arrival: float, prompt: int, output: int, at: float
) -> None:
    i = s.running[r]
    s.seq_id[r, i], s.seq_arrival_s[r, i] = rid, arrival
    s.seq_start_s[r, i] = s.seq_first_s[r, i] = np.nan
    s.seq_prompt[r, i], s.seq_output[r, i] = prompt, output
    s.prompt_left[r, i], s.output_left[r, i], s.chunk[r, i] = prompt, output, 0
    s.running[r] += 1
    s.kv_reserved[r] += prompt + output
    if s.planned[r] > 0:
        _cut_plan(s, r, at)


@njit(cache=True)
def _dispatch(costs: Costs, s: Arrays, at: float) -> None:
    """Move the queue's head into replicas while it fits; then start replicas that stand still."""
    ring = s.queue_id.shape[0]
    while s.marks[LENGTH] > 0:
        h = s.marks[HEAD]
        r = _roomiest(costs, s, s.queue_prompt[h] + s.queue_output[h])
        if r < 0:
            break
        _admit(s, r, s.queue_id[h], s.queue_arrival_s[h], s.queue_prompt[h], s.queue_output[h], at)
        s.marks[HEAD] = (h + 1) % ring
        s.marks[LENGTH] -= 1
    for r in range(s.status.shape[0]):
        if s.planned[r] == 0 and s.running[r] > 0:
            _plan(costs, s, r, at)


@njit(cache=True)
def _plan(costs: Costs, s: Arrays, r: int, at: float) -> None:
    """Plan the next iteration, or all iterations up to the first end of a sequence."""
    decoding, shortest = 0, np.int64(2**62)
    for i in range(s.running[r]):
        s.chunk[r, i] = 0
        if s.prompt_left[r, i] == 0:
            decoding += 1
            shortest = min(shortest, s.output_left[r, i])
    budget, chunk = max(1, costs.chunk_tokens - decoding), 0
    for i in range(s.running[r]):
        if s.prompt_left[r, i] > 0 and budget > 0:
            if s.prompt_left[r, i] == s.seq_prompt[r, i]:
                s.seq_start_s[r, i] = at
            s.chunk[r, i] = min(budget, s.prompt_left[r, i])
            budget -= s.chunk[r, i]
            chunk += s.chunk[r, i]
    s.start_s[r], s.done[r], s.decoding[r] = at, 0, decoding
    s.planned[r] = 1 if chunk > 0 else shortest
    s.step_s[r] = costs.base_s + costs.per_sequence_s * decoding + costs.per_prompt_token_s * chunk


@njit(cache=True)
def _settle(s: Arrays, edges: Edges, r: int, upto: int) -> None:
    """Book the plan's iterations up to number `upto`: tokens, gaps between tokens, busy time."""
    k = upto - s.done[r]
    if k <= 0:
        return
    tokens = k * s.decoding[r]
    for i in range(s.running[r]):
        if s.prompt_left[r, i] == 0:
            s.output_left[r, i] -= k
    s.itl_counts[r, _bucket(edges.itl, s.step_s[r])] += tokens
    s.sums_s[r, 1] += tokens * s.step_s[r]
    s.output_tokens[r] += tokens
    s.kv_held[r] += tokens
    s.busy_s[r] += k * s.step_s[r]
    s.done[r] = upto


@njit(cache=True)
def _first_token(s: Arrays, edges: Edges, r: int, i: int, at: float) -> None:
    s.seq_first_s[r, i] = at
    s.output_left[r, i] -= 1
    s.output_tokens[r] += 1
    s.kv_held[r] += 1
    waited = at - s.seq_arrival_s[r, i]
    s.ttft_counts[r, _bucket(edges.ttft, waited)] += 1
    s.sums_s[r, 0] += waited


@njit(cache=True)
def _finish(costs: Costs, s: Arrays, edges: Edges, log: Log, r: int, i: int, at: float) -> None:
    row = log.filled[0]
    log.filled[0] += 1
    took = at - s.seq_arrival_s[r, i]
    log.request_id[row], log.replica[row] = s.seq_id[r, i], r
    log.arrival_s[row], log.e2e_s[row] = s.seq_arrival_s[r, i], took
    log.queue_s[row] = s.seq_start_s[r, i] - s.seq_arrival_s[r, i]
    log.ttft_s[row] = s.seq_first_s[r, i] - s.seq_arrival_s[r, i]
    log.prompt[row], log.output[row] = s.seq_prompt[r, i], s.seq_output[r, i]
    s.finished[r, 1 if s.seq_output[r, i] >= costs.length_cap else 0] += 1
    s.e2e_counts[r, _bucket(edges.e2e, took)] += 1
    s.sums_s[r, 2] += took
    length = s.seq_prompt[r, i] + s.seq_output[r, i]
    s.kv_reserved[r] -= length
    s.kv_held[r] -= length


@njit(cache=True)
def _keep(s: Arrays, r: int, i: int, to: int) -> None:
    """Close a gap left by a finished sequence; order of admission stays."""
    if i == to:
        return
    s.seq_id[r, to], s.seq_arrival_s[r, to] = s.seq_id[r, i], s.seq_arrival_s[r, i]
    s.seq_start_s[r, to], s.seq_first_s[r, to] = s.seq_start_s[r, i], s.seq_first_s[r, i]
    s.seq_prompt[r, to], s.seq_output[r, to] = s.seq_prompt[r, i], s.seq_output[r, i]
    s.prompt_left[r, to], s.output_left[r, to] = s.prompt_left[r, i], s.output_left[r, i]
    s.chunk[r, to] = s.chunk[r, i]


@njit(cache=True)
def _end_plan(costs: Costs, s: Arrays, edges: Edges, log: Log, r: int) -> None:
    at = s.start_s[r] + s.planned[r] * s.step_s[r]
    _settle(s, edges, r, s.planned[r])
    kept = 0
    for i in range(s.running[r]):
        if s.chunk[r, i] > 0:
            s.prompt_left[r, i] -= s.chunk[r, i]
            s.prompt_tokens[r] += s.chunk[r, i]
            s.kv_held[r] += s.chunk[r, i]
            s.chunk[r, i] = 0
            if s.prompt_left[r, i] == 0:
                _first_token(s, edges, r, i, at)
        if s.prompt_left[r, i] == 0 and s.output_left[r, i] == 0:
            _finish(costs, s, edges, log, r, i, at)
        else:
            _keep(s, r, i, kept)
            kept += 1
    s.running[r], s.planned[r] = kept, 0
    if kept == 0 and s.status[r] == DRAINING:
        s.status[r] = ABSENT
    _dispatch(costs, s, at)


@njit(cache=True)
def _arrive(costs: Costs, s: Arrays, at: float, prompt: int, output: int) -> None:
    rid = s.marks[NEXT_ID]
    s.marks[NEXT_ID] += 1
    if prompt + output > costs.kv_tokens or s.marks[LENGTH] >= costs.queue_limit:
        s.marks[REFUSED] += 1
        return
    tail = (s.marks[HEAD] + s.marks[LENGTH]) % s.queue_id.shape[0]
    s.queue_id[tail], s.queue_arrival_s[tail] = rid, at
    s.queue_prompt[tail], s.queue_output[tail] = prompt, output
    s.marks[LENGTH] += 1
    _dispatch(costs, s, at)


@njit(cache=True)
def requeue(s: Arrays, r: int) -> None:
    """Put a lost replica's sequences back at the head of the queue, the oldest first."""
    ring = s.queue_id.shape[0]
    for i in range(s.running[r] - 1, -1, -1):
        head = (s.marks[HEAD] - 1 + ring) % ring
        s.queue_id[head], s.queue_arrival_s[head] = s.seq_id[r, i], s.seq_arrival_s[r, i]
        s.queue_prompt[head], s.queue_output[head] = s.seq_prompt[r, i], s.seq_output[r, i]
        s.marks[HEAD] = head
        s.marks[LENGTH] += 1
        s.marks[REQUEUED] += 1
    s.running[r] = s.planned[r] = s.done[r] = s.kv_reserved[r] = s.kv_held[r] = 0


@njit(cache=True)
def run(
    costs: Costs,
    s: Arrays,
    edges: Edges,
    log: Log,
    at: Floats,
    prompt: Ints,
    output: Ints,
    until: float,
) -> None:
    """Advance the service to `until`; arrivals are sorted and lie in (now, until]."""
    upcoming = 0
    _dispatch(costs, s, s.clock[0])
    while True:
        r, ends = -1, np.inf
        for k in range(s.status.shape[0]):
            if s.planned[k] > 0:
                t = s.start_s[k] + s.planned[k] * s.step_s[k]
                if t < ends:
                    r, ends = k, t
        arrives = at[upcoming] if upcoming < at.shape[0] else np.inf
        if min(ends, arrives) > until:
            break
        if ends <= arrives:
            _end_plan(costs, s, edges, log, r)
        else:
            _arrive(costs, s, arrives, prompt[upcoming], output[upcoming])
            upcoming += 1
    for k in range(s.status.shape[0]):
        if s.planned[k] > 0:
            whole = s.done[k]
            while s.start_s[k] + (whole + 1) * s.step_s[k] <= until:
                whole += 1
            # A plan's last iteration also ends prompts: `_end_plan` books it.
            _settle(s, edges, k, min(whole, s.planned[k] - 1))
    s.clock[0] = until
