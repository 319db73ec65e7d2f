"""A first look through Prometheus alone: what exporters and kube-state-metrics tell of a fleet.

Nothing is known about the fleet yet, so series of every cluster count, those without a `cluster`
label too. What a silent query would have told is said in words, and never taken for none.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from infra_console.telemetry.queries import read_instants
from infra_console.telemetry.series import Reading, Series
from infra_console.telemetry.sources import BoundSource
from tiers.core.inventory import FoundGpu, FoundNode, FoundPod, Inventory

QUERIES = (
    "node_labels", "node_gpu_resources", "node_gpu_resources_allocatable", "node_ready",
    "node_taints", "node_unschedulable", "pod_info", "pod_phase", "pod_gpu_requests", "pod_labels",
    "gpu_inventory", "gpu_memory_mib", "gpu_activity_by_gpu",
)  # fmt: skip
_WHAT_IS_LOST: Mapping[str, str] = {
    "node_labels": "regions, purchase kinds and tiers by node label: start kube-state-metrics with "
    "--metric-labels-allowlist=nodes=[*],pods=[*]",
    "node_gpu_resources": "nodes, their GPUs and MIG slices: kube-state-metrics says nothing of"
    " nvidia.com resources",
    "node_gpu_resources_allocatable": "which GPUs are offered to pods",
    "node_ready": "which nodes are Ready",
    "node_unschedulable": "which nodes are cordoned",
    "pod_info": "where pods run and who owns them",
    "pod_phase": "which pods run",
    "pod_gpu_requests": "which pods ask for GPUs, and so what is used and idle",
    "gpu_inventory": "GPUs as dcgm-exporter sees them",
    "gpu_memory_mib": "GPU memory as dcgm-exporter sees it",
    "gpu_activity_by_gpu": "how much GPUs work",
}
_NVIDIA = re.compile(r"^nvidia_com_")


class EveryCluster(frozenset[str]):
    """Owns the series of whatever cluster there is."""

    def __contains__(self, _name: object) -> bool:
        return True


def read_inventory(source: BoundSource, *, now: datetime) -> Inventory:
    """Everything that one source tells; queries that fail are named."""
    everywhere = BoundSource(
        id=source.id,
        clusters=EveryCluster(),
        scrape_interval_s=source.scrape_interval_s,
        source=source.source,
    )
    found = read_instants(QUERIES, sources=(everywhere,))
    failed = {name: r.error for name, r in found.items() if not r.source_ids}
    silent = [n for n in _WHAT_IS_LOST if n not in failed and not found[n].series]
    return Inventory(
        taken_at=now,
        source="prometheus",
        nodes=tuple(_nodes(found)),
        pods=tuple(_pods(found)),
        gpus=tuple(_gpus(found)),
        problems=tuple(_problems(failed)),
        unknown=tuple(_WHAT_IS_LOST[name] for name in silent),
    )


def _problems(failed: Mapping[str, str]) -> Iterable[str]:
    """Each thing a source said instead of an answer, once, with the queries it was said to."""
    names: dict[str, list[str]] = {}
    for name, error in failed.items():
        names.setdefault(error, []).append(name)
    for error, asked in names.items():
        what = "everything" if len(asked) == len(QUERIES) else ", ".join(asked)
        yield f"{what}: {error}"


def merged(parts: Iterable[Inventory], *, now: datetime) -> Inventory:
    """Several sources' inventories as one."""
    found = list(parts)
    return Inventory(
        taken_at=now,
        source=found[0].source if found else "prometheus",
        nodes=tuple(n for p in found for n in p.nodes),
        pods=tuple(p for part in found for p in part.pods),
        gpus=tuple(g for p in found for g in p.gpus),
        problems=tuple(x for p in found for x in p.problems),
        unknown=tuple(dict.fromkeys(x for p in found for x in p.unknown)),
    )


