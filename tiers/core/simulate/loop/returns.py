"""Sequences that go back to the queue: preempted, or with a replica that is lost."""

import numpy as np

from tiers.core.simulate.loop.accounts import leave
from tiers.core.simulate.loop.compiled import compiled
from tiers.core.simulate.loop.heap import push
from tiers.core.simulate.loop.requests import queue_first
from tiers.core.simulate.state import PREEMPTED, REQUEUED, Arrays


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
        push(heap, s.end_turn, s.id, heap[i], i)
    s.made[row] = s.output[row] - (s.end_turn[row] - s.turn[r])
    s.last_s[row] = at
    s.kv_held[r] -= s.prompt[row] + s.made[row]
    return row  # type: ignore[no-any-return]


@compiled
def preempt(s: Arrays, r: int, at: float) -> None:
    """Send the youngest sequence back to the head of the queue; it will be computed again."""
    row = _take_youngest(s, r, at)
    s.kv_reserved[r] -= s.prompt[row] + s.made[row]
    s.marks[PREEMPTED] += 1
    queue_first(s.queue, s.marks, row)


@compiled
def lose(s: Arrays, r: int, at: float) -> None:
    """Take a replica away; its sequences go back to the head of the queue, the oldest first."""
    leave(s, r, at)
    while s.running[r] > 0:
        row = _take_youngest(s, r, at)
        s.made[row] = 0
        s.begun_s[row] = s.first_s[row] = np.nan
        s.marks[REQUEUED] += 1
        queue_first(s.queue, s.marks, row)
    s.kv_reserved[r] = s.kv_held[r] = 0
