"""Histogram edges of vLLM (V1), in seconds; the +Inf bucket is implied.

Source: vLLM's metrics design notes; TTFT and inter-token edges are its defaults.
"""

import numpy as np
import numpy.typing as npt

TTFT_EDGES_S: tuple[float, ...] = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
ITL_EDGES_S: tuple[float, ...] = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
E2E_EDGES_S: tuple[float, ...] = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0,
    120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0,
)  # fmt: skip


def edges(values: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """The edges as an array `(k,)`, in seconds."""
    return np.asarray(values, dtype=np.float64)


def quantile_from_counts(
    counts: npt.NDArray[np.int64], values: tuple[float, ...], quantile: float
) -> float:
    """Quantile of a histogram as Prometheus' `histogram_quantile` would give it.

    Args:
        counts: observations per bucket, not cumulative, shape `(len(values) + 1,)`.
        values: upper edges in seconds.
        quantile: in [0, 1].

    Returns:
        Seconds, interpolated linearly inside the bucket; the last finite edge where the quantile
        lies beyond it; NaN for an empty histogram.
    """
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    cumulative = np.cumsum(counts)
    rank = quantile * total
    bucket = int(np.searchsorted(cumulative, rank))
    if bucket >= len(values):
        return values[-1]
    low = values[bucket - 1] if bucket else 0.0
    below = cumulative[bucket - 1] if bucket else 0
    share = (rank - below) / counts[bucket] if counts[bucket] else 0.0
    return float(low + (values[bucket] - low) * share)
