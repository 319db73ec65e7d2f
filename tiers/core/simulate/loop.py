"""The compiled event loop under `serving`: one service, its replicas, its central queue.

An iteration of a replica decodes one token for every decoding sequence and spends what is left of
the token budget on waiting prompts, in order of admission (chunked prefill):

    duration = base + per_sequence x decoding + per_prompt_token x chunk + per_context_token x held

While a batch only decodes, nothing can happen before its first sequence ends, so a plan is that
many iterations at once, each longer than the one before by what it added to the cache; it is cut at
the next boundary when a request joins. Boundary k of a plan is a formula of its start and k, and
what a plan adds up is `value at its start + formula of k`, never a running sum: a run in slices
equals a whole run to the last bit.

A replica counts its iterations (`turn`). A sequence whose first token comes at turn t ends at turn
t + output - 1, so an iteration touches no sequence but those that begin or end: a request costs a
few steps in a heap, whatever the batch. Events are arrivals, ends of plans and replicas that have
loaded; the earliest is found by looking at every replica, which beats a heap for the tens of
replicas that a service has. Times are seconds, lengths are tokens.

One file, because numba's cache watches only the file of the function it compiled: edits elsewhere
would leave old code running (touch this one after a change of `state`'s constants). Without numba's
reference counts (`_nrt`), which nothing here needs: it allocates nothing, and counting the state's
arrays at every access takes 20 to 30 times as long as the loop itself.
"""

import numpy as np
from numba import njit

from tiers.core.simulate.state import (
    ABSENT,
    ACTIVE,
    BUSY,
    DRAINING,
    FREE,
    HEAD,
    IDLE,
    LENGTH,
    LOADED,
    LOADING,
    NEXT_ID,
    PREEMPTED,
    REFUSED,
    REQUEUED,
    Arrays,
    Costs,
    Edges,
    Floats,
    Ints,
    Log,
)

compiled = njit(cache=True, _nrt=False)  # type: ignore[call-overload]  # not in numba's stubs
inlined = njit(cache=True, _nrt=False, forceinline=True)  # type: ignore[call-overload]


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


# A replica's decoding sequences: a binary heap by the turn they end at, the older request first.


@inlined
def _before(ends: Ints, ids: Ints, one: int, two: int) -> bool:
    if ends[one] == ends[two]:
        return ids[one] < ids[two]  # type: ignore[no-any-return]
    return ends[one] < ends[two]  # type: ignore[no-any-return]


