"""How good an answer is: recall against the exact answer with a lower bound, nDCG against labels.

The bound is one-sided Clopper–Pearson (Clopper & Pearson, Biometrika 26, 1934) over hits, with the
effective sample size of Korn & Graubard (Survey Methodology 24, 1998): misses come in clusters, a
hard query loses several of its ten at once, so n·k hits tell less than n·k coin tosses. Wilson's
interval is narrower but falls short of its level near 1, which is where recall lives. The design
effect is taken from the spread between queries and never below 2: a sample without a miss shows no
spread at all, and an HNSW on a quarter of a million texts showed 1.7.
"""

from collections.abc import Mapping, Sequence
from math import log2

import numpy as np
import scipy  # by its parts, at first use: most processes need none
from numpy.typing import NDArray

from fabric.core.vectors import TIE

LEVEL = 0.95
LEAST_DESIGN_EFFECT = 2.0


def recall_at(k: int, found: Sequence[float], exact: Sequence[float]) -> float | None:
    """Share of the exact answer that was found; None where the exact answer is empty.

    A document as near as the exact answer's last one counts, whichever of the equals was kept.

    Args:
        found: exact distances of the documents that were returned, no document twice.
        exact: distances of the exact answer, nearest first.
    """
    wanted = min(k, len(exact))
    if not wanted:
        return None
    hits = sum(distance <= exact[wanted - 1] + TIE for distance in found)
    return min(hits, wanted) / wanted


def design_effect(recalls: NDArray[np.float64], k: int) -> float:
    """Variance of the mean over that of independent hits; between 2 and k."""
    mean = float(recalls.mean())
    binomial = mean * (1 - mean) / k
    if len(recalls) < 2 or binomial <= 0:
        return min(LEAST_DESIGN_EFFECT, float(k))
    return float(np.clip(recalls.var(ddof=1) / binomial, min(LEAST_DESIGN_EFFECT, k), k))


def recall_lower(recalls: Sequence[float], k: int, *, level: float = LEVEL) -> float | None:
    """The recall that the sample's true mean exceeds with this confidence; None without queries."""
    if not len(recalls):
        return None
    values = np.asarray(recalls, dtype=np.float64)
    trials = len(values) * k / design_effect(values, k)
    hits = float(values.mean()) * trials
    return float(scipy.special.betaincinv(hits, trials - hits + 1, 1 - level)) if hits > 0 else 0.0


def ndcg_at(k: int, ranked: Sequence[str], gains: Mapping[str, float]) -> float | None:
    """Discounted gain over the best order's (Järvelin & Kekäläinen 2002, linear gains); None
    for a query without labels."""
    best = sum(g / log2(i + 2) for i, g in enumerate(sorted(gains.values(), reverse=True)[:k]))
    if best <= 0:
        return None
    return sum(gains.get(doc, 0.0) / log2(i + 2) for i, doc in enumerate(ranked[:k])) / best


def ratio_interval(
    ours: Sequence[float], theirs: Sequence[float], *, seed: int, rounds: int = 2000, block: int = 8
) -> dict[str, float]:
    """Mean time over mean time with a 95 % interval: paired bootstrap of blocks of queries that
    ran one after another, since a busy moment of the machine slows neighbours together
    (Künsch 1989)."""
    a, b = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    n, rng = len(a), np.random.default_rng(seed)
    block = max(1, min(block, n // 4))
    starts = rng.integers(0, n, size=(rounds, -(-n // block)))
    rows = ((starts[:, :, None] + np.arange(block)) % n).reshape(rounds, -1)[:, :n]
    ratios = a[rows].mean(axis=1) / b[rows].mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return {"mean": float(a.mean() / b.mean()), "low": float(low), "high": float(high)}
