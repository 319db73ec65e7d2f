"""Exporters as other versions and other scrape configurations show them, as data.

A variant changes how a healthy exporter's text looks, cluster by cluster; `default` changes
nothing. Label names are exchanged in the finished text, which costs next to nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tiers.twin.exporters.dcgm import NOT_SUPPORTED

DEFAULT = "default"


@dataclass(frozen=True)
class Variant:
    """One look of an exporter.

    `relabelled` is the view of a scrape with `honor_labels: false` whose target has pod labels of
    its own (`own`): Prometheus renames what collides to `exported_…`. `blank` fields carry DCGM's
    "not supported"; `options` go to the renderer.
    """

    says: str
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    relabelled: bool = False
    blank: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    options: Mapping[str, bool] = field(default_factory=dict)


OWN_LABELS: dict[str, dict[str, str]] = {
    "dcgm": {
        "pod": "nvidia-dcgm-exporter-7mk2p", "namespace": "gpu-operator",
        "container": "nvidia-dcgm-exporter",
    },
    "ksm": {
        "pod": "kube-state-metrics-6d9c7f8b5-x2lwq", "namespace": "monitoring",
        "container": "kube-state-metrics",
    },
}  # fmt: skip
"""The labels of the exporters' own pods."""

VARIANTS: dict[str, dict[str, Variant]] = {
    "dcgm": {
        "hostname": Variant("since May 2026 (#655): Hostname is hostname",
                            labels={"Hostname": "hostname"}),
        "old-names": Variant("--use-old-namespace: uuid and pod_name, pod_namespace, "
                             "container_name",
                             labels={"UUID": "uuid", "pod": "pod_name",
                                     "namespace": "pod_namespace", "container": "container_name"}),
        "pod-uid": Variant("4.4 and later on request: pod_uid beside the pod",
                           options={"pod_uid": True}),
        "virtual-gpus": Variant("on request: a series for every pod that shares a GPU, with vgpu",
                                options={"every_sharer": True}),
        "exported": Variant("scraped with honor_labels: false: exported_pod and its like",
                            relabelled=True),
        "no-profiling": Variant("without the right to profile: no DCGM_FI_PROF_ fields",
                                without=("DCGM_FI_PROF_",)),
        "sentinel": Variant("passes DCGM's blank on for what the GPU does not support",
                            blank=("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_ENC_UTIL",
                                   "DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE")),
    },
    "vllm": {
        "old-names": Variant(
            "before 0.9: gpu_cache_usage_perc and time_per_output_token_seconds",
            metrics={
                "vllm:kv_cache_usage_perc": "vllm:gpu_cache_usage_perc",
                "vllm:inter_token_latency_seconds": "vllm:time_per_output_token_seconds",
                "vllm:prefix_cache_queries_total": "vllm:gpu_prefix_cache_queries_total",
                "vllm:prefix_cache_hits_total": "vllm:gpu_prefix_cache_hits_total",
            }),
        "kv-blocks": Variant("--kv-cache-metrics: the sampled block histograms",
                             options={"kv_blocks": True}),
    },
    "ksm": {
        "exported": Variant("scraped with honor_labels: false: exported_pod and its like",
                            relabelled=True),
    },
}  # fmt: skip
_LABEL = re.compile(r"([{,])(pod|namespace|container)=")


def shown(exporter: str, variant: Variant, text: str) -> str:
    """A healthy exporter's text in the look of a variant."""
    for old, new in variant.metrics.items():
        text = re.sub(rf"\b{re.escape(old)}(?=[_{{ ])", new, text)
    for old, new in variant.labels.items():
        text = text.replace(f',{old}="', f',{new}="').replace(f'{{{old}="', f'{{{new}="')
    if variant.without:
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if not _metric(line).startswith(variant.without))
    for name in variant.blank:
        text = re.sub(rf"^({name}\{{.*\}}) \S+$", rf"\1 {NOT_SUPPORTED}", text, flags=re.MULTILINE)
    return _relabelled(text, OWN_LABELS[exporter]) if variant.relabelled else text


def _metric(line: str) -> str:
    """The metric that a line of help, type or value is about."""
    return line.split(maxsplit=3)[2] if line.startswith("#") else line.partition("{")[0]


def _relabelled(text: str, own: Mapping[str, str]) -> str:
    """Collisions renamed as Prometheus renames them; every series gets the target's labels.

    An empty label is no label: it collides with nothing and is dropped.
    """
    text = re.sub(r',?\b(pod|namespace|container)=""', "", text)
    text = _LABEL.sub(r"\1exported_\2=", text)
    pairs = ",".join(f'{name}="{value}"' for name, value in own.items())
    return re.sub(r"^([^#{\n]+\{)(.?)", lambda m: _with_own(m[1], m[2], pairs), text, flags=re.M)


def _with_own(head: str, after: str, pairs: str) -> str:
    """The target's labels at the head of a series' own."""
    comma = "" if after in ("}", ",", "") else ","
    return f"{head}{pairs}{comma}{after}"
