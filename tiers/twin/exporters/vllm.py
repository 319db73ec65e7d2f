"""vLLM's metrics of every pod that answers, with the pod and namespace a PodMonitor adds.

Of a group only the leader runs the API server and exports.

Requests wait in one queue before the pods (the simulation's central queue); each pod reports its
share of it, so that the sum over pods is the queue. Without pods nobody reports it. The kernel has
no preemption and no prefix cache: those counters are there and stay at what that means.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiers.core.simulate.buckets import E2E_EDGES_S, ITL_EDGES_S, TTFT_EDGES_S
from tiers.core.simulate.state import Arrays
from tiers.twin.exporters.text import document, family, labels
from tiers.twin.physics import ClusterPhysics
from tiers.twin.replicas import Replica, ServedModelReplicas
from tiers.twin.request_book import DECODE, GENERATION, PREFILL, PROMPT, QUEUE, Quantity

OWN_LABELS = ("model_name", "engine", "namespace", "pod")
FINISHED_REASONS = ("stop", "length", "abort", "error")
Counts = Callable[["_Pod"], tuple[npt.NDArray[np.int64], float]]
"""A pod's observations per bucket, and their sum."""


@dataclass(frozen=True)
class _Pod:
    pairs: str
    served: ServedModelReplicas
    replica: Replica
    number: int

    @property
    def place(self) -> int:
        return self.replica.place

    @property
    def arrays(self) -> Arrays:
        return self.served.service.arrays

    @property
    def waiting(self) -> int:
        count = len(self.served.replicas)
        whole, rest = divmod(self.served.service.waiting, count)
        return whole + (1 if self.number < rest else 0)


@dataclass(frozen=True)
class Number:
    """A gauge or counter of one value a pod."""

    name: str
    kind: str
    text: str
    source: str
    read: Callable[[_Pod], float]


@dataclass(frozen=True)
class Histogram:
    """A histogram of each pod, with vLLM's edges."""

    name: str
    text: str
    source: str
    edges: tuple[float, ...]
    read: Counts


def _kernel(counts: str, column: int) -> Counts:
    """Counts and sum that the kernel keeps itself."""
    return lambda p: (getattr(p.arrays, counts)[p.place], float(p.arrays.sums_s[p.place, column]))


def _booked(quantity: Quantity) -> Counts:
    return lambda p: (
        p.served.book.counts[quantity][p.place],
        float(p.served.book.sums[quantity][p.place]),
    )


def _none_seen(edges: tuple[float, ...]) -> Counts:
    return lambda p: (np.zeros(len(edges) + 1, dtype=np.int64), 0.0)


