"""Pieces of PromQL, and what the exporters' labels really are; catalogue.py puts them together.

`{match}` stands between the braces of each raw selector and is filled by escape.py.
"""

from collections.abc import Mapping
from types import MappingProxyType

from infra_console.telemetry.escape import escape_regex, quoted

ARRIVALS_WINDOW_S = 300

# Whose scrapes date which numbers, and the words of which one stands in the names of their jobs,
# unless a source names others.
VLLM, DCGM, KSM = EXPORTERS = ("vllm", "dcgm", "kube-state-metrics")
Jobs = Mapping[str, tuple[str, ...]]
DEFAULT_JOBS: Jobs = MappingProxyType({name: (name,) for name in EXPORTERS})


def scrapes_query(jobs: Jobs = DEFAULT_JOBS) -> str:
    """The exporters' scrapes with their own times: the source of all ages. A cluster has many jobs
    more, which say nothing about our numbers."""
    words = "|".join(escape_regex(word) for found in jobs.values() for word in found)
    return f"up{{job=~{quoted(f'.*({words}).*')}}}"


TTFT = "vllm:time_to_first_token_seconds"
# `le="1"` (Go clients) and `le="1.0"` (vLLM) are the same edge.
WITHIN = (
    "label_replace(sum by (cluster, model_name, le)"
    f' (rate({TTFT}_bucket{{le!="+Inf",{{match}}}}[5m])), "le", "$1.0", "le", "([0-9]+)")'
)
ANSWERED = f"sum by (cluster, model_name) (rate({TTFT}_count{{{{match}}}}[5m])) > 0"
# A rate is known only where its window is full: after a gap it would begin at zero.
FIVE_MINUTES_AGO = "sum by (cluster, model_name) (vllm:num_requests_running{{match}} offset 5m)"
IN_FLIGHT = (
    "(sum by (cluster, model_name) (vllm:num_requests_running{{match}})"
    " + sum by (cluster, model_name) (vllm:num_requests_waiting{{match}}))"
)


# A replica is saturated that never was without a queue for five minutes, each of its engines: what
# it then does is what it can. An idle one, one that has just come, and one that stands still say
# nothing of that.
SATURATED = (
    "(min without (engine) (min_over_time(vllm:num_requests_waiting{{match}}[5m])) > 0"
    " and min without (engine) (vllm:num_requests_running{{match}} offset 5m)"
    " and sum without (engine) (rate(vllm:generation_tokens_total{{match}}[5m])) > 0)"
)
_SATURATED_PARTS = {
    "tokens": "sum without (engine) (rate(vllm:prompt_tokens_total{{match}}[5m])"
    " + rate(vllm:generation_tokens_total{{match}}[5m]))",
    "requests": "sum without (engine, finished_reason)"
    " (rate(vllm:request_success_total{{match}}[5m]))",
    "running": "sum without (engine) (avg_over_time(vllm:num_requests_running{{match}}[5m]))",
    "replicas": "max without (engine) (vllm:num_requests_running{{match}} * 0 + 1)",
}
SATURATED_SUMS = " or ".join(
    f'label_replace(sum by (cluster, model_name) ({part} and {SATURATED}), "of", "{name}", "", "")'
    for name, part in _SATURATED_PARTS.items()
)


# Where gateways sent the requests that entered at them, by Istio's standard metric. The labels that
# carry `to` and `model` are the metric's own, so a matcher of either is left to the answer.
ROUTED = (
    "sum by (cluster, model, to) (label_replace(label_replace("
    'rate(istio_requests_total{reporter="source",{match}}[2m]),'
    ' "model", "$1", "destination_canonical_service", "(.+)"),'
    ' "to", "$1", "destination_cluster", "(.+)"))'
)
ROUTED_SHARE = (
    f"{ROUTED} / on (cluster, model) group_left () (sum by (cluster, model) ({ROUTED}) > 0)"
)


