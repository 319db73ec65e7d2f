"""What a server would do by arithmetic: no measurement enters here.

An iteration of continuous batching reads the touched weights and the batch's key-value cache from
memory, multiplies every token of the batch with the active weights, and pays a fixed time a layer
(launches, all-reduces). The parts are added, not overlapped, and reach fixed shares of the data
sheet's peak (Williams, Waterman, Patterson 2009, "Roofline"). A token in a mixture of experts uses
`active` of `parameters` weights; a batch of n touches `1 - (1 - active/parameters)^n` of them.

In a closed loop of c requests each iteration also carries its share of prompts: c x input / output
tokens, and a new prompt waits for others that came with it.
"""

from dataclasses import dataclass

import numpy as np

from tiers.core.profiles.setups import Columns, Floats

MEMORY_SHARE = 0.6
COMPUTE_SHARE = 0.4
LAYER_MS = 0.05
FIRST_TOKEN_MS = 15.0
# Part of the other requests' prompts that a prompt waits for, on average, in a closed loop.
PROMPTS_AHEAD = 0.02


@dataclass(frozen=True, slots=True)
class Roofline:
    """Milliseconds `(n,)`: the estimate and the parts that it consists of."""

    tpot_ms: Floats
    ttft_ms: Floats
    weights_ms: Floats
    cache_ms: Floats
    prompt_ms: Floats


def roofline(c: Columns) -> Roofline:
    """Mean time per output token and to first token of each setup."""
    touched = c.active + (c.parameters - c.active) * _experts_touched(c)
    weights_ms = 1e3 * touched * c.weight_bytes / (c.bytes_per_s * MEMORY_SHARE)
    context = c.input_tokens + c.output_tokens / 2
    cache_ms = 1e3 * c.concurrency * c.kv_bytes * context / (c.bytes_per_s * MEMORY_SHARE)
    token_ms = 1e3 * 2 * c.active / (c.flops * COMPUTE_SHARE)
    prompt_ms = c.input_tokens * token_ms
    tokens = c.concurrency * (1 + c.input_tokens / c.output_tokens)
    tpot_ms = weights_ms + cache_ms + tokens * token_ms + c.layers * LAYER_MS
    return Roofline(
        tpot_ms=tpot_ms,
        ttft_ms=FIRST_TOKEN_MS + prompt_ms * (1 + PROMPTS_AHEAD * c.concurrency) + tpot_ms,
        weights_ms=weights_ms,
        cache_ms=cache_ms,
        prompt_ms=prompt_ms,
    )


def _experts_touched(c: Columns) -> Floats:
    """Part of the weights outside the active ones that a batch reads; none of a dense model's."""
    return np.asarray(1 - (1 - c.active / c.parameters) ** c.concurrency) * (
        c.active < c.parameters
    )
