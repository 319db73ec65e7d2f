"""What our credentials may do in a cluster, by asking its authorizer: the one list of rights.

deploy/kubernetes grants these; whoever reads only holds none of the writes, which is a way to run.
A domain adds what its own steps need by naming the rights in settings.CLUSTER_RIGHTS.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string
from kubernetes.client import AuthorizationV1Api

from infra_console.cluster.answers import read_json
from infra_console.cluster.client import client_for
from infra_console.cluster.kueue import GROUP, serves_kueue


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
    """What is missing; `writes` says whether any write is allowed at all."""

    missing_reads: tuple[Right, ...]
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
    missing = {r for r in (*reads, *writes) if not granted(cluster_id, r)}
    return Rights(
        missing_reads=tuple(r for r in reads if r in missing),
        missing_writes=tuple(r for r in writes if r in missing),
        writes=any(r not in missing for r in writes),
    )


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
    call = AuthorizationV1Api(client_for(cluster_id)).create_self_subject_access_review
    answer = read_json(cluster_id, f"ask whether we may {right}", call, body=body)
    return bool((answer.get("status") or {}).get("allowed"))
