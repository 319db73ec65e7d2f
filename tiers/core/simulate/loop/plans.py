"""A replica's plan: how many iterations until something can happen, and what its end brings."""

import numpy as np

from tiers.core.simulate.loop.accounts import finish, leave, settle, token_after_prompt
from tiers.core.simulate.loop.compiled import inlined
from tiers.core.simulate.loop.heap import pop, push
from tiers.core.simulate.loop.returns import preempt
from tiers.core.simulate.loop.spans import span
from tiers.core.simulate.state import DRAINING, Arrays, Costs, Edges, Log


@inlined
def plan(costs: Costs, s: Arrays, r: int, at: float) -> None:
    """Plan the next iteration, or all iterations up to the first end of a sequence."""
    if costs.grow_cache:
        while costs.kv_tokens - s.kv_reserved[r] < s.running[r] - s.readers[r]:
            preempt(s, r, at)
    decoders, ring = s.running[r] - s.readers[r], s.reading.shape[1]
    budget, i = max(1, costs.chunk_tokens - decoders), 0
    left = budget
    while i < s.readers[r] and left > 0:
        row = s.reading[r, (s.reading_head[r] + i) % ring]
        if np.isnan(s.begun_s[row]):
            s.begun_s[row] = at
        left -= min(left, s.prompt_left[row])
        i += 1
    chunk = budget - left
    s.planned[r] = 1 if chunk > 0 else s.end_turn[s.decoding[r, 0]] - s.turn[r]
    if costs.grow_cache and chunk == 0:
        fits = (costs.kv_tokens - s.kv_reserved[r]) // decoders
        s.planned[r] = min(s.planned[r], fits)
    s.idle_s[r] += at - s.since_s[r]
    s.start_s[r], s.done[r], s.chunk[r] = at, 0, chunk
    s.step_s[r] = (
        costs.base_s
        + costs.per_sequence_s * decoders
        + costs.per_prompt_token_s * chunk
        + costs.per_context_token_s * s.kv_held[r]
    )
    s.longer_s[r] = costs.per_context_token_s * decoders
    s.next_s[r] = at + span(s.step_s[r], s.longer_s[r], s.planned[r])
    s.at_start_s[r, 0], s.at_start_s[r, 1] = s.busy_s[r], s.sums_s[r, 1]


@inlined
def _end_prompts(costs: Costs, s: Arrays, edges: Edges, r: int, at: float) -> None:
    """Book the chunk; prompts that are read whole give their first token and begin to decode."""
    chunk = s.chunk[r]
    s.prompt_tokens[r] += chunk
    s.kv_held[r] += chunk
    while chunk > 0:
        row = s.reading[r, s.reading_head[r]]
        take = min(chunk, s.prompt_left[row])
        chunk -= take
        s.prompt_left[row] -= take
        if s.prompt_left[row] > 0:
            break
        decoders = s.running[r] - s.readers[r]
        s.reading_head[r] = (s.reading_head[r] + 1) % s.reading.shape[1]
        s.readers[r] -= 1
        token_after_prompt(costs, s, edges, r, row, at)
        s.end_turn[row] = s.turn[r] + s.output[row] - s.made[row] - 1
        push(s.decoding[r], s.end_turn, s.id, row, decoders)


@inlined
def end_plan(costs: Costs, s: Arrays, edges: Edges, log: Log, r: int) -> None:
    """Book the plan to its end and let sequences begin and end."""
    at = s.next_s[r]
    settle(costs, s, edges, r, s.planned[r])
    _end_prompts(costs, s, edges, r, at)
    decoders = s.running[r] - s.readers[r]
    while decoders > 0 and s.end_turn[s.decoding[r, 0]] == s.turn[r]:
        row = s.decoding[r, 0]
        pop(s.decoding[r], s.end_turn, s.id, decoders)
        decoders -= 1
        finish(costs, s, edges, log, r, row, at)
    s.planned[r], s.next_s[r], s.since_s[r] = 0, np.inf, at
    if s.running[r] == 0 and s.status[r] == DRAINING:
        leave(s, r, at)
