"""What serves as one: a pod of a Deployment or StatefulSet, or a whole group of a LeaderWorkerSet.

A tensor-parallel group serves while every one of its pods is there and ready; its leader answers
for it, requests and metrics alike. The workload's name says which model it serves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tiers.twin.view import PodView

NAMESPACE = "inference"


@dataclass(frozen=True)
class ServingUnit:
    """One replica: the pod that answers, and all that must be up for it to do so."""

    lead: PodView
    pods: tuple[PodView, ...]
    size: int = 1

    @property
    def whole(self) -> bool:
        return len(self.pods) == self.size and all(pod.ready or pod.leaving for pod in self.pods)

    @property
    def leaving(self) -> bool:
        return any(pod.leaving for pod in self.pods)

    @property
    def gpus(self) -> int:
        return sum(pod.gpus for pod in self.pods)


def serving_units(pods: Iterable[PodView]) -> dict[str, list[ServingUnit]]:
    """The units of the inference tier by the workload they belong to, whole or not."""
    found: dict[str, list[ServingUnit]] = {}
    groups: dict[tuple[str, str], list[PodView]] = {}
    for pod in pods:
        if pod.namespace != NAMESPACE:
            continue
        if pod.group:
            groups.setdefault((pod.workload, pod.group), []).append(pod)
        else:
            found.setdefault(pod.workload, []).append(ServingUnit(pod, (pod,)))
    for (workload, _), members in groups.items():
        lead = next((pod for pod in members if pod.is_leader), None)
        if lead is not None:
            unit = ServingUnit(lead, tuple(members), lead.group_size)
            found.setdefault(workload, []).append(unit)
    return found
