"""What an autoscaler's metrics adapter would answer, from the physics of a cluster."""

from tiers.twin.physics import ClusterPhysics


def pod_metric(physics: ClusterPhysics, namespace: str, workload: str, metric: str) -> float | None:
    """Average per ready pod of a vLLM gauge; None for what has no data, as an adapter answers."""
    served = physics.models.get(workload) if namespace == "inference" else None
    if served is None or not served.replicas:
        return None
    totals = {
        "vllm:num_requests_waiting": served.service.waiting,
        "vllm:num_requests_running": served.service.running,
    }
    return totals[metric] / len(served.replicas) if metric in totals else None
