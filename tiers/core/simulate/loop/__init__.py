"""The compiled event loop under `serving`: one service, its replicas, its central queue.

An iteration of a replica decodes one token for every decoding sequence and spends what is left of
the token budget on waiting prompts, in order of admission (chunked prefill):

    duration = base + per_sequence x decoding + per_prompt_token x chunk + per_context_token x held

While a batch only decodes, nothing can happen before its first sequence ends, so a plan is that
many iterations at once, each longer than the one before by what it added to the cache; it is cut at
the next boundary when a request joins. Boundary k of a plan is a formula of its start and k, and
what a plan adds up is `value at its start + formula of k`, never a running sum: a run in slices
equals a whole run to the last bit.

A replica counts its iterations (`turn`). A sequence whose first token comes at turn t ends at turn
t + output - 1, so an iteration touches no sequence but those that begin or end: a request costs a
few steps in a heap, whatever the batch. Events are arrivals, ends of plans and replicas that have
loaded; the earliest is found by looking at every replica, which beats a heap for the tens of
replicas that a service has. Times are seconds, lengths are tokens.

`spans` is a plan's clock, `heap` and `requests` its lists, `accounts` what is booked, `plans` a
replica's iterations, `returns` what goes back to the queue, `service` the run; `compiled` says how
all of it is compiled.
"""

from tiers.core.simulate.loop.accounts import leave, stretch
from tiers.core.simulate.loop.returns import lose
from tiers.core.simulate.loop.service import run

__all__ = ["leave", "lose", "run", "stretch"]
