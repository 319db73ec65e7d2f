"""What our credentials may do in a cluster, by asking its authorizer: the one list of rights.

deploy/kubernetes grants these; whoever reads only holds none of the writes, which is a way to run.
A domain adds what its own steps need by naming the rights in settings.CLUSTER_RIGHTS.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from django.conf import settings
from django.utils.module_loading import import_string
from kubernetes import client as kubernetes

from infra_console.cluster.answers import read_json
from infra_console.cluster.bounds import HPA, SCALED_OBJECT
from infra_console.cluster.caps import NODE_POOL
from infra_console.cluster.client import client_for
from infra_console.cluster.kueue import GROUP, serves_kueue
from infra_console.cluster.places import Kind, serves
from infra_console.cluster.routes import ROUTE
from infra_console.cluster.scaling import KINDS
from infra_console.fleet.queries import current_fleet


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource, or on a part of it: `pods/eviction`."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


LWS, CAPI, KARPENTER = "leaderworkerset.x-k8s.io", "cluster.x-k8s.io", "karpenter.sh"
READS = (
    Right("list", "", "nodes"),
    Right("list", "", "pods"),
    Right("get", "apps", "deployments"),
    Right("get", GROUP, "clusterqueues"),
    Right("list", GROUP, "workloads"),
)
HTTP_ROUTE = Kind(ROUTE.group, ROUTE.version, ROUTE.kind, ROUTE.plural)
# What the reader looks at beside these: workloads of these kinds where the fleet has some, ...
OF_WORKLOADS: Mapping[str, tuple[Right, ...]] = {
    kind: tuple(Right(verb, KINDS[kind].group, KINDS[kind].plural) for verb in ("get", "list"))
    for kind in ("StatefulSet", "LeaderWorkerSet")
}
# ... kinds that need not be served, ...
WHERE_SERVED: Mapping[Kind, tuple[Right, ...]] = {
    kind: tuple(Right(verb, kind.group, kind.plural) for verb in verbs)
    for kind, verbs in (
        (SCALED_OBJECT, ("get", "list")),
        (KINDS[NODE_POOL], ("list",)),
        (HTTP_ROUTE, ("get", "list")),
    )
}
# ... and what there is everywhere: who owns replicas, and why work waits.
EVERYWHERE = (
    Right("get", HPA.group, HPA.plural),
    Right("list", HPA.group, HPA.plural),
    Right("list", "", "resourcequotas"),
)
# By what plans change; all of one kind are needed to change it. What stands in targets.yaml an
# operator may leave out.
CHANGES: Mapping[str, tuple[Right, ...]] = {
    "nodes": (Right("patch", "", "nodes"), Right("create", "", "pods/eviction")),
    "deployments": (Right("update", "apps", "deployments/scale"), Right("patch", "", "pods")),
    "sets": (
        Right("get", "apps", "statefulsets"),
        Right("update", "apps", "statefulsets/scale"),
        Right("get", LWS, "leaderworkersets"),
        Right("update", LWS, "leaderworkersets/scale"),
    ),
    "bounds": (
        Right("patch", "autoscaling", "horizontalpodautoscalers"),
        Right("patch", "keda.sh", "scaledobjects"),
    ),
    "quotas": (Right("patch", "", "resourcequotas"),),
    "owners of replicas": (
        Right("patch", "apps", "deployments"),
        Right("patch", "apps", "statefulsets"),
        Right("patch", LWS, "leaderworkersets"),
    ),
    "machines": (
        Right("update", CAPI, "machinedeployments/scale"),
        Right("patch", CAPI, "machines"),
        Right("patch", KARPENTER, "nodepools"),
        Right("update", KARPENTER, "nodepools/scale"),
        Right("list", KARPENTER, "nodeclaims"),
    ),
}
# What every executor holds, or none of it.
WRITES = (
    *CHANGES["nodes"],
    *CHANGES["deployments"],
    Right("patch", GROUP, "clusterqueues"),
    Right("patch", GROUP, "workloads"),
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What is missing; `writes` says whether any write is allowed at all.

    `missing_looks` are reads of the reader's role alone: an executor needs none of them.
    """

    missing_reads: tuple[Right, ...]
    missing_looks: tuple[Right, ...]
    missing_writes: tuple[Right, ...]
    writes: bool


def is_kueues(right: Right) -> bool:
    """Whether kueue.yaml grants it, and not rbac.yaml."""
    return right.group == GROUP


def review_rights(cluster_id: str) -> Rights:
    """Ask about every right that the console uses there; Kueue's only where it is served.

    Raises:
        ClusterError: the cluster cannot be asked.
    """
    served = serves_kueue(cluster_id)
    reads, writes = ([r for r in rs if served or not is_kueues(r)] for rs in (READS, WRITES))
    looks = tuple(_looks(cluster_id))
    missing = {r for r in (*reads, *looks, *writes) if not granted(cluster_id, r)}
    return Rights(
        missing_reads=tuple(r for r in reads if r in missing),
        missing_looks=tuple(r for r in looks if r in missing),
        missing_writes=tuple(r for r in writes if r in missing),
        writes=any(r not in missing for r in writes),
    )


def _looks(cluster_id: str) -> Iterator[Right]:
    """What else the reader reads there, by the fleet's workloads and the kinds that are served."""
    fleet = current_fleet()
    kinds = {w.kind for w in fleet.workloads} if fleet else set()
    for kind, rights in OF_WORKLOADS.items():
        if kind in kinds:
            yield from rights
    yield from EVERYWHERE
    for served, rights in WHERE_SERVED.items():
        if serves(cluster_id, served):
            yield from rights


def rule_words(rights: Iterable[Right]) -> str:
    """The rules of a ClusterRole that grant these."""
    rules = [
        f'{{apiGroups: ["{group}"], resources: [{resource}], '
        f"verbs: [{', '.join(dict.fromkeys(r.verb for r in same))}]}}"
        for (group, resource), same in groupby(rights, key=lambda r: (r.group, r.resource))
    ]
    return ", ".join(rules)


def changes() -> dict[str, tuple[Right, ...]]:
    """What plans may change, the domains' own among it, with the rights that each needs."""
    return {**CHANGES, **{what: import_string(p) for what, p in settings.CLUSTER_RIGHTS.items()}}


def lacking(cluster_id: str) -> dict[str, list[Right]]:
    """What is not granted, by what plans cannot change then. Raises ClusterError."""
    missing = {
        what: [right for right in needed if not granted(cluster_id, right)]
        for what, needed in changes().items()
    }
    return {what: rights for what, rights in missing.items() if rights}


def granted(cluster_id: str, right: Right) -> bool:
    """Whether the authorizer allows it in every namespace. Raises ClusterError."""
    plural, _, part = right.resource.partition("/")
    asked = {"verb": right.verb, "group": right.group, "resource": plural}
    if part:
        asked["subresource"] = part
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    call = kubernetes.AuthorizationV1Api(client_for(cluster_id)).create_self_subject_access_review
    answer = read_json(cluster_id, f"ask whether we may {right}", call, body=body)
    return bool((answer.get("status") or {}).get("allowed"))
