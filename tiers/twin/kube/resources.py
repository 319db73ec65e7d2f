"""What kinds the API serves: one table, read by the routes, the store, discovery and validation.

A new kind is one more line of `RESOURCES` (and, where its lists merge by key, of `shapes`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
"""One Kubernetes object as JSON. Objects in a store are never changed in place."""


@dataclass(frozen=True)
class Resource:
    """One served kind: where it lives in the API, and which subresources it has."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    counts_generation: bool = False
    custom: bool = False
    """Defined by a CustomResourceDefinition: no strategic merge, and `spec` counts generations."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name errors use: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


NAMESPACES = Resource("", "v1", "Namespace", "namespaces", False, ("ns",), ("status", "finalize"))
NODES = Resource("", "v1", "Node", "nodes", False, ("no",), ("status",))
PODS = Resource("", "v1", "Pod", "pods", True, ("po",), ("status", "eviction", "binding"), True)
EVENTS = Resource("", "v1", "Event", "events", True, ("ev",))
EVENTS_V1 = Resource("events.k8s.io", "v1", "Event", "events", True, ("ev",))
"""The same objects as `EVENTS`, under their newer names."""
QUOTAS = Resource("", "v1", "ResourceQuota", "resourcequotas", True, ("quota",), ("status",))
DEPLOYMENTS = Resource(
    "apps", "v1", "Deployment", "deployments", True, ("deploy",), ("status", "scale"), True
)
REPLICA_SETS = Resource(
    "apps", "v1", "ReplicaSet", "replicasets", True, ("rs",), ("status", "scale"), True
)
JOBS = Resource("batch", "v1", "Job", "jobs", True, (), ("status",), True)
PDBS = Resource(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True, ("pdb",), ("status",), True
)
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases", True)
STATEFUL_SETS = Resource(
    "apps", "v1", "StatefulSet", "statefulsets", True, ("sts",), ("status", "scale"), True
)
HPAS = Resource(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True, ("hpa",),
    ("status",),
)  # fmt: skip
PRIORITY_CLASSES = Resource(
    "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False, ("pc",), (), True
)
DEVICE_CLASSES = Resource(
    "resource.k8s.io", "v1", "DeviceClass", "deviceclasses", False, counts_generation=True
)
RESOURCE_SLICES = Resource(
    "resource.k8s.io", "v1", "ResourceSlice", "resourceslices", False, counts_generation=True
)
RESOURCE_CLAIMS = Resource(
    "resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", True, (), ("status",)
)
RESOURCE_CLAIM_TEMPLATES = Resource(
    "resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", True
)


def _custom(
    group: str,
    version: str,
    kind: str,
    plural: str,
    namespaced: bool,
    short_names: tuple[str, ...] = (),
    subresources: tuple[str, ...] = ("status",),
) -> Resource:
    return Resource(
        group, version, kind, plural, namespaced, short_names, subresources, True, custom=True
    )


_KUEUE = ("kueue.x-k8s.io", "v1beta2")
CLUSTER_QUEUES = _custom(*_KUEUE, "ClusterQueue", "clusterqueues", False, ("cq",))
LOCAL_QUEUES = _custom(*_KUEUE, "LocalQueue", "localqueues", True, ("lq", "queue", "queues"))
RESOURCE_FLAVORS = _custom(*_KUEUE, "ResourceFlavor", "resourceflavors", False, ("rf",), ())
WORKLOADS = _custom(*_KUEUE, "Workload", "workloads", True, ("wl",))
COHORTS = _custom(*_KUEUE, "Cohort", "cohorts", False)
ADMISSION_CHECKS = _custom(*_KUEUE, "AdmissionCheck", "admissionchecks", False)
WORKLOAD_PRIORITY_CLASSES = _custom(
    *_KUEUE, "WorkloadPriorityClass", "workloadpriorityclasses", False, (), ()
)
TOPOLOGIES = _custom(*_KUEUE, "Topology", "topologies", False, (), ())
SCALED_OBJECTS = _custom("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", True, ("so",))
LEADER_WORKER_SETS = _custom(
    "leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets", True, ("lws",),
    ("status", "scale"),
)  # fmt: skip
NODE_POOLS = _custom("karpenter.sh", "v1", "NodePool", "nodepools", False, (), ("status", "scale"))
NODE_CLAIMS = _custom("karpenter.sh", "v1", "NodeClaim", "nodeclaims", False)
MACHINE_DEPLOYMENTS = _custom(
    "cluster.x-k8s.io", "v1beta2", "MachineDeployment", "machinedeployments", True, ("md",),
    ("status", "scale"),
)  # fmt: skip
MACHINES = _custom("cluster.x-k8s.io", "v1beta2", "Machine", "machines", True, ("ma",))
HTTP_ROUTES = _custom("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", True)

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    EVENTS,
    EVENTS_V1,
    QUOTAS,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    PDBS,
    LEASES,
    STATEFUL_SETS,
    HPAS,
    PRIORITY_CLASSES,
    DEVICE_CLASSES,
    RESOURCE_SLICES,
    RESOURCE_CLAIMS,
    RESOURCE_CLAIM_TEMPLATES,
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    RESOURCE_FLAVORS,
    WORKLOADS,
    COHORTS,
    TOPOLOGIES,
    ADMISSION_CHECKS,
    WORKLOAD_PRIORITY_CLASSES,
    SCALED_OBJECTS,
    LEADER_WORKER_SETS,
    NODE_POOLS,
    NODE_CLAIMS,
    MACHINE_DEPLOYMENTS,
    MACHINES,
    HTTP_ROUTES,
)


class Registry:
    """Finds a resource by its path or by the kind of a body."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)
        self._by_path = {(r.group, r.version, r.plural): r for r in self.resources}
        self._by_kind = {(r.api_version, r.kind): r for r in self.resources}

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def groups(self) -> dict[str, list[str]]:
        """Named groups with their versions, in order of the table."""
        found: dict[str, list[str]] = {}
        for resource in self.resources:
            if resource.group and resource.version not in found.setdefault(resource.group, []):
                found[resource.group].append(resource.version)
        return found


REGISTRY = Registry(RESOURCES)
