"""What our credentials may do in a cluster, by asking its authorizer.

deploy/kubernetes grants these; whoever reads only holds none of the writes, which is a way to run.
"""

from dataclasses import dataclass

from kubernetes.client import AuthorizationV1Api

from infra_console.cluster.answers import read_json
from infra_console.cluster.client import client_for
from infra_console.cluster.kueue import GROUP, serves_kueue


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource; `part` is what of the console needs it."""

    verb: str
    group: str
    resource: str
    part: str
    subresource: str = ""

    def __str__(self) -> str:
        whole = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {whole}"


NODES, KUEUE = "nodes and services", "Kueue"
READS = (
    Right("list", "", "nodes", NODES),
    Right("list", "", "pods", NODES),
    Right("get", "apps", "deployments", NODES),
    Right("get", GROUP, "clusterqueues", KUEUE),
    Right("list", GROUP, "workloads", KUEUE),
)
WRITES = (
    Right("patch", "", "nodes", NODES),
    Right("patch", "", "pods", NODES),
    Right("create", "", "pods", NODES, "eviction"),
    Right("update", "apps", "deployments", NODES, "scale"),
    Right("patch", GROUP, "clusterqueues", KUEUE),
    Right("patch", GROUP, "workloads", KUEUE),
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What is missing; `writes` says whether any write is allowed at all."""

    missing_reads: tuple[Right, ...]
    missing_writes: tuple[Right, ...]
    writes: bool


def review_rights(cluster_id: str) -> Rights:
    """Ask about every right that the console uses there; Kueue's only where it is served.

    Raises:
        ClusterError: the cluster cannot be asked.
    """
    parts = {NODES, KUEUE} if serves_kueue(cluster_id) else {NODES}
    reads = [r for r in READS if r.part in parts]
    writes = [r for r in WRITES if r.part in parts]
    missing = {r for r in (*reads, *writes) if not granted(cluster_id, r)}
    return Rights(
        missing_reads=tuple(r for r in reads if r in missing),
        missing_writes=tuple(r for r in writes if r in missing),
        writes=any(r not in missing for r in writes),
    )


def granted(cluster_id: str, right: Right) -> bool:
    """Whether the authorizer allows it in every namespace. Raises ClusterError."""
    asked = {"verb": right.verb, "group": right.group, "resource": right.resource}
    if right.subresource:
        asked["subresource"] = right.subresource
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    call = AuthorizationV1Api(client_for(cluster_id)).create_self_subject_access_review
    answer = read_json(cluster_id, f"ask whether we may {right}", call, body=body)
    return bool((answer.get("status") or {}).get("allowed"))
