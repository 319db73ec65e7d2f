"""Noise that can be read at any time: seeded values on a lattice, smoothly joined.

A recurrence would have to be run from its beginning; here the value at time t is computed from t
alone, so that history written yesterday and demand drawn now lie on one curve.
"""

import zlib

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream(seed: int, *words: str) -> int:
    """A number that names one noise curve, from a seed and words."""
    return (seed * 0x1000193) ^ zlib.crc32("/".join(words).encode())


def uniform_at(curve: int, lattice: npt.NDArray[np.int64]) -> Floats:
    """Independent uniform values in (0, 1), one per lattice point (splitmix64)."""
    with np.errstate(over="ignore"):
        x = lattice.astype(np.uint64) * _GOLDEN + np.uint64(curve & 0xFFFFFFFFFFFFFFFF)
        x = (x ^ (x >> np.uint64(30))) * _MIX_1
        x = (x ^ (x >> np.uint64(27))) * _MIX_2
        x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def smooth_noise(curve: int, t_s: Floats, period_s: float) -> Floats:
    """A smooth random curve of mean 0 and standard deviation about 1, with a knot per period.

    Normal values at the knots, joined with weights whose squares sum to one, so that the spread is
    the same between knots as at them. `t_s` and the result have shape `(n,)`.
    """
    position = np.asarray(t_s, dtype=np.float64) / period_s
    knot = np.floor(position)
    left = ndtri(uniform_at(curve, knot.astype(np.int64)))
    right = ndtri(uniform_at(curve, knot.astype(np.int64) + 1))
    angle = (position - knot) * (np.pi / 2.0)
    return np.asarray(left * np.cos(angle) + right * np.sin(angle), dtype=np.float64)
