"""How long a scrape of one big cluster of the twin takes, and how many series it is; JSON out.

    python benchmarks/scrape.py --nodes 84

A cluster of that many nodes in the mix of the default fleet, full of pods. `first_ms` is the scrape
after a start, `ms` the median of later ones with a tick of the cluster in between.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiers.twin.controllers import kubelet
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.demand import BuiltInDemand
from tiers.twin.fleet import node_object
from tiers.twin.kube.resources import NODES, PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.metrics import JOBS, render
from tiers.twin.physics import ClusterPhysics
from tiers.twin.profile import GPU_RESOURCE, INFERENCE, JOB_NAME_KEY, NodeSpec, nodes_of

CLUSTER = "eastus"
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ROUNDS = 7


def big_cluster(nodes: int) -> ClusterStore:
    """Nodes of the default mix over and over, each full of its tier's pods, all of them ready."""
    store, config = ClusterStore(CLUSTER), ControllerConfig(time_factor=1000.0)
    mix = list(nodes_of(CLUSTER))
    for number in range(nodes):
        spec = mix[number % len(mix)]
        spec = replace(spec, name=f"{spec.name}-{number:03d}")
        store.create(NODES, node_object(spec, START), START)
        for pod in _pods(spec, number):
            store.create(PODS, pod, START)
    for second in range(0, 120, 10):
        kubelet.tick(store, START + timedelta(seconds=second), config)
    return store


def _pods(node: NodeSpec, number: int) -> list[Obj]:
    if node.tier == "training":
        return [_pod(node, f"train-{number:03d}-0", 8, job=f"train-{number:03d}")]
    if node.tier == "operational":
        return [_pod(node, f"embedding-x-{number:03d}{seat}", 1) for seat in range(8)]
    model = INFERENCE[number % 4]
    seats = range(8 // model.gpus_per_group)
    return [_pod(node, f"{model.id}-x-{number:03d}{s}", model.gpus_per_group) for s in seats]


def _pod(node: NodeSpec, name: str, gpus: int, job: str = "") -> Obj:
    asked = {GPU_RESOURCE: str(gpus), "cpu": "8", "memory": "64Gi"}
    owner = {"kind": "Job" if job else "ReplicaSet", "name": name, "uid": name, "controller": True}
    container = {"name": "main", "image": "registry.example/main:1"}
    return {
        "metadata": {"name": name, "namespace": node.tier, "ownerReferences": [owner],
                     "labels": {JOB_NAME_KEY: job} if job else {"app": "main"}},
        "spec": {"nodeName": node.name,
                 "containers": [container | {"resources": {"requests": asked, "limits": asked}}]},
        "status": {"phase": "Pending", "qosClass": "Guaranteed",
                   "conditions": [{"type": "PodScheduled", "status": "True"}]},
    }  # fmt: skip


def ms_since(began: float) -> float:
    return 1000.0 * (time.perf_counter() - began)


def measure(nodes: int) -> dict[str, object]:
    """Series, size and time of each exporter of a cluster."""
    store = big_cluster(nodes)
    start_s = START.timestamp() + 120.0
    physics = ClusterPhysics(store, BuiltInDemand(1), seed=1, now_s=start_s)
    physics.tick(start_s + 2)
    config = ControllerConfig(time_factor=1000.0)
    spent: dict[str, list[float]] = {exporter: [] for exporter in JOBS}
    texts: dict[str, str] = {}
    ticks: list[float] = []
    for turn in range(1, ROUNDS + 1):
        at_s = start_s + 15.0 * turn
        kubelet.tick(store, datetime.fromtimestamp(at_s, UTC), config)
        began = time.perf_counter()
        physics.tick(at_s)
        ticks.append(ms_since(began))
        for exporter in JOBS:
            began = time.perf_counter()
            texts[exporter] = render(exporter, physics)
            spent[exporter].append(ms_since(began))
    return {
        "nodes": nodes,
        "pods": len(store.all(PODS)),
        "tick_ms": round(statistics.median(ticks), 1),
        "max_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "exporters": {
            exporter: {
                "series": sum(not line.startswith("#") for line in texts[exporter].splitlines()),
                "kib": len(texts[exporter]) // 1024,
                "first_ms": round(spent[exporter][0], 1),
                "ms": round(statistics.median(spent[exporter][1:]), 1),
            }
            for exporter in JOBS
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=84)
    print(json.dumps(measure(parser.parse_args().nodes), indent=2))
