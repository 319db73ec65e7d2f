"""The serving simulation once more in plain Python: iteration by iteration, list by list.

Written from the model's description (`tiers.core.simulate.serving`), not from its compiled loop, to
check that loop and to say how much faster it is. A fixed number of replicas, an endless queue.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tiers.core.simulate.serving import Requests, ServingCosts


@dataclass
class Sequence:
    """One request; times in seconds, `unread` and `made` in tokens."""

    id: int
    arrival_s: float
    prompt: int
    output: int
    unread: int = 0
    made: int = 0
    begun_s: float | None = None
    first_s: float | None = None
    end_s: float = float("nan")
    replica: int = -1
    preemptions: int = 0


@dataclass
class Replica:
    """Sequences in order of admission; `ends_s` is the end of the iteration at work."""

    sequences: list[Sequence] = field(default_factory=list)
    ends_s: float = float("inf")
    decoders: list[Sequence] = field(default_factory=list)
    chunks: list[tuple[Sequence, int]] = field(default_factory=list)


def serve(costs: ServingCosts, replicas: int, requests: Requests) -> list[Sequence]:
    """Serve a whole trace; returns its requests in order of arrival."""
    every = [
        Sequence(i, at, prompt, output)
        for i, (at, prompt, output) in enumerate(
            zip(requests.arrival_s.tolist(), requests.prompt_tokens.tolist(),
                requests.output_tokens.tolist(), strict=True)
        )
    ]  # fmt: skip
    coming, queue = deque(every), deque[Sequence]()
    fleet = [Replica() for _ in range(replicas)]
    while True:
        soonest = min(fleet, key=lambda replica: replica.ends_s)
        arrives = coming[0].arrival_s if coming else float("inf")
        now = min(soonest.ends_s, arrives)
        if now == float("inf"):
            return every
        if soonest.ends_s <= arrives:
            _end_iteration(soonest, now)
        else:
            queue.append(coming.popleft())
        waiting = -1
        while waiting != len(queue):
            _dispatch(costs, fleet, queue)
            waiting = len(queue)
            for replica in fleet:
                if replica.sequences and replica.ends_s == float("inf"):
                    _begin_iteration(costs, replica, queue, now)


def _reserved(costs: ServingCosts, replica: Replica) -> int:
    if costs.grow_cache:
        # What is being made in this iteration needs its place too.
        return sum(s.prompt + s.made for s in replica.sequences) + len(replica.decoders)
    return sum(s.prompt + s.output for s in replica.sequences)


def _dispatch(costs: ServingCosts, fleet: list[Replica], queue: deque[Sequence]) -> None:
    while queue:
        first = queue[0]
        need = first.prompt + (first.made + 1 if costs.grow_cache else first.output)
        rooms = [
            (costs.kv_tokens - _reserved(costs, replica), -len(replica.sequences), -place)
            for place, replica in enumerate(fleet)
            if len(replica.sequences) < costs.max_batch
        ]
        if not rooms or max(rooms)[0] < need:
            return
        first.replica = -max(rooms)[2]
        first.unread = first.prompt + first.made
        fleet[first.replica].sequences.append(queue.popleft())


def _begin_iteration(
    costs: ServingCosts, replica: Replica, queue: deque[Sequence], now: float
) -> None:
    decoders = [s for s in replica.sequences if not s.unread]
    while costs.grow_cache and costs.kv_tokens - _reserved(costs, replica) < len(decoders):
        last = replica.sequences[-1]
        youngest = last if last.unread else max(replica.sequences, key=lambda s: s.id)
        replica.sequences.remove(youngest)
        queue.appendleft(youngest)
        youngest.preemptions += 1
        decoders = [s for s in replica.sequences if not s.unread]
    budget = max(1, costs.chunk_tokens - len(decoders))
    for sequence in replica.sequences:
        take = min(budget, sequence.unread)
        if take:
            budget -= take
            replica.chunks.append((sequence, take))
            sequence.begun_s = now if sequence.begun_s is None else sequence.begun_s
    read = sum(take for _, take in replica.chunks)
    held = sum(s.prompt + s.made - s.unread for s in replica.sequences)
    replica.decoders = decoders
    replica.ends_s = now + (
        costs.base_s
        + costs.per_sequence_s * len(decoders)
        + costs.per_prompt_token_s * read
        + costs.per_context_token_s * held
    )


def _end_iteration(replica: Replica, now: float) -> None:
    made = list(replica.decoders)
    for sequence, take in replica.chunks:
        sequence.unread -= take
        if not sequence.unread:
            sequence.first_s = now if sequence.first_s is None else sequence.first_s
            made.append(sequence)
    for sequence in made:
        sequence.made += 1
        if sequence.made == sequence.output:
            sequence.end_s = now
            replica.sequences.remove(sequence)
    replica.decoders, replica.chunks, replica.ends_s = [], [], float("inf")


def latencies(served: list[Sequence]) -> tuple[np.ndarray, np.ndarray]:
    """Time to first token and to the last, `(n,)` each, in seconds and in order of arrival."""
    ttft = [(s.first_s if s.first_s is not None else np.nan) - s.arrival_s for s in served]
    return np.array(ttft), np.array([s.end_s - s.arrival_s for s in served])