def _nodes(found: Mapping[str, Reading]) -> Iterable[FoundNode]:
    resources = _resources(found["node_gpu_resources"])
    offered = _resources(found["node_gpu_resources_allocatable"])
    labels, ready = _by(found["node_labels"], "node"), _by(found["node_ready"], "node")
    closed = _by(found["node_unschedulable"], "node")
    taints: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for series in found["node_taints"].series:
        taint = (series.labels.get("key", ""), series.labels.get("effect", ""))
        taints.setdefault(_key(series, "node"), []).append(taint)
    for key, amounts in resources.items():
        named = labels[key].labels if key in labels else {}
        yield FoundNode(
            cluster=key[0],
            name=key[1],
            labels={k: v for k, v in named.items() if k.startswith("label_")},
            resources=amounts,
            allocatable=offered.get(key, {}),
            ready=_yes(ready.get(key)),
            unschedulable=_yes(closed.get(key)),
            taints=tuple(taints.get(key, ())),
        )


def _pods(found: Mapping[str, Reading]) -> Iterable[FoundPod]:
    at = ("namespace", "pod")
    infos, labels = _by(found["pod_info"], *at), _by(found["pod_labels"], *at)
    phases = _by(found["pod_phase"], *at)
    for key, series in _by(found["pod_gpu_requests"], *at).items():
        info = infos[key].labels if key in infos else {}
        named = labels[key].labels if key in labels else {}
        yield FoundPod(
            cluster=key[0],
            namespace=key[1],
            name=key[2],
            node=info.get("node", ""),
            phase=phases[key].labels.get("phase", "Unknown") if key in phases else "Unknown",
            gpus=int(series.last or 0),
            owner_kind=info.get("created_by_kind", ""),
            owner_name=info.get("created_by_name", ""),
            queue=named.get("label_kueue_x_k8s_io_queue_name", ""),
            labels={k: v for k, v in named.items() if k.startswith("label_")},
        )


def _gpus(found: Mapping[str, Reading]) -> Iterable[FoundGpu]:
    memory = _by(found["gpu_memory_mib"], "UUID")
    activity: dict[tuple[str, ...], Series] = {}
    for series in found["gpu_activity_by_gpu"].series:
        key = _key(series, "UUID")
        if key not in activity or (series.last or 0) > (activity[key].last or 0):
            activity[key] = series
    for key, series in _by(found["gpu_inventory"], "UUID", "GPU_I_PROFILE").items():
        gpu = (key[0], key[1])
        busy = activity.get(gpu)
        yield FoundGpu(
            cluster=key[0],
            id=key[1] or series.labels.get("gpu", ""),
            node=series.labels.get("node", ""),
            model=series.labels.get("modelName", ""),
            memory_mib=memory[gpu].last if gpu in memory else None,
            activity=busy.last if busy else None,
            busy_pod=busy.labels.get("pod", "") if busy else "",
            mig_profile=key[2],
        )


def _resources(reading: Reading) -> dict[tuple[str, ...], dict[str, int]]:
    """GPU resources by node, under the names that Kubernetes gives them."""
    amounts: dict[tuple[str, ...], dict[str, int]] = {}
    for series in reading.series:
        if series.last:
            name = _NVIDIA.sub("nvidia.com/", series.labels.get("resource", ""))
            name = _mig_name(name)
            amounts.setdefault(_key(series, "node"), {})[name] = int(series.last)
    return amounts


def _mig_name(name: str) -> str:
    """`nvidia.com/mig_1g_10gb` is `nvidia.com/mig-1g.10gb`."""
    found = re.fullmatch(r"(nvidia\.com/mig)_(\d+g)_(\d+gb)(.*)", name)
    return f"{found[1]}-{found[2]}.{found[3]}{found[4].replace('_', '.')}" if found else name


def _by(reading: Reading, *names: str) -> dict[tuple[str, ...], Series]:
    return {_key(s, *names): s for s in reading.series if s.last is not None}


def _key(series: Series, *names: str) -> tuple[str, ...]:
    return tuple(series.labels.get(name, "") for name in ("cluster", *names))


def _yes(series: Series | None) -> bool | None:
    return None if series is None or series.last is None else series.last == 1
