"""How the parts of each kind merge: which lists go by key, and what is replaced whole.

One tree a kind, read by strategic merge and by server-side apply. A part that the tree does not
name has the API's default: an object merges member by member, a list is atomic. Built-in kinds
follow the `patchMergeKey`, `listType` and `mapType` markers of the Kubernetes API, custom ones the
`x-kubernetes-list-type` of their CustomResourceDefinition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    COHORTS,
    DEPLOYMENTS,
    HPAS,
    HTTP_ROUTES,
    JOBS,
    LEADER_WORKER_SETS,
    LOCAL_QUEUES,
    MACHINE_DEPLOYMENTS,
    MACHINES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    REPLICA_SETS,
    RESOURCE_CLAIMS,
    STATEFUL_SETS,
    TOPOLOGIES,
    WORKLOADS,
    Resource,
)

DEFAULT_KEY_VALUES: dict[str, str] = {"protocol": "TCP", "whenUnsatisfiable": "DoNotSchedule"}


@dataclass(frozen=True)
class Shape:
    """How one part merges, and its parts; for a list, `fields` are those of an element."""

    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    """What names an element in server-side apply; none means that the list is atomic there."""
    merge_key: str = ""
    """What names an element in a strategic merge patch; none means that the list is replaced."""
    is_set: bool = False
    atomic: bool = False
    """An object that one manager owns whole in server-side apply."""
    replace: bool = False
    """An object that a strategic merge patch replaces whole."""

    def child(self, name: str) -> "Shape":
        return self.fields.get(name, PLAIN)

    def element_key(self, item: Any) -> tuple[tuple[str, Any], ...] | None:
        """What names an element in server-side apply, defaults filled in; None if it lacks it."""
        if not self.keys or not isinstance(item, dict):
            return None
        found = tuple((name, item.get(name, DEFAULT_KEY_VALUES.get(name))) for name in self.keys)
        return found if all(value is not None for _, value in found) else None


PLAIN = Shape()


def fields(**parts: Shape) -> Shape:
    return Shape(fields=parts)


def keyed(*keys: str, **parts: Shape) -> Shape:
    return Shape(fields=parts, keys=keys, merge_key=keys[0])


ATOMIC = Shape(atomic=True)
SET = Shape(is_set=True)
BY_NAME = keyed("name")
CONDITIONS = keyed("type")
SELECTOR = Shape(atomic=True)
METADATA = fields(ownerReferences=keyed("uid"), finalizers=SET)

CONTAINER = {
    "env": keyed("name", valueFrom=fields(configMapKeyRef=ATOMIC, secretKeyRef=ATOMIC,
                                          fieldRef=ATOMIC, resourceFieldRef=ATOMIC)),
    "ports": keyed("containerPort", "protocol"),
    "volumeMounts": keyed("mountPath"),
    "volumeDevices": keyed("devicePath"),
    "resources": fields(claims=BY_NAME),
}  # fmt: skip
_AFFINITY = fields(
    nodeAffinity=fields(requiredDuringSchedulingIgnoredDuringExecution=ATOMIC),
)
POD_SPEC = fields(
    containers=keyed("name", **CONTAINER),
    initContainers=keyed("name", **CONTAINER),
    ephemeralContainers=keyed("name", **CONTAINER),
    volumes=BY_NAME,
    imagePullSecrets=BY_NAME,
    hostAliases=keyed("ip"),
    resourceClaims=BY_NAME,
    schedulingGates=BY_NAME,
    topologySpreadConstraints=keyed("topologyKey", "whenUnsatisfiable", labelSelector=SELECTOR),
    nodeSelector=ATOMIC,
    affinity=_AFFINITY,
)
TEMPLATE = fields(metadata=METADATA, spec=POD_SPEC)
_REPLICATED = fields(selector=SELECTOR, template=TEMPLATE)
_WITH_CONDITIONS = fields(conditions=CONDITIONS)


_SHAPES: dict[Resource, dict[str, Shape]] = {
    NAMESPACES: {"status": _WITH_CONDITIONS},
    NODES: {
        "spec": fields(podCIDRs=SET),
        "status": fields(conditions=CONDITIONS, addresses=keyed("type")),
    },
    PODS: {
        "spec": POD_SPEC,
        "status": fields(
            conditions=CONDITIONS, podIPs=keyed("ip"), resourceClaimStatuses=BY_NAME,
            hostIPs=Shape(merge_key="ip"),
        ),
    },
    DEPLOYMENTS: {"spec": _REPLICATED, "status": _WITH_CONDITIONS},
    REPLICA_SETS: {"spec": _REPLICATED, "status": _WITH_CONDITIONS},
    STATEFUL_SETS: {"spec": _REPLICATED, "status": _WITH_CONDITIONS},
    # A Job's conditions are atomic for apply, and still merge by type in a patch.
    JOBS: {"spec": _REPLICATED, "status": fields(conditions=Shape(merge_key="type"))},
    HPAS: {"status": _WITH_CONDITIONS},
    PDBS: {
        "spec": fields(selector=Shape(atomic=True, replace=True)),
        "status": _WITH_CONDITIONS,
    },
    RESOURCE_CLAIMS: {
        "status": fields(
            reservedFor=keyed("uid"),
            devices=keyed("driver", "device", "pool", conditions=CONDITIONS),
        )
    },
    # ClusterQueue's resourceGroups is one atomic list: applying one quota would own them all.
    CLUSTER_QUEUES: {
        "spec": fields(
            namespaceSelector=SELECTOR,
            admissionChecksStrategy=fields(admissionChecks=BY_NAME),
        ),
        "status": fields(conditions=CONDITIONS, flavorsReservation=BY_NAME, flavorsUsage=BY_NAME),
    },
    LOCAL_QUEUES: {
        "status": fields(conditions=CONDITIONS, flavorsReservation=BY_NAME, flavorsUsage=BY_NAME)
    },
    COHORTS: {},
    WORKLOADS: {
        "spec": fields(podSets=keyed("name", template=TEMPLATE)),
        "status": fields(
            conditions=CONDITIONS, admissionChecks=BY_NAME, reclaimablePods=BY_NAME,
            resourceRequests=BY_NAME, unhealthyNodes=BY_NAME, nominatedClusterNames=SET,
            admission=fields(podSetAssignments=BY_NAME),
        ),
    },
    TOPOLOGIES: {},
    LEADER_WORKER_SETS: {
        "spec": fields(leaderWorkerTemplate=fields(leaderTemplate=TEMPLATE,
                                                   workerTemplate=TEMPLATE)),
    },
    MACHINE_DEPLOYMENTS: {"spec": fields(selector=SELECTOR), "status": _WITH_CONDITIONS},
    MACHINES: {"status": fields(conditions=CONDITIONS, addresses=PLAIN)},
    HTTP_ROUTES: {},
}  # fmt: skip

_ALWAYS_THERE: tuple[tuple[str, ...], ...] = (
    (), ("f:metadata",), ("f:spec",), ("f:status",),
    ("f:spec", "f:strategy"), ("f:spec", "f:updateStrategy"), ("f:spec", "f:containers"),
    ("f:spec", "f:template"), ("f:spec", "f:template", "f:metadata"),
    ("f:spec", "f:template", "f:spec"), ("f:spec", "f:template", "f:spec", "f:containers"),
    ("f:spec", "f:scaleTargetRef"), ("f:spec", "f:devices"),
)  # fmt: skip


def shape_of(resource: Resource) -> Shape:
    """The whole object's shape."""
    return Shape(fields={"metadata": METADATA, **_SHAPES.get(resource, {})})


def never_owned(resource: Resource) -> frozenset[tuple[str, ...]]:
    """Paths that nobody adds: Go's structs without a pointer are there in an empty object too."""
    if resource.custom:
        return frozenset({(), ("f:metadata",)})
    return frozenset(_ALWAYS_THERE)
