"""vLLM's metrics of every serving pod, with the pod and namespace a PodMonitor adds.

Requests wait in one queue before the pods (the simulation's central queue); each pod reports its
share of it, so that the sum over pods is the queue. Without pods nobody reports it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiers.core.simulate.buckets import E2E_EDGES_S, ITL_EDGES_S, TTFT_EDGES_S
from tiers.twin.exporters.text import document, family, labels
from tiers.twin.physics import ClusterPhysics
from tiers.twin.replicas import Replica, ServedModelReplicas


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
    def waiting(self) -> int:
        count = len(self.served.replicas)
        whole, rest = divmod(self.served.service.waiting, count)
        return whole + (1 if self.number < rest else 0)


def render_vllm(physics: ClusterPhysics) -> str:
    pods = list(_pods(physics))
    return document([*_gauges(pods), *_counters(pods), *_histograms(pods)])


def _pods(physics: ClusterPhysics) -> Iterator[_Pod]:
    for model, served in physics.models.items():
        for number, replica in enumerate(served.replicas.values()):
            pod = replica.pod
            pairs = {"model_name": model, "engine": "0"}
            pairs |= {"namespace": pod.namespace, "pod": pod.name}
            yield _Pod(labels(pairs), served, replica, number)


def _gauges(pods: list[_Pod]) -> Iterator[list[str]]:
    yield family(
        "vllm:num_requests_running", "gauge", "Number of requests in model execution batches.",
        [(p.pairs, int(p.served.service.arrays.running[p.place])) for p in pods],
    )  # fmt: skip
    yield family(
        "vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.",
        [(p.pairs, p.waiting) for p in pods],
    )  # fmt: skip
    yield family(
        "vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.",
        [(p.pairs, round(p.served.service.kv_usage(p.place), 6)) for p in pods],
    )  # fmt: skip


def _counters(pods: list[_Pod]) -> Iterator[list[str]]:
    yield family(
        "vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.",
        [(p.pairs, int(p.served.service.arrays.prompt_tokens[p.place])) for p in pods],
    )  # fmt: skip
    yield family(
        "vllm:generation_tokens_total", "counter", "Number of generation tokens processed.",
        [(p.pairs, int(p.served.service.arrays.output_tokens[p.place])) for p in pods],
    )  # fmt: skip
    yield family(
        "vllm:request_success_total", "counter", "Count of successfully processed requests.",
        [
            (f'{p.pairs},finished_reason="{reason}"', int(count))
            for p in pods
            for reason, count in zip(
                ("stop", "length"), p.served.service.arrays.finished[p.place], strict=True
            )
        ],
    )  # fmt: skip


def _histograms(pods: list[_Pod]) -> Iterator[list[str]]:
    arrays = [p.served.service.arrays for p in pods]
    yield _histogram(
        "vllm:time_to_first_token_seconds", TTFT_EDGES_S, pods,
        counts=[a.ttft_counts for a in arrays], sum_column=0,
    )  # fmt: skip
    yield _histogram(
        "vllm:inter_token_latency_seconds", ITL_EDGES_S, pods,
        counts=[a.itl_counts for a in arrays], sum_column=1,
    )  # fmt: skip
    yield _histogram(
        "vllm:e2e_request_latency_seconds", E2E_EDGES_S, pods,
        counts=[a.e2e_counts for a in arrays], sum_column=2,
    )  # fmt: skip


def _histogram(
    name: str,
    edges: tuple[float, ...],
    pods: list[_Pod],
    *,
    counts: Iterable[npt.NDArray[np.int64]],
    sum_column: int,
) -> list[str]:
    if not pods:
        return []
    words = name.removeprefix("vllm:").removesuffix("_seconds").replace("_", " ")
    lines = [f"# HELP {name} Histogram of {words} in seconds.", f"# TYPE {name} histogram"]
    bounds = [*map(repr, edges), "+Inf"]
    for pod, of_pod in zip(pods, counts, strict=True):
        cumulative = np.cumsum(of_pod[pod.place]).tolist()
        lines += [
            f'{name}_bucket{{{pod.pairs},le="{bound}"}} {count}'
            for bound, count in zip(bounds, cumulative, strict=True)
        ]
        total = float(pod.served.service.arrays.sums_s[pod.place, sum_column])
        lines += [f"{name}_sum{{{pod.pairs}}} {total!r}"]
        lines += [f"{name}_count{{{pod.pairs}}} {cumulative[-1]}"]
    return lines
