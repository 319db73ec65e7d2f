"""Plays what a bare API server lacks, for the nodes and pods of one run and nothing else.

The kubelet: leases and Ready conditions renewed, bound pods made Running and Ready, deleted pods
finished. The scheduler, only where none is at work: pending pods bound to the first node of the
run that their selector picks and that has the GPUs. Every write is one a kubelet or scheduler
would make, through the same subresources.
"""

import contextlib
import threading
from datetime import UTC, datetime
from typing import Any

from tests.contract.kinds import LEASE, NODE, POD
from tests.contract.kube import Kube, Refused, condition
from tests.contract.objects import GPU, RUN_KEY

Obj = dict[str, Any]
LEASES = "kube-node-lease"
BEAT_S = 4.0
STEP_S = 0.25
# Node lifecycle removes it from a Ready node; where that controller is away, we do.
NOT_READY = "node.kubernetes.io/not-ready"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ready_conditions() -> list[Obj]:
    calm = [
        _node_condition(kind, "False") for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    return [*calm, _node_condition("Ready", "True")]


def _node_condition(kind: str, status: str) -> Obj:
    at = now()
    return {
        "type": kind,
        "status": status,
        "reason": "ContractSuite",
        "message": "played by the contract suite",
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }


def mark_ready(kube: Kube, name: str) -> None:
    """A heartbeat, and the not-ready taint of admission taken away."""
    kube.patch(
        NODE, "", name, {"status": {"conditions": ready_conditions()}}, "strategic", "status"
    )
    for _ in range(5):
        with contextlib.suppress(Refused):  # somebody else wrote to the node: look again
            _take_not_ready_away(kube, kube.get(NODE, "", name))
            return


def _take_not_ready_away(kube: Kube, node: Obj) -> None:
    taints = node["spec"].get("taints") or []
    kept = [t for t in taints if t["key"] != NOT_READY]
    if len(kept) != len(taints):
        version = node["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"taints": kept or None}}
        kube.patch(NODE, "", node["metadata"]["name"], body)


def pod_running(pod: Obj) -> Obj:
    at = now()
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    containers = [
        {
            "name": c["name"],
            "image": c["image"],
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": at}},
        }
        for c in pod["spec"]["containers"]
    ]
    return {
        "phase": "Running",
        "startTime": at,
        "conditions": [{"type": k, "status": "True", "lastTransitionTime": at} for k in kinds],
        "containerStatuses": containers,
    }


class Player(threading.Thread):
    """The background thread; `kube` is a connection of its own."""

    def __init__(self, kube: Kube, run: str, *, schedules: bool) -> None:
        super().__init__(daemon=True, name="contract-player")
        self.troubles: list[str] = []
        self.silent: set[str] = set()
        self._kube, self._run_id, self._schedules = kube, run, schedules
        self._stop_asked = threading.Event()
        self._beaten: dict[str, float] = {}
        self._clock = 0.0

    def run(self) -> None:
        while not self._stop_asked.wait(STEP_S):
            self._clock += STEP_S
            try:
                self._step()
            except Exception as err:  # noqa: BLE001  told at the end; a thread's error fails a test
                self.troubles.append(repr(err))

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(10)

    def _step(self) -> None:
        nodes = self._kube.items(NODE, labelSelector=f"{RUN_KEY}={self._run_id}")
        for node in nodes:
            name = node["metadata"]["name"]
            if name in self.silent:
                continue
            if self._clock - self._beaten.get(name, -BEAT_S) >= BEAT_S:
                self._beaten[name] = self._clock
                _quietly(self._beat, name)
            for pod in self._kube.items(POD, fieldSelector=f"spec.nodeName={name}"):
                _quietly(self._advance, pod)
        if self._schedules and nodes:
            self._bind(nodes)

    def _beat(self, name: str) -> None:
        mark_ready(self._kube, name)
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _micro()}
        if self._kube.find(LEASE, LEASES, name) is None:
            metadata = {"name": name, "labels": {RUN_KEY: self._run_id}}
            self._kube.create(LEASE, LEASES, {"metadata": metadata, "spec": spec})
        else:
            self._kube.patch(LEASE, LEASES, name, {"spec": spec})

    def _advance(self, pod: Obj) -> None:
        space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        uid = pod["metadata"]["uid"]
        if pod["metadata"].get("deletionTimestamp"):
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            if not pod["metadata"].get("finalizers"):
                self._kube.delete(POD, space, name, options)
        elif (pod.get("status") or {}).get("phase") == "Pending":
            body = {"metadata": {"uid": uid}, "status": pod_running(pod)}
            self._kube.patch(POD, space, name, body, "strategic", "status")

    def _bind(self, nodes: list[Obj]) -> None:
        everywhere = self._kube.items(POD, fieldSelector="spec.nodeName=,status.phase=Pending")
        for pod in everywhere:
            selector = pod["spec"].get("nodeSelector") or {}
            for node in nodes:
                labels = node["metadata"].get("labels") or {}
                fits = selector and all(labels.get(k) == v for k, v in selector.items())
                fits = fits and not node["spec"].get("unschedulable")
                if fits and _gpus(pod) <= self._free(node):
                    _quietly(self._bind_to, pod, node["metadata"]["name"])
                    break

    def _free(self, node: Obj) -> int:
        name = node["metadata"]["name"]
        held = self._kube.items(POD, fieldSelector=f"spec.nodeName={name}")
        return int((node.get("status") or {}).get("allocatable", {}).get(GPU, 0)) - sum(
            map(_gpus, held)
        )

    def _bind_to(self, pod: Obj, node: str) -> None:
        self._kube.bind(pod["metadata"]["namespace"], pod["metadata"]["name"], node)


def _quietly(step: Any, *arguments: Any) -> None:
    """An object that went or changed meanwhile is taken up in the next round."""
    try:
        step(*arguments)
    except Refused as refused:
        if refused.code not in (404, 409, 422):
            raise


def _gpus(pod: Obj) -> int:
    containers = pod["spec"]["containers"]
    return sum(int(c.get("resources", {}).get("requests", {}).get(GPU, 0)) for c in containers)


def _micro() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_ready(pod: Obj) -> bool:
    return condition(pod, "Ready").get("status") == "True"
