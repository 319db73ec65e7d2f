"""A replica's decoding sequences: a heap by the turn they end at, the older request first."""

from tiers.core.simulate.loop.compiled import inlined
from tiers.core.simulate.state import Ints


@inlined
def _before(ends: Ints, ids: Ints, one: int, two: int) -> bool:
    if ends[one] == ends[two]:
        return ids[one] < ids[two]  # type: ignore[no-any-return]
    return ends[one] < ends[two]  # type: ignore[no-any-return]


@inlined
def push(heap: Ints, ends: Ints, ids: Ints, row: int, size: int) -> None:
    """Add a row to the heap of `size` rows."""
    i = size
    while i > 0 and _before(ends, ids, row, heap[(i - 1) // 2]):
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = row


@inlined
def pop(heap: Ints, ends: Ints, ids: Ints, size: int) -> None:
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
