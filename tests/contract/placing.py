"""Where pods go, as a test waits for it."""

from tests.contract.clusters import Cluster
from tests.contract.kinds import POD
from tests.contract.kube import condition, until
from tests.contract.played import is_ready


def bound(cluster: Cluster, space: str, name: str) -> str:
    """Waits until a pod is bound; the node's name."""
    return until(
        lambda: cluster.kube.get(POD, space, name)["spec"].get("nodeName", ""),
        f"{name} is bound",
        within_s=cluster.wait_s,
    )


def running(cluster: Cluster, space: str, name: str) -> str:
    """Waits until a pod is bound and Ready; the node's name."""
    node = bound(cluster, space, name)
    until(
        lambda: is_ready(cluster.kube.get(POD, space, name)),
        f"{name} is Ready",
        within_s=cluster.wait_s,
    )
    return node


def unschedulable(cluster: Cluster, space: str, name: str, why: str) -> str:
    """Waits until a pod is called Unschedulable for a reason; the whole message."""

    def said() -> str:
        found = condition(cluster.kube.get(POD, space, name), "PodScheduled")
        fits = found.get("reason") == "Unschedulable" and why in found.get("message", "")
        return found["message"] if fits else ""

    message = until(said, f"{name} is Unschedulable: {why}", within_s=cluster.wait_s)
    held = cluster.kube.get(POD, space, name)
    assert condition(held, "PodScheduled")["status"] == "False"
    assert held["status"]["phase"] == "Pending"
    assert "nodeName" not in held["spec"]
    return message


def gone(cluster: Cluster, space: str, name: str, *, within_s: float = 0.0) -> None:
    """Waits until a pod is away, or on its way: nobody may be there to finish it."""

    def left() -> bool:
        pod = cluster.kube.find(POD, space, name)
        return pod is None or "deletionTimestamp" in pod["metadata"]

    until(left, f"{name} leaves", within_s=within_s or cluster.wait_s)
