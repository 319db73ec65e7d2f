"""The service: arrivals, the queue, the router, and the run from event to event."""

import numpy as np

from tiers.core.simulate.loop.accounts import settle
from tiers.core.simulate.loop.compiled import compiled, inlined
from tiers.core.simulate.loop.plans import end_plan, plan
from tiers.core.simulate.loop.requests import free_row, new_row
from tiers.core.simulate.loop.spans import boundary, span
from tiers.core.simulate.state import (
    ACTIVE,
    HEAD,
    LENGTH,
    LOADING,
    NEXT_ID,
    PREEMPTED,
    REFUSED,
    Arrays,
    Costs,
    Edges,
    Floats,
    Ints,
    Log,
)


@inlined
def _begin(s: Arrays, r: int) -> None:
    """A replica has loaded."""
    s.loading_s[r] += s.next_s[r] - s.since_s[r]
    s.status[r], s.since_s[r], s.next_s[r] = ACTIVE, s.next_s[r], np.inf


@inlined
def _room(costs: Costs, s: Arrays, r: int, at: float) -> int:
    """Cache tokens that will be free when a request of `at` could join."""
    room = costs.kv_tokens - s.kv_reserved[r]
    if costs.grow_cache and s.planned[r] > 0:
        room -= (boundary(s, r, at) - s.done[r]) * (s.running[r] - s.readers[r])
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
        s.planned[r] = boundary(s, r, at)
        s.next_s[r] = s.start_s[r] + span(s.step_s[r], s.longer_s[r], s.planned[r])


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
                plan(costs, s, r, at)


@inlined
def _arrive(costs: Costs, s: Arrays, at: float, prompt: int, output: int) -> int:
    """Queue an arriving request; returns its row, or -1 where no replica could ever hold it."""
    row = -1
    if prompt + output <= costs.kv_tokens:
        row = new_row(s, at, prompt, output)
        s.queue[(s.marks[HEAD] + s.marks[LENGTH]) % s.queue.shape[0]] = row
        s.marks[LENGTH] += 1
    else:
        s.marks[REFUSED] += 1
    s.marks[NEXT_ID] += 1
    return row


@inlined
def _book_until(costs: Costs, s: Arrays, edges: Edges, until: float) -> None:
    """Book the whole iterations of every plan but its last, whose prompts `end_plan` books."""
    for r in range(s.status.shape[0]):
        if s.planned[r] > 1:
            whole = boundary(s, r, until)
            if s.start_s[r] + span(s.step_s[r], s.longer_s[r], whole) > until:
                whole -= 1
            settle(costs, s, edges, r, min(whole, s.planned[r] - 1))


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
            free_row(s.free, s.marks, newcomer)
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
            end_plan(costs, s, edges, log, r)
    _book_until(costs, s, edges, until)
    s.clock[0] = until
