"""The lengths of a workload's requests as the queueing formulas need them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from tiers.core.simulate.arrivals import Lengths

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

# Prompt tokens are counted in bins; the range also holds prompts that wait behind one another.
BIN_TOKENS = 64
BINS = 2048
_NODES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """Means in tokens; `prompt` is the distribution of prompt lengths over bins, `(BINS,)`.

    `footprint` and `footprint_cv2` are mean and squared coefficient of variation of the cache that
    a running request holds at its end: long outputs are met more often than they arrive.
    """

    prompt: Floats
    prompt_mean: float
    prompt_cv2: float
    output_mean: float
    output_nodes: Floats
    footprint: float
    footprint_cv2: float

    @classmethod
    def of(cls, lengths: Lengths) -> Self:
        """From lognormal lengths cut to [1, cap]."""
        prompts = _quantiles(lengths.prompt_median, lengths.prompt_sigma, lengths.prompt_cap)
        outputs = _quantiles(lengths.output_median, lengths.output_sigma, lengths.output_cap)
        o1, o2, o3 = ((outputs**k).mean() for k in (1, 2, 3))
        p1, p2 = prompts.mean(), (prompts**2).mean()
        held = p1 + o2 / o1
        held_squared = p2 + 2 * p1 * o2 / o1 + o3 / o1
        return cls(
            prompt=binned(lengths, 1.0),
            prompt_mean=float(p1),
            prompt_cv2=float(p2 / p1**2 - 1),
            output_mean=float(o1),
            output_nodes=outputs.reshape(64, -1).mean(1),
            footprint=float(held),
            footprint_cv2=float(held_squared / held**2 - 1),
        )


def binned(lengths: Lengths, scale: float) -> Floats:
    """Distribution `(BINS,)` of `scale` x prompt length, bin i holding about i x BIN_TOKENS."""
    edges = (np.arange(BINS + 1) - 0.5) * BIN_TOKENS
    edges[0] = 0.0
    with np.errstate(divide="ignore"):
        z = (np.log(edges) - np.log(scale * lengths.prompt_median)) / lengths.prompt_sigma
    below = np.where(edges > scale * lengths.prompt_cap, 1.0, ndtr(z))
    mass = np.diff(below)
    return np.asarray(mass / mass.sum())


def _quantiles(median: float, sigma: float, cap: int) -> Floats:
    """Equally likely values of a cut lognormal, ascending."""
    z = ndtri((np.arange(_NODES) + 0.5) / _NODES)
    return np.asarray(np.clip(median * np.exp(sigma * z), 1.0, cap))
