"""What a queue says of its quota, and how an operator changes it."""

from tests.contract.kinds import CLUSTER_QUEUE, JOB

QUOTA = "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota"


def suspended(kube, space, job: str) -> bool:
    return kube.get(JOB, space, job)["spec"]["suspend"]


def usage(kube, queue: str) -> dict[str, int]:
    """GPUs of a ClusterQueue's first flavour: used, and of these borrowed."""
    found = (kube.get(CLUSTER_QUEUE, "", queue).get("status") or {}).get("flavorsUsage")
    if not found:
        return {}
    (held,) = found[0]["resources"]
    return {"total": int(held["total"]), "borrowed": int(held.get("borrowed", 0))}


def set_quota(kube, queue: str, before: int, after: int) -> None:
    body = [
        {"op": "test", "path": QUOTA, "value": str(before)},
        {"op": "replace", "path": QUOTA, "value": str(after)},
    ]
    kube.patch(CLUSTER_QUEUE, "", queue, body, "json")