def renamed(selector: str, label: str, *others: str) -> str:
    """The series with `label` taken from the last of `others` that is there, else as it is."""
    for other in others:
        selector = f'label_replace({selector}, "{label}", "$1", "{other}", "(.+)")'
    return selector


def refusals(*names: str) -> str:
    """Requests/s that a gateway answered with 429 for want of capacity, by the model it would have
    gone to. A gateway that counts requests and has counted no refusal has refused none."""

    def counted(metric: str, where: str = "") -> str:
        rate = f"rate({metric}{{{where}{{match}}}}[5m])"
        return renamed(rate, "served", "model_name", "target_model_name")

    def by_model(metric: str, where: str = "") -> str:
        parts = " or ".join(counted(f"{name}_{metric}", where) for name in names)
        sums = f'label_replace(sum by (cluster, served) ({parts}), "model_name", "$1", "served"'
        return f'sum by (cluster, model_name) ({sums}, "(.+)"))'

    refused = by_model("request_error_total", 'error_code="InferencePoolResourceExhausted",')
    return f"({refused} or {by_model('request_total')} * 0)"


# The endpoint picker of the Gateway API's inference extension, under its names of 2025 and before.
REFUSED = refusals("inference_objective", "inference_model")


def gpu(metric: str) -> str:
    """A dcgm series: UUID was written uuid by some versions."""
    return renamed(f"{metric}{{{{match}}}}", "UUID", "uuid")


# Beyond one is a sentinel. Under MIG GPU_UTIL is absent or 0: engine activity goes first.
ACTIVE = (
    f"({gpu('DCGM_FI_PROF_GR_ENGINE_ACTIVE')} <= 1"
    f" or on (cluster, UUID) {gpu('DCGM_FI_DEV_GPU_UTIL')} / 100 <= 1)"
)
REPORTING = (
    f"({gpu('DCGM_FI_PROF_GR_ENGINE_ACTIVE')} or on (cluster, UUID) {gpu('DCGM_FI_DEV_GPU_UTIL')}"
    f" or on (cluster, UUID) {gpu('DCGM_FI_DEV_SM_CLOCK')})"
)


def with_user(selector: str, label: str) -> str:
    """dcgm series whose `label` is that of the pod on the GPU, never of the exporter itself."""
    own = f'label_replace({selector}, "{label}", "", "pod", ".*dcgm-exporter.*")'
    return renamed(
        own, label, f"pod_{label}" if label != "pod" else "pod_name", f"exported_{label}"
    )


def with_node(selector: str) -> str:
    return renamed(selector, "node", "instance", "hostname", "Hostname")


def ksm(metric: str, *labels: str, where: str = "") -> str:
    """A series of kube-state-metrics: under honor_labels: false what it says is `exported_…`."""
    selector = f"{metric}{{{where}{',' if where else ''}{{match}}}}"
    for label in labels:
        selector = renamed(selector, label, f"exported_{label}")
    return selector


BUSY = f"max by (cluster, UUID, namespace) ({with_user(ACTIVE, 'namespace')})"
PRESENT = f"max by (cluster, UUID, namespace) ({with_user(REPORTING, 'namespace')})"
# The pod goes last: its label tells whether the others are the exporter's own.
BY_GPU = with_user(with_user(with_node(ACTIVE), "namespace"), "pod")
GPU_RESOURCE = 'resource="nvidia_com_gpu"'
POD_REQUESTS = ksm(
    "kube_pod_container_resource_requests", "namespace", "pod", "container", where=GPU_RESOURCE
)
REQUESTS = (
    "sum by (cluster, namespace, pod) (max by (cluster, namespace, pod, container)"
    f" ({POD_REQUESTS}))"
)


def by_node(metric: str, where: str = "") -> str:
    return f"max by (cluster, node) ({ksm(metric, 'node', where=where)})"


