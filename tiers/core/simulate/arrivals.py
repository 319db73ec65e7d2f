"""Random request traces: Poisson arrivals, lognormal lengths."""

from dataclasses import dataclass

import numpy as np

from tiers.core.simulate.serving import Requests
from tiers.core.simulate.state import Ints


@dataclass(frozen=True)
class Lengths:
    """Lognormal token lengths by median and sigma of the logarithm, cut to [1, cap]."""

    prompt_median: float
    prompt_sigma: float
    output_median: float
    output_sigma: float
    prompt_cap: int = 16384
    output_cap: int = 2048

    @property
    def prompt_mean(self) -> float:
        """Mean prompt length before the cut, in tokens."""
        return float(self.prompt_median * np.exp(self.prompt_sigma**2 / 2))

    @property
    def output_mean(self) -> float:
        """Mean output length before the cut, in tokens."""
        return float(self.output_median * np.exp(self.output_sigma**2 / 2))


def _draw(rng: np.random.Generator, median: float, sigma: float, cap: int, count: int) -> Ints:
    tokens = rng.lognormal(np.log(median), sigma, count)
    return np.clip(np.rint(tokens), 1, cap).astype(np.int64)


def poisson_requests(
    rng: np.random.Generator, lengths: Lengths, rate_rps: float, after_s: float, until_s: float
) -> Requests:
    """Requests of a constant rate (requests/s) in (after_s, until_s], sorted by time."""
    count = int(rng.poisson(rate_rps * (until_s - after_s)))
    times = np.sort(until_s - rng.uniform(0.0, until_s - after_s, count))
    return Requests(
        arrival_s=times,
        prompt_tokens=_draw(rng, lengths.prompt_median, lengths.prompt_sigma,
                            lengths.prompt_cap, count),
        output_tokens=_draw(rng, lengths.output_median, lengths.output_sigma,
                            lengths.output_cap, count),
    )  # fmt: skip
