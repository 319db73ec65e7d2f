"""How the loop is compiled: once on a machine, and again after an edit of any part of it.

Numba's cache watches only the file of the function it compiled, and that function holds the inlined
code of the others; so the names of its cached files carry a digest of all of them.

Without numba's reference counts (`_nrt`, an option it does not document), which nothing here needs:
the loop allocates nothing, and counting the state's arrays at every access makes it 4 to 26 times
as slow (docs/simulator.md). After an upgrade of numba look at `benchmarks.simulator`: an option
that is gone is refused at import, one that does nothing is seen there only.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from numba import njit

Compiled = Callable[..., Any]
_HERE = Path(__file__).parent
SOURCES = (*sorted(_HERE.glob("*.py")), _HERE.parent / "state.py")


def digest(sources: Iterable[Path]) -> str:
    """A short name of what the files say now."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


_DIGEST = digest(SOURCES)


def compiled(function: Compiled) -> Compiled:
    """A function that Python calls, cached on disk under the digest of the whole loop."""
    function.__qualname__ = f"{function.__name__}_{_DIGEST}"
    made: Compiled = njit(cache=True, _nrt=False)(function)  # type: ignore[call-overload]
    return made


def inlined(function: Compiled) -> Compiled:
    """A function that becomes part of those which call it."""
    made: Compiled = njit(_nrt=False, forceinline=True)(function)  # type: ignore[call-overload]
    return made
