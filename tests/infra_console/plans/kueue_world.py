"""Training under Kueue in the twin of the tests, and plans that shrink it by quota."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from kubernetes.client import CustomObjectsApi

from infra_console.cluster.client import client_for
from infra_console.cluster.objects import GPU
from infra_console.plans.facts.kueue_facts import quota_fact
from infra_console.plans.spec import Move, ObjectRef, PlanSpec, Precondition, StepSpec
from tests.infra_console.kube import CLUSTER, Twin
from tests.infra_console.plans.specs import node_move, node_steps, spec
from tiers.twin.controllers import gitops
from tiers.twin.controllers.config import QUEUE_KEY
from tiers.twin.controllers.gang_spec import gang_spec
from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    RESOURCE_FLAVORS,
    WORKLOADS,
    Resource,
)

FLAVOR, QUEUE, SPACE = "h100", "research", "training"
PRODUCT = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
NODES, QUOTA = 3, 24  # training nodes with H100s, and their GPUs
GRACE_S = 5.0
GPU_QUOTA = "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota"


class KueueTwin:
    """The twin with its plain gangs gone and two queued ones on the H100s: big (2 nodes), small."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        twin.call(self._clear)
        self.make(RESOURCE_FLAVORS, FLAVOR, {"nodeLabels": PRODUCT})
        self.make(CLUSTER_QUEUES, QUEUE, queue_spec(QUOTA))
        self.make(LOCAL_QUEUES, "main", {"clusterQueue": QUEUE}, SPACE)
        self.submit("big", 2)
        self.submit("small", 1)
        self.until(lambda: self.running("big") == 2 and self.running("small") == 1, "both run")

    def _clear(self) -> None:
        for job in self.twin.store.all(JOBS):
            self.twin.store.remove(JOBS, SPACE, job["metadata"]["name"])

    def make(self, resource: Resource, name: str, spec: dict[str, Any], space: str = "") -> None:
        metadata = {"name": name} | ({"namespace": space} if space else {})
        body = {"metadata": metadata, "spec": spec, "status": {}}
        self.twin.call(self.twin.store.create, resource, body, datetime.now(UTC))

    def submit(self, name: str, nodes: int) -> None:
        metadata = {"name": name, "namespace": SPACE, "labels": {QUEUE_KEY: "main"}}
        body = {"metadata": metadata, "spec": gang_spec(name, nodes), "status": {}}
        self.twin.call(self.twin.store.create, JOBS, body, datetime.now(UTC))

    def until(self, look: Callable[[], Any], what: str, within_s: float = 15.0) -> Any:
        ends = time.monotonic() + within_s
        while not (seen := look()):
            assert time.monotonic() < ends, what
            time.sleep(0.03)
        return seen

    def pods(self, job: str) -> list[dict[str, Any]]:
        return [p for p in self.twin.pods() if p["metadata"]["name"].startswith(f"{job}-")]

    def running(self, job: str) -> int:
        return sum(bool(p["spec"].get("nodeName")) for p in self.pods(job))

    def node_of(self, job: str) -> str:
        return self.pods(job)[0]["spec"]["nodeName"]

    def workloads(self) -> list[dict[str, Any]]:
        return self.twin.call(self.twin.store.all, WORKLOADS)

    def workload(self, job: str) -> dict[str, Any]:
        return next(
            w for w in self.workloads() if w["metadata"]["ownerReferences"][0]["name"] == job
        )

    def queue(self) -> dict[str, Any]:
        return self.twin.call(self.twin.store.get, CLUSTER_QUEUES, "", QUEUE)

    def quota(self, flavor: str = FLAVOR) -> Any:
        return gpus_of(self.queue(), flavor)["nominalQuota"]

    def owners(self) -> set[str]:
        """Whose the quota is, by the server."""
        entries = self.queue()["metadata"].get("managedFields") or ()
        held = (e for e in entries if "f:resourceGroups" in e["fieldsV1"].get("f:spec", {}))
        return {e["manager"] for e in held}

    def is_true(self, job: str, kind: str) -> bool:
        held = self.workload(job)["status"].get("conditions") or ()
        return any(c["type"] == kind and c["status"] == "True" for c in held)

    def set_quota(self, value: Any) -> None:
        """Somebody else's write."""
        self.twin.edit(CLUSTER_QUEUES, "", QUEUE, {"spec": queue_spec(value)})

    def add_flavor(self, name: str, quota: int) -> None:
        self.make(RESOURCE_FLAVORS, name, {"nodeLabels": {"flavor": name}})
        spec = queue_spec(QUOTA)
        resources = [{"name": GPU, "nominalQuota": quota}]
        spec["resourceGroups"][0]["flavors"].append({"name": name, "resources": resources})
        self.twin.edit(CLUSTER_QUEUES, "", QUEUE, {"spec": spec})

    def activate(self, job: str, active: bool = True) -> None:
        """Somebody else's write."""
        name = self.workload(job)["metadata"]["name"]
        self.twin.edit(WORKLOADS, SPACE, name, {"spec": {"active": active}})

    def deactivate(self, job: str) -> None:
        self.activate(job, False)

    def renew(self, job: str) -> None:
        """Its Job is deleted and submitted again under the same name."""
        name, pods = self.workload(job)["metadata"]["name"], self.running(job)
        held = self.twin.call(self.twin.store.get, WORKLOADS, SPACE, name)
        metadata = {**held["metadata"], "uid": "another"}
        self.twin.call(self.twin.store.put, WORKLOADS, {**held, "metadata": metadata})
        assert pods

    def own_quota(self, manager: str) -> None:
        """Somebody writes the list by hand, as it stands but for its quota, and back."""
        for value in (QUOTA + 1, QUOTA):
            operation = {"op": "replace", "path": GPU_QUOTA, "value": value}
            CustomObjectsApi(client_for(CLUSTER)).patch_cluster_custom_object(
                "kueue.x-k8s.io", "v1beta2", "clusterqueues", QUEUE, [operation],
                field_manager=manager, _content_type="application/json-patch+json",
            )  # fmt: skip

    def give_to_gitops(self) -> None:
        """A repository holds the whole queue, and an agent applies it."""
        held = self.queue()
        manifest = {
            "apiVersion": held["apiVersion"],
            "kind": held["kind"],
            "metadata": {"name": QUEUE},
            "spec": {"resourceGroups": held["spec"]["resourceGroups"]},
        }
        self.twin.call(gitops.own, self.twin.store, manifest, datetime.now(UTC))
        self.until(lambda: self.queue()["metadata"].get("managedFields"), "it was applied")


