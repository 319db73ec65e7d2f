"""What of a real cluster is at work, found by asking it to do a little and watching.

Each need of a test is one probe here; a test whose need is absent is skipped with the sentence
that the probe gives. All probe objects live in one namespace of their own.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from tests.contract import objects
from tests.contract.kinds import (
    ACCESS_REVIEW,
    CLAIM_TEMPLATE,
    CLUSTER_QUEUE,
    DEPLOYMENT,
    DEVICE_CLASS,
    FLAVOR,
    HPA,
    JOB,
    LEASE,
    LOCAL_QUEUE,
    LWS,
    MACHINE_DEPLOYMENT,
    NAMESPACE,
    NODE,
    NODE_POOL,
    PDB,
    POD,
    QUOTA,
    RESOURCE_CLAIM,
    SCALED_OBJECT,
    STATEFUL_SET,
    TOPOLOGY,
    WORKLOAD,
    Kind,
)
from tests.contract.kube import Kube, Refused, condition, is_true

PROBE_S = 8.0
NODE_CLASS = "CONTRACT_NODE_CLASS"
"""`group/kind/name` of a NodeClass for whose machines somebody pays, such as KWOK's."""
NOBODY_HEADER = {"Impersonate-User": "infra-console-contract-nobody"}


def _twin_only(what: str) -> tuple[Callable[[], bool], str]:
    return (lambda: False), f"not here: {what}"


