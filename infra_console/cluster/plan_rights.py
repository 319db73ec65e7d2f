"""What our identity may do in a cluster, asked of the API itself, by what plans change there."""

from collections.abc import Mapping

from infra_console.cluster import rights

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
        what: [_words(right) for right in needed if not may(cluster_id, right)]
        for what, needed in NEEDED.items()
    }
    return {what: words for what, words in missing.items() if words}


def may(cluster_id: str, right: Right) -> bool:
    """Whether we may do this in every namespace."""
    group, resource, verb = right
    plural, _, sub = resource.partition("/")
    return rights.granted(cluster_id, rights.Right(verb, group, plural, part="", subresource=sub))


def _words(right: Right) -> str:
    _, resource, verb = right
    return f"{verb} {resource}"