def queue_spec(quota: Any) -> dict[str, Any]:
    resource = {"name": GPU, "nominalQuota": quota}
    flavors = [{"name": FLAVOR, "resources": [resource]}]
    group = {"coveredResources": [GPU], "flavors": flavors}
    return {"namespaceSelector": {}, "resourceGroups": [group]}


def gpus_of(queue: dict[str, Any], flavor: str = FLAVOR) -> dict[str, Any]:
    (group,) = queue["spec"]["resourceGroups"]
    return next(f["resources"][0] for f in group["flavors"] if f["name"] == flavor)


def queue_ref() -> ObjectRef:
    return ObjectRef(cluster=CLUSTER, kind="ClusterQueue", name=QUEUE)


def victim_ref(world: KueueTwin, job: str) -> ObjectRef:
    name = world.workload(job)["metadata"]["name"]
    return ObjectRef(cluster=CLUSTER, kind="Workload", namespace=SPACE, name=name)


def quota_step(before: int, after: int, *, wave: int = 1, **more: Any) -> StepSpec:
    params = {"flavor": FLAVOR, "resource": GPU, "from": before, "to": after, **more}
    return StepSpec(
        key=f"{CLUSTER}/{QUEUE}/{params['flavor']}/kueue.set_quota",
        kind="kueue.set_quota",
        title=f"Set {params['flavor']} of {QUEUE} from {before} to {after}",
        target=queue_ref(),
        tier="training",
        wave=wave,
        params=params,
    )


def victim_steps(world: KueueTwin, *jobs: str) -> Iterator[StepSpec]:
    for job in jobs:
        target, uid = victim_ref(world, job), world.workload(job)["metadata"]["uid"]
        for wave, kind in enumerate(("kueue.signal", "kueue.deactivate")):
            yield StepSpec(
                key=f"{CLUSTER}/{SPACE}/{target.name}/{kind}",
                kind=kind,
                title=f"{kind} {target.name}",
                target=target,
                tier="training",
                wave=wave,
                params={"uid": uid, "grace_s": GRACE_S},
            )


def quota_move(before: int, after: int, *victims: str) -> Move:
    return Move(
        kind="scale",
        target=queue_ref(),
        pool=FLAVOR,
        workload="training",
        from_replicas=before,
        to_replicas=after,
        gpus=after - before,
        evicts=victims,
        reason="inference needs a node",
    )


def relied_on(world: KueueTwin, *jobs: str) -> tuple[Precondition, ...]:
    """What the cluster says of the queue and the victims now."""
    queue = world.queue()
    facts = {"uid": queue["metadata"]["uid"], quota_fact(FLAVOR, GPU): int(world.quota())}
    return (
        Precondition(target=queue_ref(), facts=facts),
        *(
            Precondition(
                target=victim_ref(world, job),
                facts={"uid": world.workload(job)["metadata"]["uid"], "active": True},
            )
            for job in jobs
        ),
    )


def shrink(world: KueueTwin, **changes: Any) -> PlanSpec:
    """The whole plan: `small` leaves, the quota goes with it, its node goes to inference."""
    node = world.node_of("small")
    moved = [s.model_copy(update={"wave": s.wave + 2}) for s in node_steps(node)]
    fields: dict[str, Any] = {
        "title": "1 node training → inference",
        "moves": (node_move(node), quota_move(QUOTA, QUOTA - 8, f"{SPACE}/small")),
        "steps": (quota_step(QUOTA, QUOTA - 8), *victim_steps(world, "small"), *moved),
        "preconditions": relied_on(world, "small"),
    }
    return spec(**(fields | changes))
