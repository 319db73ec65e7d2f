"""The fleet file's facts in the words of the core."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra_console.fleet.config import SERVICES, FleetConfig, WorkloadConfig
from tiers.core.changes import WorkloadFacts
from tiers.core.classify import PoolFacts, first_label


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """Everything static that reading and planning need, indexed once."""

    config: FleetConfig
    pools_by_cluster: Mapping[str, tuple[PoolFacts, ...]]
    region_of: Mapping[str, str]
    workloads: Mapping[str, WorkloadConfig]

    @property
    def tier_key(self) -> str:
        return self.config.tiers.label_key

    @property
    def cluster_ids(self) -> tuple[str, ...]:
        return tuple(c.id for c in self.config.clusters)

    def floor_gpus(self, tier: str) -> int:
        """GPUs that the tier keeps in every cluster."""
        return {str(t): gpus for t, gpus in self.config.tiers.floor_gpus.items()}.get(tier, 0)

    def tier_of_namespace(self, namespace: str) -> str | None:
        return self.config.tiers.namespaces.get(namespace)

    def namespaces_of_tier(self, tier: str) -> tuple[str, ...]:
        """The namespaces whose pods are of the tier; one of its own name where none is mapped."""
        return tuple(n for n, t in self.config.tiers.namespaces.items() if t == tier) or (tier,)

    def asking_namespaces(self, workload: WorkloadConfig) -> set[str]:
        """Where the pods ask that are a workload's demand in GPUs.

        A queue stands for its tier (`queue_workload`): for all its namespaces without services.
        """
        if workload.kind in SERVICES:
            return {workload.namespace}
        served = {w.namespace for w in self.services().values()}
        return {workload.namespace} | set(self.namespaces_of_tier(workload.tier)) - served

    def team_of(self, namespace: str, labels: Mapping[str, str]) -> str:
        """The team that owns a pod, by its labels or its namespace; empty where none is named."""
        named = self.config.labels
        return first_label(labels, named.team) or named.team_of_namespace.get(namespace, "")

    def services(self) -> dict[str, WorkloadConfig]:
        """Workloads that are one Deployment or numbered set each, by (namespace/name)."""
        return {f"{w.namespace}/{w.name}": w for w in self.workloads.values() if w.kind in SERVICES}

    def queue_workload(self, tier: str | None) -> str:
        """The workload that stands for a whole tier's namespace, or an empty string."""
        return next(
            (w.id for w in self.workloads.values() if w.tier == tier and w.kind not in SERVICES), ""
        )

    def move_facts(self) -> tuple[WorkloadFacts, ...]:
        return tuple(
            WorkloadFacts(
                id=w.id,
                tier=w.tier,
                group_gpus=w.group_gpus,
                namespace=w.namespace,
                deployment=w.name if w.kind in SERVICES else "",
                floor_groups=w.floor_groups,
                spot_ok=w.spot_ok,
            )
            for w in self.workloads.values()
        )

    def smallest_group(self) -> dict[tuple[str, str], int]:
        """GPUs of the smallest group by (tier, GPU type)."""
        smallest: dict[tuple[str, str], int] = {}
        for workload in self.workloads.values():
            for gpu_type, gpus in workload.group_gpus.items():
                key = (workload.tier, gpu_type)
                smallest[key] = min(gpus, smallest.get(key, gpus))
        return smallest

    def pool_families(self) -> dict[str, str]:
        """Pools whose nodes a Deployment uses alike: one GPU type, spot apart from the rest."""
        return {
            p.id: f"{p.cluster}/{p.gpu_type}{'/spot' if p.purchase == 'spot' else ''}"
            for p in self.config.pools
        }


def fleet_facts(config: FleetConfig) -> FleetFacts:
    pools: dict[str, list[PoolFacts]] = {c.id: [] for c in config.clusters}
    for pool in config.pools:
        pools[pool.cluster].append(
            PoolFacts(
                pool.id,
                pool.cluster,
                pool.gpu_type,
                dict(pool.selector),
                spot=pool.purchase == "spot",
            )
        )
    return FleetFacts(
        config=config,
        pools_by_cluster={cluster: tuple(found) for cluster, found in pools.items()},
        region_of={c.id: c.region for c in config.clusters},
        workloads={w.id: w for w in config.workloads},
    )
