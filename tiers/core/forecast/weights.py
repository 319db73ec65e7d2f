"""Whether a set of weights is the one a network needs. Reading files is the adapter's work."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.errors import ModelCorrupt, ModelWrongShape

Weights = Mapping[str, NDArray[np.float32]]


def check_weights(
    weights: Weights, expected: Mapping[str, tuple[int, ...]], *, name: str = "weights"
) -> None:
    """Refuse weights of another architecture or with values that are no numbers.

    Raises:
        ModelWrongShape: a weight is missing, unknown, or of another shape.
        ModelCorrupt: a value is not finite.
    """
    found = {key: tuple(value.shape) for key, value in weights.items()}
    if found != dict(expected):
        odd = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        raise ModelWrongShape(name, f"{', '.join(odd)} is missing, unknown or of another shape")
    bad = sorted(key for key, value in weights.items() if not np.isfinite(value).all())
    if bad:
        raise ModelCorrupt(name, f"{', '.join(bad)} holds values that are no numbers")
