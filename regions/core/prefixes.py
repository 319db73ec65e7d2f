"""Which regions probably still hold the beginning of a prompt in their KV cache.

A prompt is a chain of block hashes, each over all tokens up to its end (as in vLLM's prefix cache),
so a block held means everything before it was held. The router keeps its own books of what it sent
where, least recently used out first; an engine may have evicted more, which costs a prefill and
breaks nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence


class PrefixIndex:
    """Blocks of one model by region; at most `capacity` blocks in each."""

    def __init__(self, regions: int, capacity: Sequence[int]) -> None:
        self._holders: dict[int, int] = {}  # block -> bits of the regions that hold it
        self._recent: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(regions)]
        self._capacity = list(capacity)

    def depths(self, blocks: Sequence[int], regions: int) -> list[int]:
        """Leading blocks of the chain that each region holds, `(regions,)`."""
        found = [0] * regions
        holding = (1 << regions) - 1
        for depth, block in enumerate(blocks):
            still = holding & self._holders.get(block, 0)
            _note(found, holding & ~still, depth)
            holding = still
            if not holding:
                return found
        _note(found, holding, len(blocks))
        return found

    def copies(self, block: int) -> int:
        """How many regions hold a block."""
        return self._holders.get(block, 0).bit_count()

    def add(self, region: int, blocks: Sequence[int]) -> None:
        """The region has the whole chain now; what it used longest ago makes room."""
        recent, bit, holders = self._recent[region], 1 << region, self._holders
        for block in blocks:
            if block in recent:
                recent.move_to_end(block)
            else:
                recent[block] = None
                holders[block] = holders.get(block, 0) | bit
        for _ in range(len(recent) - self._capacity[region]):
            self._drop(recent.popitem(last=False)[0], bit)

    def forget(self, region: int) -> None:
        """The region was lost: its caches are gone with it."""
        bit = 1 << region
        for block in self._recent[region]:
            self._drop(block, bit)
        self._recent[region].clear()

    def _drop(self, block: int, bit: int) -> None:
        left = self._holders.pop(block) & ~bit
        if left:
            self._holders[block] = left


def _note(found: list[int], bits: int, depth: int) -> None:
    while bits:
        low = bits & -bits
        found[low.bit_length() - 1] = depth
        bits ^= low
