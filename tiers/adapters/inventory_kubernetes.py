"""A first look through Kubernetes APIs: lists of nodes and pods, by kubeconfig context.

Exec plug-ins and short-lived tokens work as the official client makes them work. Only `list` is
asked for, and nothing is written.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernetes import client as kubernetes
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config

from infra_console.cluster.client import TimedClient
from infra_console.cluster.errors import ClusterError, ClusterNotConfigured, translated
from infra_console.cluster.objects import node_state, pod_state
from infra_console.numbers import whole_number
from tiers.core.adoption_rules import QUEUE_LABEL
from tiers.core.inventory import FoundNode, FoundPod, Inventory

PAGE_OBJECTS = 500
MAX_CLUSTERS_AT_ONCE = 6
# What node feature discovery writes by the hundred tells nothing here.
NOISE = ("feature.node.kubernetes.io/", "beta.kubernetes.io/")
NO_METRICS = "how much GPUs work and what their counters say: no metric source was asked"


def contexts_of(kubeconfig: Path) -> list[str]:
    """The contexts a kubeconfig names.

    Raises:
        ClusterNotConfigured: it cannot be read.
    """
    try:
        contexts, _ = list_kube_config_contexts(str(kubeconfig))  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as err:
        raise ClusterNotConfigured("", f"{kubeconfig.name}: {err}") from err
    return [context["name"] for context in contexts]


def read_inventory(kubeconfig: Path, contexts: Mapping[str, str], *, now: datetime) -> Inventory:
    """Nodes with GPUs and pods that ask for them; a cluster that fails is named.

    Args:
        contexts: the kubeconfig context by the cluster's name.
    """

    def attempt(item: tuple[str, str]) -> tuple[list[FoundNode], list[FoundPod]] | str:
        try:
            return _cluster(*item, kubeconfig)
        except ClusterError as err:
            return f"{item[0]}: {err}"

    with ThreadPoolExecutor(MAX_CLUSTERS_AT_ONCE) as threads:
        results = list(threads.map(attempt, contexts.items()))
    read = [r for r in results if not isinstance(r, str)]
    return Inventory(
        taken_at=now,
        source="kubernetes",
        nodes=tuple(n for nodes, _ in read for n in nodes),
        pods=tuple(p for _, pods in read for p in pods),
        problems=tuple(r for r in results if isinstance(r, str)),
        unknown=(NO_METRICS,),
    )


def _cluster(
    cluster: str, context: str, kubeconfig: Path
) -> tuple[list[FoundNode], list[FoundPod]]:
    api = kubernetes.CoreV1Api(_client(cluster, kubeconfig, context))
    nodes = [_node(cluster, item) for item in _pages(cluster, "list nodes", api.list_node)]
    listed = _pages(cluster, "list pods", api.list_pod_for_all_namespaces)
    pods = [_pod(cluster, item) for item in listed]
    with_gpus = [n for n in nodes if n.resources or n.labels.get("nvidia.com/gpu.present")]
    return with_gpus, [p for p in pods if p.gpus]


def _client(cluster: str, kubeconfig: Path, context: str) -> TimedClient:
    configuration = Configuration()
    configuration.retries = False
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig), context=context, client_configuration=configuration,
            persist_config=False,
        )  # fmt: skip
    except (ConfigException, OSError) as err:
        raise ClusterNotConfigured(cluster, f"context {context!r}: {err}") from err
    return TimedClient(configuration=configuration)


def _node(cluster: str, item: Mapping[str, Any]) -> FoundNode:
    state, status = node_state(item), item.get("status") or {}
    return FoundNode(
        cluster=cluster,
        name=state.name,
        labels={k: v for k, v in state.labels.items() if not k.startswith(NOISE)},
        resources=_gpus(status.get("capacity") or {}),
        allocatable=_gpus(status.get("allocatable") or {}),
        ready=state.ready,
        unschedulable=state.unschedulable,
        taints=tuple((t.key, t.effect) for t in state.taints),
    )


def _pod(cluster: str, item: Mapping[str, Any]) -> FoundPod:
    state = pod_state(item)
    return FoundPod(
        cluster=cluster,
        namespace=state.namespace,
        name=state.name,
        node=state.node,
        phase=state.phase,
        gpus=state.gpus,
        owner_kind=state.owner_kind,
        owner_name=state.owner_name,
        queue=state.labels.get(QUEUE_LABEL, ""),
        labels=dict(state.labels),
    )


def _gpus(amounts: Mapping[str, Any]) -> dict[str, int]:
    named = {k: whole_number(str(v)) for k, v in amounts.items() if k.startswith("nvidia.com/")}
    return {name: gpus for name, gpus in named.items() if gpus}


def _pages(cluster: str, what: str, call: Callable[..., Any]) -> Iterable[dict[str, Any]]:
    token = ""
    while True:
        more = {"_continue": token} if token else {}
        with translated(cluster, what):
            page = json.loads(call(limit=PAGE_OBJECTS, _preload_content=False, **more).data)
        yield from page.get("items") or ()
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return


def chosen(contexts: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Cluster names and their contexts: those that were asked for, else all."""
    return {name: name for name in (wanted or contexts)}