@inlined
def _push(heap: Ints, ends: Ints, ids: Ints, row: int, size: int) -> None:
    """Add a row to the heap of `size` rows."""
    i = size
    while i > 0 and _before(ends, ids, row, heap[(i - 1) // 2]):
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = row


@inlined
def _pop(heap: Ints, ends: Ints, ids: Ints, size: int) -> None:
    """Take the row that ends first off the heap of `size` rows."""
    last = size - 1
    row, i = heap[last], 0
    while 2 * i + 1 < last:
        child = 2 * i + 1
        if child + 1 < last and _before(ends, ids, heap[child + 1], heap[child]):
            child += 1
        if not _before(ends, ids, heap[child], row):
            break
        heap[i] = heap[child]
        i = child
    heap[i] = row


# The queue.


@inlined
def _new_row(s: Arrays, at: float, prompt: int, output: int) -> int:
    """Enter an arriving request into the table; returns its row."""
    s.marks[FREE] -= 1
    row = s.free[s.marks[FREE]]
    s.id[row], s.arrival_s[row] = s.marks[NEXT_ID], at
    s.prompt[row], s.output[row], s.made[row] = prompt, output, 0
    s.begun_s[row] = s.first_s[row] = np.nan
    return row  # type: ignore[no-any-return]


@inlined
def _free_row(free: Ints, marks: Ints, row: int) -> None:
    free[marks[FREE]] = row
    marks[FREE] += 1


@inlined
def _queue_first(queue: Ints, marks: Ints, row: int) -> None:
    marks[HEAD] = (marks[HEAD] - 1) % queue.shape[0]
    queue[marks[HEAD]] = row
    marks[LENGTH] += 1


# A replica's plan.


@inlined
def _span(step_s: float, longer_s: float, k: int) -> float:
    """Seconds of a plan's first `k` iterations: the first, and how much longer each next one is."""
    return k * step_s + longer_s * (k * (k - 1) // 2)


@inlined
def _boundary(s: Arrays, r: int, at: float) -> int:
    """Number of the plan's first iteration boundary not before `at`; at least one."""
    if s.step_s[r] <= 0.0:
        return s.planned[r]  # type: ignore[no-any-return]
    since, half = at - s.start_s[r], s.step_s[r] - s.longer_s[r] / 2.0
    # The root of `_span(k) = since`, in the form that is also right for equal iterations.
    root = 2.0 * since / (half + np.sqrt(half * half + 2.0 * s.longer_s[r] * max(0.0, since)))
    k = max(1, s.done[r], int(root) - 1)
    while s.start_s[r] + _span(s.step_s[r], s.longer_s[r], k) < at:
        k += 1
    return min(s.planned[r], k)  # type: ignore[no-any-return]


@inlined
def _plan(costs: Costs, s: Arrays, r: int, at: float) -> None:
    """Plan the next iteration, or all iterations up to the first end of a sequence."""
    if costs.grow_cache:
        while costs.kv_tokens - s.kv_reserved[r] < s.running[r] - s.readers[r]:
            _preempt(s, r, at)
    decoders, ring = s.running[r] - s.readers[r], s.reading.shape[1]
    budget, i = max(1, costs.chunk_tokens - decoders), 0
    left = budget
    while i < s.readers[r] and left > 0:
        row = s.reading[r, (s.reading_head[r] + i) % ring]
        if np.isnan(s.begun_s[row]):
            s.begun_s[row] = at
        left -= min(left, s.prompt_left[row])
        i += 1
    chunk = budget - left
    s.planned[r] = 1 if chunk > 0 else s.end_turn[s.decoding[r, 0]] - s.turn[r]
    if costs.grow_cache and chunk == 0:
        fits = (costs.kv_tokens - s.kv_reserved[r]) // decoders
        s.planned[r] = min(s.planned[r], fits)
    s.idle_s[r] += at - s.since_s[r]
    s.start_s[r], s.done[r], s.chunk[r] = at, 0, chunk
    s.step_s[r] = (
        costs.base_s
        + costs.per_sequence_s * decoders
        + costs.per_prompt_token_s * chunk
        + costs.per_context_token_s * s.kv_held[r]
    )
    s.longer_s[r] = costs.per_context_token_s * decoders
    s.next_s[r] = at + _span(s.step_s[r], s.longer_s[r], s.planned[r])
    s.at_start_s[r, 0], s.at_start_s[r, 1] = s.busy_s[r], s.sums_s[r, 1]


@inlined
def _settle(costs: Costs, s: Arrays, edges: Edges, r: int, upto: int) -> None:
    """Book the plan's iterations up to number `upto`: tokens, gaps between tokens, busy time."""
    decoders = s.running[r] - s.readers[r]
    tokens = (upto - s.done[r]) * decoders
    if tokens > 0:
        _count_gaps(s, edges, r, upto, decoders)
        s.sums_s[r, 1] = s.at_start_s[r, 1] + decoders * _span(s.step_s[r], s.longer_s[r], upto)
        s.output_tokens[r] += tokens
        _hold(costs, s, r, tokens)
    s.busy_s[r] = s.at_start_s[r, 0] + _span(s.step_s[r], s.longer_s[r], upto)
    s.turn[r] += upto - s.done[r]
    s.done[r] = upto


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
def _finish(costs: Costs, s: Arrays, edges: Edges, log: Log, r: int, row: int, at: float) -> None:
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
    _free_row(s.free, s.marks, row)


@inlined
def _token_after_prompt(costs: Costs, s: Arrays, edges: Edges, r: int, row: int, at: float) -> None:
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


@inlined
def _end_prompts(costs: Costs, s: Arrays, edges: Edges, r: int, at: float) -> None:
    """Book the chunk; prompts that are read whole give their first token and begin to decode."""
    chunk = s.chunk[r]
    s.prompt_tokens[r] += chunk
    s.kv_held[r] += chunk
    while chunk > 0:
        row = s.reading[r, s.reading_head[r]]
        take = min(chunk, s.prompt_left[row])
        chunk -= take
        s.prompt_left[row] -= take
        if s.prompt_left[row] > 0:
            break
        decoders = s.running[r] - s.readers[r]
        s.reading_head[r] = (s.reading_head[r] + 1) % s.reading.shape[1]
        s.readers[r] -= 1
        _token_after_prompt(costs, s, edges, r, row, at)
        s.end_turn[row] = s.turn[r] + s.output[row] - s.made[row] - 1
        _push(s.decoding[r], s.end_turn, s.id, row, decoders)


@inlined
def _end_plan(costs: Costs, s: Arrays, edges: Edges, log: Log, r: int) -> None:
    """Book the plan to its end and let sequences begin and end."""
    at = s.next_s[r]
    _settle(costs, s, edges, r, s.planned[r])
    _end_prompts(costs, s, edges, r, at)
    decoders = s.running[r] - s.readers[r]
    while decoders > 0 and s.end_turn[s.decoding[r, 0]] == s.turn[r]:
        row = s.decoding[r, 0]
        _pop(s.decoding[r], s.end_turn, s.id, decoders)
        decoders -= 1
        _finish(costs, s, edges, log, r, row, at)
    s.planned[r], s.next_s[r], s.since_s[r] = 0, np.inf, at
    if s.running[r] == 0 and s.status[r] == DRAINING:
        leave(s, r, at)


# Sequences that go back, replicas that come and go.


@compiled
def _take_youngest(s: Arrays, r: int, at: float) -> int:
    """Take the sequence that came last out of a replica without a plan; returns its row."""
    s.running[r] -= 1
    if s.readers[r] > 0:
        s.readers[r] -= 1
        row = s.reading[r, (s.reading_head[r] + s.readers[r]) % s.reading.shape[1]]
        s.kv_held[r] -= s.prompt[row] + s.made[row] - s.prompt_left[row]
        return row  # type: ignore[no-any-return]
    heap, place = s.decoding[r], 0
    for i in range(1, s.running[r] + 1):
        if s.id[heap[i]] > s.id[heap[place]]:
            place = i
    row = heap[place]
    for i in range(place, s.running[r]):
        heap[i] = heap[i + 1]
    for i in range(s.running[r]):
        _push(heap, s.end_turn, s.id, heap[i], i)
    s.made[row] = s.output[row] - (s.end_turn[row] - s.turn[r])
    s.last_s[row] = at
    s.kv_held[r] -= s.prompt[row] + s.made[row]
    return row  # type: ignore[no-any-return]


@compiled
def _preempt(s: Arrays, r: int, at: float) -> None:
    """Send the youngest sequence back to the head of the queue; it will be computed again."""
    row = _take_youngest(s, r, at)
    s.kv_reserved[r] -= s.prompt[row] + s.made[row]
    s.marks[PREEMPTED] += 1
    _queue_first(s.queue, s.marks, row)


@compiled
def lose(s: Arrays, r: int, at: float) -> None:
    """Take a replica away; its sequences go back to the head of the queue, the oldest first."""
    leave(s, r, at)
    while s.running[r] > 0:
        row = _take_youngest(s, r, at)
        s.made[row] = 0
        s.begun_s[row] = s.first_s[row] = np.nan
        s.marks[REQUEUED] += 1
        _queue_first(s.queue, s.marks, row)
    s.kv_reserved[r] = s.kv_held[r] = 0


@compiled
def stretch(s: Arrays, r: int, at: float) -> tuple[int, float]:
    """What a present replica does at `at`, and the seconds of it that are not booked yet."""
    if s.planned[r] > 0:
        return BUSY, at - (s.start_s[r] + _span(s.step_s[r], s.longer_s[r], s.done[r]))
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


@inlined
def _begin(s: Arrays, r: int) -> None:
    """A replica has loaded."""
    s.loading_s[r] += s.next_s[r] - s.since_s[r]
    s.status[r], s.since_s[r], s.next_s[r] = ACTIVE, s.next_s[r], np.inf


# The service.


@inlined
def _room(costs: Costs, s: Arrays, r: int, at: float) -> int:
    """Cache tokens that will be free when a request of `at` could join."""
    room = costs.kv_tokens - s.kv_reserved[r]
    if costs.grow_cache and s.planned[r] > 0:
        room -= (_boundary(s, r, at) - s.done[r]) * (s.running[r] - s.readers[r])
    return room  # type: ignore[no-any-return]


@inlined
def _roomiest(costs: Costs, s: Arrays, need: int, at: float) -> int:
    """The active replica with most free cache that can take `need` tokens, or -1."""
    best, best_room = -1, -1
    for r in range(s.status.shape[0]):
        if s.status[r] != ACTIVE or s.running[r] >= costs.max_batch:
            continue
        room = _room(costs, s, r, at)
        if room >= need and (
            room > best_room or (room == best_room and s.running[r] < s.running[best])
        ):
            best, best_room = r, room
    return best


@inlined
def _admit(costs: Costs, s: Arrays, r: int, row: int, at: float) -> None:
    """Give a replica a request; it joins at the next boundary."""
    s.prompt_left[row] = s.prompt[row] + s.made[row]
    s.reading[r, (s.reading_head[r] + s.readers[r]) % s.reading.shape[1]] = row
    s.readers[r] += 1
    s.running[r] += 1
    s.kv_reserved[r] += s.prompt[row] + (s.made[row] if costs.grow_cache else s.output[row])
    if s.planned[r] > 0:
        s.planned[r] = _boundary(s, r, at)
        s.next_s[r] = s.start_s[r] + _span(s.step_s[r], s.longer_s[r], s.planned[r])


@inlined
def _admit_waiting(costs: Costs, s: Arrays, at: float) -> None:
    """Move the queue's head into replicas while it fits."""
    while s.marks[LENGTH] > 0:
        row = s.queue[s.marks[HEAD]]
        need = s.prompt[row] + (s.made[row] + 1 if costs.grow_cache else s.output[row])
        r = _roomiest(costs, s, need, at)
        if r < 0:
            break
        s.marks[HEAD] = (s.marks[HEAD] + 1) % s.queue.shape[0]
        s.marks[LENGTH] -= 1
        _admit(costs, s, r, row, at)


@inlined
def _dispatch(costs: Costs, s: Arrays, at: float) -> None:
    """Give waiting requests to replicas and start those that stand still."""
    preempted = -1
    while preempted != s.marks[PREEMPTED]:
        # What one replica preempts, another may have room for.
        preempted = s.marks[PREEMPTED]
        _admit_waiting(costs, s, at)
        for r in range(s.status.shape[0]):
            if s.planned[r] == 0 and s.running[r] > 0:
                _plan(costs, s, r, at)


@inlined
def _arrive(costs: Costs, s: Arrays, at: float, prompt: int, output: int) -> int:
    """Queue an arriving request; returns its row, or -1 where no replica could ever hold it."""
    row = -1
    if prompt + output <= costs.kv_tokens:
        row = _new_row(s, at, prompt, output)
        s.queue[(s.marks[HEAD] + s.marks[LENGTH]) % s.queue.shape[0]] = row
        s.marks[LENGTH] += 1
    else:
        s.marks[REFUSED] += 1
    s.marks[NEXT_ID] += 1
    return row


@inlined
def _book_until(costs: Costs, s: Arrays, edges: Edges, until: float) -> None:
    """Book the whole iterations of every plan but its last, whose prompts `_end_plan` books."""
    for r in range(s.status.shape[0]):
        if s.planned[r] > 1:
            whole = _boundary(s, r, until)
            if s.start_s[r] + _span(s.step_s[r], s.longer_s[r], whole) > until:
                whole -= 1
            _settle(costs, s, edges, r, min(whole, s.planned[r] - 1))


@compiled
def run(
    costs: Costs, s: Arrays, edges: Edges, log: Log, at: Floats, prompt: Ints, output: Ints,
    until: float,
) -> None:  # fmt: skip
    """Advance the service to `until`; arrivals are sorted and lie in (now, until]."""
    upcoming, now, newcomer = 0, s.clock[0], -1
    while True:
        _dispatch(costs, s, now)
        if newcomer >= 0 and s.marks[LENGTH] > costs.queue_limit:
            # The queue did not empty, so its last is the newcomer.
            s.marks[LENGTH] -= 1
            s.marks[REFUSED] += 1
            _free_row(s.free, s.marks, newcomer)
        r = np.argmin(s.next_s)
        ends = s.next_s[r]
        arrives = at[upcoming] if upcoming < at.shape[0] else np.inf
        now, newcomer = min(ends, arrives), -1
        if now > until:
            break
        if ends > arrives:
            newcomer = _arrive(costs, s, arrives, prompt[upcoming], output[upcoming])
            upcoming += 1
        elif s.status[r] == LOADING:
            _begin(s, r)
        else:
            _end_plan(costs, s, edges, log, r)
    _book_until(costs, s, edges, until)
    s.clock[0] = until