GPU_NODES = by_node("kube_node_status_capacity", GPU_RESOURCE)
ALLOCATABLE = by_node("kube_node_status_allocatable", GPU_RESOURCE)
IS_READY = 'condition="Ready",status="true"'
NODES = f"count by (cluster) ({GPU_NODES} > 0)"
NODES_READY = (
    f"sum by (cluster) ({by_node('kube_node_status_condition', IS_READY)}"
    f" and on (cluster, node) {GPU_NODES} > 0)"
)
PHASES = ksm("kube_pod_status_phase", "namespace", "pod", where='phase=~"Running|Pending"')
# Where an operator has no key of their own; rules.py and a source's `tier_label` put theirs here.
TIER_KEY, TIER_LABEL = "infra-console.dev/tier", "label_infra_console_dev_tier"
TIER = renamed(ksm("kube_node_labels", "node"), "tier", TIER_LABEL)

# --- witnesses: counts beside the numbers, by which a half answer is told from a whole one ------

MOVES = " or ".join(
    f"changes({metric}{{{{match}}}}[10m])"
    for metric in ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE")
)
METERS = " or ".join(
    f"{metric}{{{{match}}}}@WHEN"
    for metric in ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE")
)


def metered(when: str = "") -> str:
    """The nodes whose GPUs' power is read, now or some time ago."""
    selector = f"({METERS.replace('@WHEN', when)})"
    return f"max by (cluster, node) ({with_node(selector)})"


DATED = {
    DCGM: ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
    VLLM: ("vllm:num_requests_running",),
    KSM: ("kube_node_status_capacity",),
}


def lag(exporter: str) -> str:
    """How long ago samples were written: nine of ten at most so long."""
    stamps = " or ".join(f"timestamp({metric}{{{{match}}}})" for metric in DATED[exporter])
    return f"quantile by (cluster) (0.9, time() - ({stamps}))"


def lead(exporter: str) -> str:
    """How far ahead of now samples are stamped; no series where none is."""
    stamps = " or ".join(
        f"timestamp({metric}{{{{match}}}} offset -{ahead})"
        for metric in DATED[exporter]
        for ahead in ("10m", "5m")
    )
    return f"max by (cluster) (({stamps}) - time())"


WITNESS_QUERIES: Mapping[tuple[str, str], str] = MappingProxyType({
    (DCGM, "nodes"): f"count by (cluster) (max by (cluster, node) ({with_node(REPORTING)}))",
    (DCGM, "gpus"): f"count by (cluster) (max by (cluster, UUID) {REPORTING})",
    (DCGM, "gpus_measured"): f"count by (cluster) (max by (cluster, UUID) {ACTIVE})",
    # A GPU draws power at every moment: a meter that stands still is not read any more.
    (DCGM, "nodes_flat"): f"count by (cluster) (max by (cluster, node) ({with_node(f'({MOVES})')})"
    f" == 0 and on (cluster, node) {metered()}"
    f" and on (cluster, node) {metered(' offset 10m')})",
    (KSM, "nodes"): NODES,
    (KSM, "nodes_ready"): NODES_READY,
    **{(exporter, "lag_s"): lag(exporter) for exporter in EXPORTERS},
    **{(exporter, "lead_s"): lead(exporter) for exporter in EXPORTERS},
})  # fmt: skip
WITNESSES = " or ".join(
    f'label_replace(label_replace({query}, "exporter", "{exporter}", "", ""),'
    f' "check", "{check}", "", "")'
    for (exporter, check), query in WITNESS_QUERIES.items()
)

# Probes between regions (blackbox_exporter, relabelled with `region` and `target`): a ping, or
# the handshake of a TCP connection, which is one round trip. Of failed probes nothing is taken.
_PROBED = "and on (region, target, instance) probe_success == 1"
RTT = (
    'min by (region, target) ((probe_icmp_duration_seconds{phase="rtt"}'
    f' or probe_http_duration_seconds{{phase="connect"}}) {_PROBED})'
)
RTT_SEEN = "max by (region, target) (timestamp(probe_success == 1))"
