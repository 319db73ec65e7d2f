"""Rows of the table of requests, and the ring of those that wait."""

import numpy as np

from tiers.core.simulate.loop.compiled import inlined
from tiers.core.simulate.state import FREE, HEAD, LENGTH, NEXT_ID, Arrays, Ints


@inlined
def new_row(s: Arrays, at: float, prompt: int, output: int) -> int:
    """Enter an arriving request into the table; returns its row."""
    s.marks[FREE] -= 1
    row = s.free[s.marks[FREE]]
    s.id[row], s.arrival_s[row] = s.marks[NEXT_ID], at
    s.prompt[row], s.output[row], s.made[row] = prompt, output, 0
    s.begun_s[row] = s.first_s[row] = np.nan
    return row  # type: ignore[no-any-return]


@inlined
def free_row(free: Ints, marks: Ints, row: int) -> None:
    free[marks[FREE]] = row
    marks[FREE] += 1


@inlined
def queue_first(queue: Ints, marks: Ints, row: int) -> None:
    marks[HEAD] = (marks[HEAD] - 1) % queue.shape[0]
    queue[marks[HEAD]] = row
    marks[LENGTH] += 1