class Probes:
    """Asked once each, remembered for the run."""

    def __init__(self, kube: Kube, space: str, run: str) -> None:
        self.kube, self.space, self.run = kube, space, run
        self._known: dict[str, str] = {}
        self._ways: dict[str, tuple[Callable[[], bool], str]] = {
            "scheduler": (self._scheduler, "no scheduler is at work"),
            "deployments": (self._deployments, "no Deployment controller is at work"),
            "statefulsets": (self._statefulsets, "no StatefulSet controller is at work"),
            "jobs": (self._jobs, "no Job controller is at work"),
            "disruption": (self._disruption, "no disruption controller is at work"),
            "quota": (self._quota, "no resource quota controller is at work"),
            "garbage": (self._garbage, "no garbage collector is at work"),
            "namespaces": (self._namespaces, "no namespace controller is at work"),
            "node-lifecycle": (self._node_lifecycle, "no node lifecycle controller is at work"),
            "dra-api": (lambda: self._serves(DEVICE_CLASS), "resource.k8s.io/v1 is not served"),
            "rbac": (self._rbac, "the authorizer allows everybody everything"),
            "kueue-api": (lambda: self._serves(CLUSTER_QUEUE), "Kueue v1beta2 is not served"),
            "kueue": (self._kueue, "no Kueue manager is at work"),
            "kueue-jobs": (self._kueue_jobs, "Kueue's batch/job integration is not at work"),
            "lws-api": (lambda: self._serves(LWS), "LeaderWorkerSet v1 is not served"),
            "lws": (self._lws, "no LeaderWorkerSet controller is at work"),
            "keda-api": (lambda: self._serves(SCALED_OBJECT), "KEDA is not served"),
            "keda": (self._keda, "no KEDA operator is at work"),
            "karpenter-api": (lambda: self._serves(NODE_POOL), "Karpenter v1 is not served"),
            "hpa": (self._hpa, "no HorizontalPodAutoscaler controller is at work"),
            "taint-eviction": (self._taint_eviction, "no taint eviction controller is at work"),
            "pod-gc": (self._pod_gc, "no pod garbage collector is at work"),
            "kueue-topology": (self._kueue_topology, "Kueue's Topology is not served"),
            "dra": (self._dra, "resource.k8s.io/v1 or its claim controller is not at work"),
            "cluster-api-api": (
                lambda: self._serves(MACHINE_DEPLOYMENT),
                "Cluster API v1beta2 is not served",
            ),
            "karpenter": (
                self._karpenter,
                f"no Karpenter whose machines this suite may make (set {NODE_CLASS})",
            ),
            "cluster-api": _twin_only("Cluster API machines that this suite may make"),
            "metrics": _twin_only("a metrics adapter whose answers this suite can set"),
            "gitops": _twin_only("a GitOps agent whose repository this suite can write"),
            "health": _twin_only("a health agent whose GPUs this suite can break"),
            "capacity": _twin_only("a cloud that this suite can empty"),
            "custom": (lambda: self._serves(FLAVOR), "no custom kind that this suite knows"),
        }

    def has(self, need: str) -> bool:
        return not self.why_not(need)

    def why_not(self, need: str) -> str:
        if need not in self._known:
            probe, absent = self._ways[need]
            self._known[need] = "" if probe() else absent
        return self._known[need]

    def clean(self) -> None:
        """Cluster-scoped things that probes made; their namespace is emptied by the cluster."""
        name = f"contract-{self.run}-probe"
        for kind in (CLUSTER_QUEUE, FLAVOR, NODE):
            with contextlib.suppress(Refused):
                self.kube.delete(kind, "", name)
        with contextlib.suppress(Refused):
            self.kube.delete(NODE, "", f"contract-{self.run}-tainted")
        with contextlib.suppress(Refused):
            self.kube.delete(NAMESPACE, "", f"contract-{self.run}-gone")

    def _serves(self, kind: Kind) -> bool:
        return self.kube.serves(kind)

    def _make(self, kind: Kind, obj: dict[str, Any], *, cluster: bool = False) -> bool:
        try:
            self.kube.create(kind, "" if cluster else self.space, obj)
        except Refused:
            return False
        return True

    def _see(self, look: Callable[[], Any], within_s: float = PROBE_S) -> bool:
        ends_at = time.monotonic() + within_s
        while time.monotonic() < ends_at:
            if look():
                return True
            time.sleep(0.2)
        return False

    def _observed(self, kind: Kind, obj: dict[str, Any]) -> bool:
        """A controller has written a status of this generation."""
        name = obj["metadata"]["name"]
        made = self._make(kind, obj)
        return made and self._see(
            lambda: (
                (self.kube.find(kind, self.space, name) or {})
                .get("status", {})
                .get("observedGeneration")
            )
        )

    def _scheduler(self) -> bool:
        made = self._make(POD, objects.pod("unplaced", "nowhere"))
        return made and self._see(
            lambda: condition(self.kube.get(POD, self.space, "unplaced"), "PodScheduled")
        )

    def _deployments(self) -> bool:
        return self._observed(DEPLOYMENT, objects.deployment("probe", self.space, replicas=0))

    def _statefulsets(self) -> bool:
        return self._observed(STATEFUL_SET, objects.stateful_set("probe", self.space, replicas=0))

    def _jobs(self) -> bool:
        made = self._make(JOB, objects.job("probe", self.space, suspend=True))
        return made and self._see(
            lambda: is_true(self.kube.get(JOB, self.space, "probe"), "Suspended")
        )

    def _disruption(self) -> bool:
        return self._observed(PDB, objects.budget("probe", app="probe", keep=1))

    def _quota(self) -> bool:
        made = self._make(QUOTA, objects.quota("probe", gpus=0))
        return made and self._see(
            lambda: (self.kube.get(QUOTA, self.space, "probe").get("status") or {}).get("hard")
        )

    def _garbage(self) -> bool:
        """A ReplicaSet whose owner never existed is collected."""
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "never",
            "uid": "00000000-0000-4000-8000-000000000001",
        }
        orphan = objects.lease("orphan")
        orphan["metadata"]["ownerReferences"] = [owner]
        made = self._make(LEASE, orphan)
        return made and self._see(lambda: not self.kube.find(LEASE, self.space, "orphan"))

    def _namespaces(self) -> bool:
        name = f"contract-{self.run}-gone"
        body = {"metadata": objects.meta(name, labels={objects.RUN_KEY: self.run})}
        if not self._make(NAMESPACE, body, cluster=True):
            return False
        self.kube.delete(NAMESPACE, "", name)
        gone = self._see(lambda: not self.kube.find(NAMESPACE, "", name))
        if not gone:
            held = self.kube.get(NAMESPACE, "", name)
            held["spec"]["finalizers"] = []
            self.kube.replace(NAMESPACE, "", name, held, "finalize")
        return gone

    def _node_lifecycle(self) -> bool:
        """A cordoned node is tainted."""
        name = f"contract-{self.run}-probe"
        marks = {"run": self.run, "space": "probe", "labels": {}, "taints": []}
        if not self._make(NODE, objects.node(name, **marks), cluster=True):
            return False
        self.kube.patch(NODE, "", name, {"spec": {"unschedulable": True}})
        cordon = "node.kubernetes.io/unschedulable"

        def tainted() -> bool:
            held = self.kube.get(NODE, "", name)["spec"].get("taints") or ()
            return any(t["key"] == cordon for t in held)

        return self._see(tainted)

    def _rbac(self) -> bool:
        asked = {"verb": "delete", "resource": "nodes"}
        body = {"spec": {"resourceAttributes": asked}}
        nobody = Kube(self.kube.api, headers=NOBODY_HEADER)
        try:
            answer = nobody.create(ACCESS_REVIEW, "", body)
        except Refused:
            return False
        return not answer["status"]["allowed"]

    def _kueue(self) -> bool:
        if not self.has("kueue-api"):
            return False
        name = f"contract-{self.run}-probe"
        made = self._make(FLAVOR, objects.flavor(name), cluster=True) and self._make(
            CLUSTER_QUEUE, objects.cluster_queue(name, {name: 1}), cluster=True
        )
        return made and self._see(
            lambda: is_true(self.kube.get(CLUSTER_QUEUE, "", name), "Active"), 20.0
        )

    def _kueue_jobs(self) -> bool:
        if not self.has("kueue"):
            return False
        queue = objects.local_queue("probe", f"contract-{self.run}-probe")
        waiting = objects.job("queued", self.space, queue="probe", suspend=True, gpus=2)
        made = self._make(LOCAL_QUEUE, queue) and self._make(JOB, waiting)
        return made and self._see(lambda: self.kube.items(WORKLOAD, self.space))

    def _hpa(self) -> bool:
        if not self.has("deployments"):
            return False
        made = self._make(HPA, objects.hpa("probe", target="probe", low=1, high=2))
        return made and self._see(
            lambda: (self.kube.get(HPA, self.space, "probe").get("status") or {}).get("conditions"),
            45.0,
        )

    def _taint_eviction(self) -> bool:
        """A pod leaves a node of our own that is tainted."""
        name = f"contract-{self.run}-tainted"
        taint = {"key": "probe", "value": "", "effect": "NoExecute"}
        marks = {"run": self.run, "space": "probe", "labels": {}, "taints": [taint]}
        made = self._make(NODE, objects.node(name, **marks), cluster=True) and self._make(
            POD, objects.pod("driven-out", "probe", on=name)
        )

        def left() -> bool:
            pod = self.kube.find(POD, self.space, "driven-out")
            return pod is None or "deletionTimestamp" in pod["metadata"]

        return made and self._see(left)

    def _pod_gc(self) -> bool:
        """A pod of a node that never was is collected, which takes a minute."""
        made = self._make(POD, objects.pod("homeless", "probe", on=f"contract-{self.run}-none"))
        return made and self._see(lambda: not self.kube.find(POD, self.space, "homeless"), 90.0)

    def _kueue_topology(self) -> bool:
        return self.has("kueue-jobs") and self._serves(TOPOLOGY)

    def _dra(self) -> bool:
        """A claim is made of a pod's template."""
        if not (self._serves(RESOURCE_CLAIM) and self.has("scheduler")):
            return False
        template = {"metadata": objects.meta("probe"), "spec": {"spec": {"devices": {}}}}
        entry = {"name": "gpus", "resourceClaimTemplateName": "probe"}
        pod = objects.pod("claiming", "nowhere", resourceClaims=[entry])
        made = self._make(CLAIM_TEMPLATE, template) and self._make(POD, pod)
        return made and self._see(lambda: self.kube.items(RESOURCE_CLAIM, self.space))

    def _karpenter(self) -> bool:
        return self._serves(NODE_POOL) and bool(os.environ.get(NODE_CLASS))

    def _lws(self) -> bool:
        if not (self.has("lws-api") and self.has("statefulsets")):
            return False
        made = self._make(LWS, objects.leader_worker_set("probe-lws", self.space, groups=1))
        return made and self._see(lambda: self.kube.find(STATEFUL_SET, self.space, "probe-lws"))

    def _keda(self) -> bool:
        if not (self.has("keda-api") and self.has("deployments")):
            return False
        aim = objects.scaled_object("probe", target="probe", low=1, high=2)
        return self._make(SCALED_OBJECT, aim) and self._see(
            lambda: condition(self.kube.get(SCALED_OBJECT, self.space, "probe"), "Ready")
        )
