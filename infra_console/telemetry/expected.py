"""What reading a source will cost, told before it is connected, and what its caps would do to that.

Which questions are asked only a domain knows: settings.EXPECTED_READING names who tells.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

from infra_console.telemetry.pace import MOST_S, READ_EVERY_S, Use, fullest


@dataclass(frozen=True, slots=True)
class ExpectedPart:
    """What one kind of reading fetches, in a minute on average."""

    what: str
    every_s: float
    use: Use

    @property
    def mib(self) -> float:
        return self.use.bytes / 2**20


@dataclass(frozen=True, slots=True)
class Expected:
    """An estimate for so many nodes; `assumed` where nobody has counted them."""

    clusters: int
    nodes: int
    assumed: bool
    parts: tuple[ExpectedPart, ...]

    @property
    def total(self) -> Use:
        return sum((part.use for part in self.parts), Use())

    @property
    def mib(self) -> float:
        return self.total.bytes / 2**20


def expected_reading(clusters: Collection[str], *, nodes: int | None = None) -> Expected:
    """What the console will fetch in a minute of a source that owns these clusters.

    Args:
        nodes: GPU nodes to expect; without it those that were seen last.
    """
    tell: Callable[[Collection[str], int | None], Expected] = import_string(
        settings.EXPECTED_READING
    )
    return tell(clusters, nodes)


def cap_words(expected: Use, caps: Use) -> str:
    """What these caps would do to that much reading: see pace.py."""
    if not caps.any:
        return "No cap is set: nothing holds the readings back."
    share, cap = fullest(expected, caps)
    if share <= 1:
        return f"Within the cap of {cap}: {share:.0%} of it."
    every_s = READ_EVERY_S * 2 ** math.ceil(math.log2(share))
    back = f"the readings back off by themselves to about every {min(every_s, MOST_S):.0f} s"
    if every_s > MOST_S:
        back += "; what still does not fit into a minute is refused and unknown"
    return f"{share:.1f} times the cap of {cap}: {back}."
