"""Every query the console asks, by name; no PromQL but here, in fragments.py and in deploy.

The recorded series come from deploy/prometheus/rules.yml; `fallback` computes the same from raw
series where the rules are not installed, over the range that raw retention allows. Facts about the
exporters:

- kube-state-metrics sanitises resource names (`nvidia_com_gpu`). Where its target has pod labels of
  its own and honor_labels is off, what it says of a pod is `exported_pod` and its like.
- dcgm-exporter calls the node `Hostname` or `hostname` and the GPU `UUID` or `uuid`; without
  honor_labels the pod on the GPU is `exported_pod` while `pod` is the exporter's own. Duplicates
  by UUID happen. Values above one are "not supported" sentinels. A MIG GPU counts once a namespace;
  its shares are not split.
- vLLM counts completions, so arrivals = completions + change of the requests in flight.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra_console.telemetry.errors import QueryUnknown
from infra_console.telemetry.escape import Match, matchers
from infra_console.telemetry.fragments import (
    ALLOCATABLE,
    ANSWERED,
    ARRIVALS_WINDOW_S,
    BUSY,
    BY_GPU,
    DCGM,
    FIVE_MINUTES_AGO,
    GPU_NODES,
    IN_FLIGHT,
    IS_READY,
    KSM,
    NODES,
    NODES_READY,
    PHASES,
    PRESENT,
    REFUSED,
    REPORTING,
    REQUESTS,
    ROUTED,
    ROUTED_SHARE,
    SATURATED_SUMS,
    TIER,
    TIER_LABEL,
    TTFT,
    VLLM,
    WITHIN,
    WITNESSES,
    by_node,
    gpu,
    ksm,
    with_node,
)

_STORED = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{\{match\}\}")
# Labels that raw selectors carry under the same name; others are filtered from the answer.
_RAW_LABELS = frozenset({"cluster", "model_name"})


@dataclass(frozen=True, slots=True)
class QuerySpec:
    """One query. `exporter` is the one whose scrapes date it; `what` says it plainly.

    `labels` tell the answer's series apart. `vanishes_s` marks an optional number of whatever
    exporter there is: its series are gone when it was not read for so long, which is their age at
    most, and where nobody exports it, it is not exported rather than down.
    """

    name: str
    promql: str
    unit: str
    labels: tuple[str, ...]
    exporter: str
    what: str
    fallback: str = ""
    vanishes_s: float = 0.0

    @property
    def stored(self) -> bool:
        """Whether it is one plain selector, so that `timestamp()` dates its samples."""
        return _STORED.fullmatch(self.promql) is not None


def fill(template: str, match: Match) -> str:
    """The query with its matchers in place."""
    return template.replace("{match}", matchers(match))


def main_query(spec: QuerySpec, match: Match) -> str:
    """The query to ask first; a stored series takes every matcher, a computed one those it has."""
    return fill(spec.promql, match if spec.stored else _pushed_down(match))


def fallback_query(spec: QuerySpec, match: Match, *, tier_label: str = TIER_LABEL) -> str:
    """The same from raw series, or empty when there is no such way.

    Args:
        tier_label: the tier key's label as kube-state-metrics names it.
    """
    template = spec.fallback.replace(TIER_LABEL, tier_label)
    return fill(template, _pushed_down(match)) if template else ""


def dating_query(spec: QuerySpec, match: Match) -> str:
    """When each sample of a stored series was written; empty for computed queries."""
    return f"timestamp({main_query(spec, match)})" if spec.stored else ""


def mean_query(spec: QuerySpec, match: Match, *, step_s: float) -> str:
    """The mean of each step instead of its last sample; empty unless the series is stored."""
    query = main_query(spec, match)
    return f"avg_over_time({query}[{step_s:.0f}s])" if spec.stored else ""


def _pushed_down(match: Match) -> Match:
    return {name: wanted for name, wanted in match.items() if name in _RAW_LABELS}


_MODEL = ("cluster", "model_name")

_SPECS = (
    QuerySpec(
        "arrivals_rps", "cluster_model:vllm_arrivals:rate5m{{match}}", "requests/s", _MODEL, VLLM,
        "requests that arrived, mean of five minutes",
        "clamp_min(sum by (cluster, model_name)"
        " (rate(vllm:request_success_total{{match}}[5m]))"
        f" + delta({IN_FLIGHT}[5m:15s]) / {ARRIVALS_WINDOW_S}, 0)"
        f" and {IN_FLIGHT} and {FIVE_MINUTES_AGO}",
    ),
    QuerySpec(
        "ttft_p95_seconds", "cluster_model:vllm_ttft_seconds:p95_5m{{match}}", "s", _MODEL, VLLM,
        "time to first token, 95th percentile of five minutes, interpolated within a bucket",
        "histogram_quantile(0.95, sum by (cluster, model_name, le)"
        f" (rate({TTFT}_bucket{{{{match}}}}[5m]))) and on (cluster, model_name) {ANSWERED}",
    ),
    QuerySpec(
        "ttft_within_slo", "cluster_model_le:vllm_ttft_within:ratio_5m{{match}}", "ratio",
        ("cluster", "model_name", "le"), VLLM,
        "share of requests whose first token came within `le` seconds, by vLLM's edges",
        f"{WITHIN} / on (cluster, model_name) group_left () ({ANSWERED})",
    ),
    QuerySpec(
        "requests_waiting", "cluster_model:vllm_requests_waiting:sum{{match}}", "requests", _MODEL,
        VLLM, "requests queued in the engines",
        "sum by (cluster, model_name) (vllm:num_requests_waiting{{match}})",
    ),
    QuerySpec(
        "requests_running", "cluster_model:vllm_requests_running:sum{{match}}", "requests", _MODEL,
        VLLM, "requests in execution",
        "sum by (cluster, model_name) (vllm:num_requests_running{{match}})",
    ),
    QuerySpec(
        "refused_rps", "cluster_model:gateway_refused:rate5m{{match}}", "requests/s", _MODEL, "",
        "requests that the gateway refused for want of capacity, mean of five minutes", REFUSED,
        vanishes_s=300.0,
    ),
    # No exporter of ours dates a gateway; the engines behind it are scraped beside it.
    QuerySpec(
        "routed_rps", "cluster_model_to:gateway_routed:rate2m{{match}}", "requests/s",
        ("cluster", "model", "to"), VLLM,
        "requests that entered at a cluster's gateway, by model and the cluster that they went to",
        ROUTED,
    ),
    QuerySpec(
        "routed_share", "cluster_model_to:gateway_routed:ratio2m{{match}}", "ratio",
        ("cluster", "model", "to"), VLLM,
        "share of a gateway's requests for a model, by the cluster that they went to", ROUTED_SHARE,
    ),
    QuerySpec(
        "kv_cache_usage", "cluster_model:vllm_kv_cache_usage:avg{{match}}", "ratio", _MODEL, VLLM,
        "mean share of the KV cache in use",
        "avg by (cluster, model_name) (vllm:kv_cache_usage_perc{{match}}"
        " or vllm:gpu_cache_usage_perc{{match}})",
    ),
    QuerySpec(
        "gpus_busy", "cluster_namespace:dcgm_gr_engine_active:sum{{match}}", "GPUs",
        ("cluster", "namespace"), DCGM,
        "GPUs' worth of engine activity by the pod's namespace; idle GPUs have an empty namespace",
        f"sum by (cluster, namespace) ({BUSY})",
    ),
    QuerySpec(
        "gpus_present", "cluster_namespace:dcgm_gpus:count{{match}}", "GPUs",
        ("cluster", "namespace"), DCGM, "GPUs that report, by the namespace of the pod on them",
        f"count by (cluster, namespace) ({PRESENT})",
    ),
    QuerySpec(
        "gpus_requested", "cluster_namespace_phase:gpus_requested:sum{{match}}", "GPUs",
        ("cluster", "namespace", "phase"), KSM, "GPUs asked for by pods Running and Pending",
        f"sum by (cluster, namespace, phase) (max by (cluster, namespace, pod, phase) ({PHASES})"
        f" * on (cluster, namespace, pod) group_left () {REQUESTS})",
    ),
    QuerySpec(
        "tier_gpus", "cluster_tier:gpus_allocatable:sum{{match}}", "GPUs", ("cluster", "tier"), KSM,
        "allocatable GPUs by the tier label of their node; empty where a node carries none",
        f"sum by (cluster, tier) ({ALLOCATABLE}"
        f" * on (cluster, node) group_left (tier) max by (cluster, node, tier) ({TIER}))",
    ),
    QuerySpec(
        "nodes_ready", "cluster:nodes_ready:sum{{match}}", "nodes", ("cluster",), KSM,
        "nodes with GPUs that are Ready", NODES_READY,
    ),
    QuerySpec(
        "nodes_total", "cluster:nodes:count{{match}}", "nodes", ("cluster",), KSM,
        "nodes with GPUs", NODES,
    ),
    QuerySpec(
        "witnesses", "cluster_exporter_check:witness:value{{match}}", "1",
        ("cluster", "exporter", "check"), "", "what shows that an exporter tells the whole truth",
        WITNESSES,
    ),
    # --- raw, for reading a fleet with no cluster rights ------------------------------------
    QuerySpec(
        "node_labels", ksm("kube_node_labels", "node"), "1", ("cluster", "node"), KSM,
        "each node with its allow-listed labels as `label_…`, names sanitised",
    ),
    QuerySpec(
        "node_capacity_gpus", GPU_NODES, "GPUs", ("cluster", "node"), KSM,
        "GPUs a node has, broken ones included",
    ),
    QuerySpec(
        "node_allocatable_gpus", ALLOCATABLE, "GPUs", ("cluster", "node"), KSM,
        "GPUs a node offers to pods",
    ),
    QuerySpec(
        "node_ready", by_node("kube_node_status_condition", IS_READY), "1", ("cluster", "node"),
        KSM, "1 where the node is Ready, else 0",
    ),
    QuerySpec(
        "node_taints",
        f"max by (cluster, node, key, value, effect) ({ksm('kube_node_spec_taint', 'node')})",
        "1", ("cluster", "node", "key", "value", "effect"), KSM, "each taint of each node",
    ),
    QuerySpec(
        "node_unschedulable", by_node("kube_node_spec_unschedulable"), "1", ("cluster", "node"),
        KSM, "1 where the node is cordoned, else 0",
    ),
    QuerySpec(
        "pod_info",
        "max by (cluster, namespace, pod, uid, node, created_by_kind, created_by_name)"
        f" ({ksm('kube_pod_info', 'namespace', 'pod', 'node', 'uid')})",
        "1", ("cluster", "namespace", "pod"), KSM, "each pod with its node and owner",
    ),
    QuerySpec(
        "pod_phase",
        "max by (cluster, namespace, pod, phase)"
        f" ({ksm('kube_pod_status_phase', 'namespace', 'pod')} == 1)",
        "1", ("cluster", "namespace", "pod"), KSM, "the phase each pod is in",
    ),
    QuerySpec(
        "pod_ready",
        "max by (cluster, namespace, pod)"
        f""" ({ksm('kube_pod_status_ready', 'namespace', 'pod', where='condition="true"')})""",
        "1", ("cluster", "namespace", "pod"), KSM, "1 where the pod is ready, else 0",
    ),
    QuerySpec(
        "pod_gpu_requests", REQUESTS, "GPUs", ("cluster", "namespace", "pod"), KSM,
        "GPUs a pod asks for",
    ),
    QuerySpec(
        "pod_labels", ksm("kube_pod_labels", "namespace", "pod"), "1",
        ("cluster", "namespace", "pod"), KSM,
        "each pod with its allow-listed labels as `label_…`, names sanitised",
    ),
    QuerySpec(
        "deployment_replicas",
        "max by (cluster, namespace, deployment)"
        f" ({ksm('kube_deployment_spec_replicas', 'namespace')})",
        "pods", ("cluster", "namespace", "deployment"), KSM, "replicas a Deployment asks for",
    ),
    QuerySpec(
        "deployment_ready",
        "max by (cluster, namespace, deployment)"
        f" ({ksm('kube_deployment_status_replicas_ready', 'namespace')})",
        "pods", ("cluster", "namespace", "deployment"), KSM, "ready replicas of a Deployment",
    ),
    QuerySpec(
        "gpu_activity_by_gpu", f"max by (cluster, node, gpu, UUID, namespace, pod) ({BY_GPU})",
        "ratio", ("cluster", "UUID", "namespace", "pod"), DCGM,
        "engine activity of each GPU with its node and the pod on it",
    ),
    QuerySpec(
        "gpus_seen", f"max by (cluster, node, gpu, UUID) ({with_node(REPORTING)} * 0 + 1)",
        "1", ("cluster", "UUID"), DCGM, "each GPU that reports anything we know, with its node",
    ),
    QuerySpec(
        "xid_errors",
        f"max by (cluster, node, gpu, UUID) ({with_node(gpu('DCGM_FI_DEV_XID_ERRORS'))})",
        "XID code", ("cluster", "UUID"), DCGM, "the last XID error of each GPU, 0 for none",
    ),
    *(
        QuerySpec(
            name, f"max by (cluster, node, gpu, UUID) ({with_node(gpu(metric))}) {those}",
            unit, ("cluster", "UUID"), DCGM, what,
        )
        # Only GPUs of which there is something to say: one series a GPU and query would be much.
        for name, metric, those, unit, what in (
            ("row_remap_failure", "DCGM_FI_DEV_ROW_REMAP_FAILURE", "== 1", "1",
             "GPUs whose memory row could not be remapped"),
            ("row_remap_pending", "DCGM_FI_DEV_ROW_REMAP_PENDING", "== 1", "1",
             "GPUs whose row remap waits for a reset; not among the exporter's default counters"),
            ("row_remap_rows", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "> 0 <= 512", "rows",
             "memory rows remapped for uncorrectable errors, of the 512 spare ones at most"),
        )
    ),
    # --- money, and a first look at unknown clusters -----------------------------------------
    QuerySpec(
        "tokens_per_s",
        "sum by (cluster, model_name) (rate(vllm:prompt_tokens_total{{match}}[5m]))"
        " + sum by (cluster, model_name) (rate(vllm:generation_tokens_total{{match}}[5m]))",
        "tokens/s", ("cluster", "model_name"), VLLM,
        "prompt and output tokens, mean of five minutes",
    ),
    QuerySpec(
        "generation_tokens_per_s",
        "sum by (cluster, model_name) (rate(vllm:generation_tokens_total{{match}}[5m]))",
        "tokens/s", _MODEL, VLLM, "output tokens, mean of five minutes",
    ),
    QuerySpec(
        "completions_rps",
        "sum by (cluster, model_name) (rate(vllm:request_success_total{{match}}[5m]))",
        "requests/s", _MODEL, VLLM, "requests that ended, mean of five minutes",
    ),
    QuerySpec(
        "saturated", SATURATED_SUMS, "1", (*_MODEL, "of"), VLLM,
        "tokens/s, requests/s, requests running and number of the replicas that had a queue for all"
        " of five minutes",
    ),
    QuerySpec(
        "gpu_inventory",
        "max by (cluster, node, gpu, UUID, modelName, GPU_I_PROFILE) (label_replace(label_replace("
        'DCGM_FI_DEV_SM_CLOCK{{match}}, "node", "$1", "hostname", "(.+)"),'
        ' "node", "$1", "Hostname", "(.+)"))',
        "MHz", ("cluster", "UUID", "GPU_I_PROFILE"), DCGM,
        "every GPU that its exporter sees, with its model",
    ),
    QuerySpec(
        "gpu_memory_mib",
        "max by (cluster, UUID) (DCGM_FI_DEV_FB_USED{{match}})"
        " + max by (cluster, UUID) (DCGM_FI_DEV_FB_FREE{{match}})",
        "MiB", ("cluster", "UUID"), DCGM, "memory of each GPU, used and free together",
    ),
    QuerySpec(
        "node_gpu_resources",
        "max by (cluster, node, resource)"
        ' (kube_node_status_capacity{resource=~"nvidia_com_.+",{match}})',
        "devices", ("cluster", "node", "resource"), KSM,
        "GPU resources of each node, MIG slices under their own names",
    ),
    QuerySpec(
        "node_gpu_resources_allocatable",
        "max by (cluster, node, resource)"
        ' (kube_node_status_allocatable{resource=~"nvidia_com_.+",{match}})',
        "devices", ("cluster", "node", "resource"), KSM,
        "GPU resources that each node offers to pods",
    ),
)  # fmt: skip

CATALOGUE: Mapping[str, QuerySpec] = {spec.name: spec for spec in _SPECS}


def spec_of(name: str) -> QuerySpec:
    """The query of this name.

    Raises:
        QueryUnknown: there is none.
    """
    try:
        return CATALOGUE[name]
    except KeyError as err:
        raise QueryUnknown(f"no catalogue query is called {name!r}") from err
