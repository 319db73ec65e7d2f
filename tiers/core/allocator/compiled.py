"""How the search is compiled: once on a machine, and again after an edit of any part of it.

As the simulator's loop: the cached files carry a digest of all sources, and numba's reference
counts are off because nothing here allocates.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from tiers.core.simulate.loop.compiled import digest

Compiled = Callable[..., Any]
_DIGEST = digest(sorted(Path(__file__).parent.glob("*.py")))


def compiled(function: Compiled) -> Compiled:
    """A function that Python or other compiled ones call, cached under the digest of all."""
    function.__qualname__ = f"{function.__name__}_{_DIGEST}"
    made: Compiled = njit(cache=True, _nrt=False)(function)  # type: ignore[call-overload]
    return made


def inlined(function: Compiled) -> Compiled:
    """A function that becomes part of those which call it."""
    made: Compiled = njit(_nrt=False, inline="never")(function)  # type: ignore[call-overload]
    return made
