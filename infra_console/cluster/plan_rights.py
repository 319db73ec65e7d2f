"""What our identity may do in a cluster, asked of the API itself, by what plans change there."""

from collections.abc import Mapping

from kubernetes.client import AuthorizationV1Api

from infra_console.cluster.answers import read_json
from infra_console.cluster.client import client_for

# By what a plan changes: (API group, resource with its subresource, verb); all are needed.
Right = tuple[str, str, str]
NEEDED: Mapping[str, tuple[Right, ...]] = {
    "nodes": (("", "nodes", "patch"), ("", "pods/eviction", "create")),
    "deployments": (("apps", "deployments/scale", "update"), ("", "pods", "patch")),
    "sets": (
        ("apps", "statefulsets", "get"),
        ("apps", "statefulsets/scale", "update"),
        ("leaderworkerset.x-k8s.io", "leaderworkersets", "get"),
        ("leaderworkerset.x-k8s.io", "leaderworkersets/scale", "update"),
    ),
    "bounds": (
        ("autoscaling", "horizontalpodautoscalers", "patch"),
        ("keda.sh", "scaledobjects", "patch"),
    ),
    "quotas": (("", "resourcequotas", "patch"),),
    "machines": (
        ("cluster.x-k8s.io", "machinedeployments/scale", "update"),
        ("cluster.x-k8s.io", "machines", "patch"),
        ("karpenter.sh", "nodepools", "patch"),
        ("karpenter.sh", "nodepools/scale", "update"),
        ("karpenter.sh", "nodeclaims", "list"),
    ),
}


def lacking(cluster_id: str) -> dict[str, list[str]]:
    """What is not granted, in words, by what plans cannot change then. Raises ClusterError."""
    missing = {
        what: [_words(right) for right in rights if not may(cluster_id, right)]
        for what, rights in NEEDED.items()
    }
    return {what: words for what, words in missing.items() if words}


def may(cluster_id: str, right: Right) -> bool:
    """Whether we may do this in every namespace."""
    group, resource, verb = right
    plural, _, sub = resource.partition("/")
    asked = {"group": group, "resource": plural, "subresource": sub, "verb": verb}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    call = AuthorizationV1Api(client_for(cluster_id)).create_self_subject_access_review
    answer = read_json(cluster_id, f"ask about {_words(right)}", call, body=body)
    return bool((answer.get("status") or {}).get("allowed"))


def _words(right: Right) -> str:
    _, resource, verb = right
    return f"{verb} {resource}"
