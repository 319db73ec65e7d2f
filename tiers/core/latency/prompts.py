"""Time to first token of a request that has a place, at a fixed number of decoding sequences.

A replica works in iterations (see `simulate.loop`): each spends what decoding leaves of the token
budget, B = chunk - n, on waiting prompts in their order, and takes T(c) = base + n x per_sequence +
c x per_prompt_token for a chunk of c tokens. The tokens w that wait when an iteration begins are a
Markov chain, w' = max(0, w - B) + arrivals during T(min(w, B)), compound Poisson in the prompts;
this is a queue with gated service (Takagi 1986, "Analysis of Polling Systems"), solved by
iterating its law, with convolutions as products of discrete Fourier transforms.

An arrival meets an iteration in proportion to its length. It waits for its end, for the full
chunks ahead of its own last one, and for that one, which other prompts of the same gate may fill.

Replicas share the load by free cache. So prompts meet at one replica less than chance would have
it: the inflow keeps its mean and its variance falls to `0.35 + 0.65 / replicas^1.5` of it. And a
request goes where sequences have just ended, which is early in an iteration: the part that has
passed is u^(2 - 1/replicas) for u even in (0, 1). Both were fitted to the event simulation at 3 and
10 replicas, and are checked on others.
"""

from dataclasses import dataclass

import numpy as np

from tiers.core.latency.mix import BIN_TOKENS, BINS, Complexes, Floats, Mix, binned
from tiers.core.simulate.arrivals import Lengths
from tiers.core.simulate.serving import ServingCosts

_TOLERANCE = 1e-6
_MAX_ROUNDS = 400
_MOMENTS = 4  # instants within an iteration at which the request arrives
_LEVELS = 8  # groups of chunk sizes that the arrival may meet


def smoothing(replicas: int) -> float:
    """Variance of one replica's prompt inflow over that of a Poisson stream."""
    return float(0.35 + 0.65 / replicas**1.5)


def arrival_instants(replicas: int) -> Floats:
    """Equally likely parts of an iteration that have passed when a request comes."""
    even = (np.arange(_MOMENTS) + 0.5) / _MOMENTS
    return np.asarray(even ** (2 - 1 / replicas))


@dataclass(frozen=True, slots=True, eq=False)
class Inflow:
    """Prompts that come to one replica: `rate` of a stream with jumps of transform `jump - 1`.

    `own` is the transform of one prompt.
    """

    rate: float
    jump_less_one: Complexes
    own: Complexes
    tokens_per_s: float

    def during(self, seconds: Floats | float) -> Complexes:
        """Transform of the tokens that come in `seconds`; a leading axis where several."""
        spans = np.asarray(seconds, dtype=np.float64)[..., None]
        return np.asarray(np.exp(self.rate * spans * self.jump_less_one))


def inflow(lengths: Lengths, mix: Mix, *, rate_rps: float, replicas: int) -> Inflow:
    """The stream to one of `replicas`, at `rate_rps` requests/s a replica."""
    jump = binned(lengths, smoothing(replicas))
    jump_mean = float(jump @ np.arange(BINS)) * BIN_TOKENS
    return Inflow(
        rate=rate_rps * mix.prompt_mean / jump_mean,
        jump_less_one=np.fft.rfft(jump) - 1,
        own=np.fft.rfft(mix.prompt),
        tokens_per_s=rate_rps * mix.prompt_mean,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Iterations:
    """Iterations at one number of decoding sequences.

    `seconds` `(full + 1,)` by bins of prompt tokens in the chunk; `law` `(BINS,)` of waiting bins.
    """

    seconds: Floats
    law: Floats

    @property
    def full(self) -> int:
        """Bins of a full chunk."""
        return len(self.seconds) - 1

    @property
    def chunk_law(self) -> Floats:
        """Probabilities `(full + 1,)` of an iteration's chunk."""
        return np.append(self.law[: self.full], self.law[self.full :].sum())


def iterations(costs: ServingCosts, stream: Inflow, decoding: float) -> Iterations:
    """Solve the chain for `decoding` sequences."""
    full = max(1, int((costs.chunk_tokens - decoding) // BIN_TOKENS))
    bare_s = costs.base_s + decoding * costs.per_sequence_s
    seconds = np.linspace(bare_s, bare_s + full * BIN_TOKENS * costs.per_prompt_token_s, full + 1)
    arriving = stream.during(seconds)
    law = np.zeros(BINS)
    law[0] = 1.0
    for _ in range(_MAX_ROUNDS):
        left = np.zeros(BINS)
        left[: BINS - full] = law[full:]
        after = _positive(law[:full] @ arriving[:full] + np.fft.rfft(left) * arriving[full])
        moved, law = np.abs(after - law).sum(), after
        if moved < _TOLERANCE:
            break
    return Iterations(seconds=seconds, law=law)


def first_token(
    costs: ServingCosts, stream: Inflow, met: Iterations, instants: Floats
) -> tuple[Floats, Floats]:
    """Seconds from a place to the first token: values and their weights, both `(k,)`."""
    own = np.arange(BINS)
    ahead = np.maximum(0, -(-own // met.full) - 1)
    rest = own - ahead * met.full
    times, weights = [], []
    for share, lasts_s, left in _meetings(met):
        for part in instants:
            came = stream.own * stream.during(lasts_s * part)
            tokens = _positive(came if left is None else came * left)
            later = stream.tokens_per_s * lasts_s * (1 - part) / BIN_TOKENS
            last = np.minimum(met.full, rest + later)
            times.append(
                lasts_s * (1 - part)
                + ahead * met.seconds[-1]
                + met.seconds[0]
                + last * BIN_TOKENS * costs.per_prompt_token_s
            )
            weights.append(share / len(instants) * tokens)
    return np.concatenate(times), np.concatenate(weights)


def _meetings(met: Iterations) -> list[tuple[float, float, Complexes | None]]:
    """Iterations that an arrival meets: share, seconds, and the transform of what they leave."""
    chance = met.law * met.seconds[np.minimum(np.arange(BINS), met.full)]
    chance /= chance.sum()
    found: list[tuple[float, float, Complexes | None]] = []
    for level in np.array_split(np.arange(met.full), _LEVELS):
        share = float(chance[level].sum())
        if share > 0:
            found.append((share, float(chance[level] @ met.seconds[level]) / share, None))
    share = float(chance[met.full :].sum())
    if share > 0:
        left = np.zeros(BINS)
        left[: BINS - met.full] = chance[met.full :] / share
        found.append((share, float(met.seconds[-1]), np.fft.rfft(left)))
    return found


def _positive(transform: Complexes) -> Floats:
    """Back to probabilities; rounding below zero is cut."""
    law = np.maximum(np.fft.irfft(transform, BINS), 0.0)
    return np.asarray(law / law.sum())