_KERNEL, _LOG = "physics: the simulation's own counts", "physics: the simulation's request log"
NUMBERS: tuple[Number, ...] = (
    Number("vllm:num_requests_running", "gauge", "Requests in execution batches.", _KERNEL,
           lambda p: int(p.arrays.running[p.place])),
    Number("vllm:num_requests_waiting", "gauge", "Requests that wait.",
           "physics: the pod's share of the service's one queue", lambda p: p.waiting),
    Number("vllm:kv_cache_usage_perc", "gauge", "KV cache in use; 1 is all of it.", _KERNEL,
           lambda p: round(p.served.service.kv_usage(p.place), 6)),
    Number("vllm:prompt_tokens_total", "counter", "Prefill tokens processed.", _KERNEL,
           lambda p: int(p.arrays.prompt_tokens[p.place])),
    Number("vllm:generation_tokens_total", "counter", "Generation tokens processed.", _KERNEL,
           lambda p: int(p.arrays.output_tokens[p.place])),
    Number("vllm:num_preemptions_total", "counter", "Preemptions of the engine.",
           "constant 0: the kernel reserves the whole length and never preempts", lambda p: 0),
    Number("vllm:prefix_cache_queries_total", "counter", "Tokens looked up in the prefix cache.",
           "approximated: every prompt token processed",
           lambda p: int(p.arrays.prompt_tokens[p.place])),
    Number("vllm:prefix_cache_hits_total", "counter", "Tokens found in the prefix cache.",
           "constant 0: the kernel has no prefix cache", lambda p: 0),
)  # fmt: skip
FINISHED = "vllm:request_success_total"
HISTOGRAMS: tuple[Histogram, ...] = (
    Histogram("vllm:time_to_first_token_seconds", "Time to first token in seconds.", _KERNEL,
              TTFT_EDGES_S, _kernel("ttft_counts", 0)),
    Histogram("vllm:inter_token_latency_seconds", "Time between tokens in seconds.", _KERNEL,
              ITL_EDGES_S, _kernel("itl_counts", 1)),
    Histogram("vllm:e2e_request_latency_seconds", "Time of a whole request in seconds.", _KERNEL,
              E2E_EDGES_S, _kernel("e2e_counts", 2)),
    Histogram("vllm:request_queue_time_seconds", "Time in the queue in seconds.",
              _LOG,
              QUEUE.edges, _booked(QUEUE)),
    Histogram("vllm:request_prefill_time_seconds", "Time of the prefill in seconds.",
              f"{_LOG}: TTFT less the queue time", PREFILL.edges, _booked(PREFILL)),
    Histogram("vllm:request_decode_time_seconds", "Time of the decode in seconds.",
              f"{_LOG}: whole time less TTFT", DECODE.edges, _booked(DECODE)),
    Histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", _LOG,
              PROMPT.edges, _booked(PROMPT)),
    Histogram("vllm:request_generation_tokens", "Generated tokens of a request.", _LOG,
              GENERATION.edges, _booked(GENERATION)),
    Histogram("vllm:request_max_num_generation_tokens", "Longest of a request's answers.",
              f"{_LOG}: its one answer", GENERATION.edges, _booked(GENERATION)),
)  # fmt: skip
# Off by default in vLLM (--kv-cache-metrics); seconds, edges of ours.
KV_BLOCK_HISTOGRAMS: tuple[Histogram, ...] = (
    Histogram("vllm:kv_block_lifetime_seconds", "Life of a KV block in seconds.",
              "approximated: one block a request, from TTFT to its end", DECODE.edges,
              _booked(DECODE)),
    Histogram("vllm:kv_block_idle_before_evict_seconds", "Idle time before eviction in seconds.",
              "no observations: without a prefix cache no idle block is kept", E2E_EDGES_S,
              _none_seen(E2E_EDGES_S)),
    Histogram("vllm:kv_block_reuse_gap_seconds", "Time between uses of a block in seconds.",
              "no observations: without a prefix cache no block is used again", E2E_EDGES_S,
              _none_seen(E2E_EDGES_S)),
)  # fmt: skip


def render_vllm(physics: ClusterPhysics, *, kv_blocks: bool = False) -> str:
    """Every pod that serves. `kv_blocks` adds the sampled block metrics."""
    pods = list(_pods(physics))
    if not pods:
        return ""
    histograms = HISTOGRAMS + (KV_BLOCK_HISTOGRAMS if kv_blocks else ())
    numbers = [
        family(n.name, n.kind, n.text, [(p.pairs, n.read(p)) for p in pods]) for n in NUMBERS
    ]
    return document([*numbers, _finished(pods), *(list(_lines(h, pods)) for h in histograms)])


def _pods(physics: ClusterPhysics) -> Iterator[_Pod]:
    for model, served in physics.models.items():
        for number, replica in enumerate(served.replicas.values()):
            pod = replica.unit.lead
            pairs = {"model_name": model, "engine": "0"}
            pairs |= {"namespace": pod.namespace, "pod": pod.name}
            yield _Pod(labels(pairs), served, replica, number)


def _finished(pods: Iterable[_Pod]) -> list[str]:
    """Requests by the reason of their end; in the simulation none is aborted or fails."""
    rows = [
        (f'{p.pairs},finished_reason="{reason}"', int(count))
        for p in pods
        for reason, count in zip(FINISHED_REASONS, (*p.arrays.finished[p.place], 0, 0), strict=True)
    ]
    return family(FINISHED, "counter", "Requests finished, by reason.", rows)


def _lines(histogram: Histogram, pods: Iterable[_Pod]) -> Iterator[str]:
    name = histogram.name
    yield f"# HELP {name} {histogram.text}"
    yield f"# TYPE {name} histogram"
    bounds = [*map(repr, histogram.edges), "+Inf"]
    for pod in pods:
        counts, total = histogram.read(pod)
        cumulative = np.cumsum(counts).tolist()
        for bound, count in zip(bounds, cumulative, strict=True):
            yield f'{name}_bucket{{{pod.pairs},le="{bound}"}} {count}'
        yield f"{name}_sum{{{pod.pairs}}} {total!r}"
        yield f"{name}_count{{{pod.pairs}}} {cumulative[-1]}"
