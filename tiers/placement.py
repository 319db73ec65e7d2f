"""Which workloads could not run where, kept by each cycle for the page and the doctor."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from typing import Any

from infra_console.cluster.errors import ClusterError
from tiers.adapters.kubernetes_needs import read_needs, read_places
from tiers.core.fits import Place, WorkNeeds, obstacles
from tiers.facts import FleetFacts
from tiers.models import PlacementCheck

MAX_CLUSTERS_AT_ONCE = 6
Found = tuple[list[WorkNeeds], list[Place]]


def check_placement(facts: FleetFacts, clusters: Sequence[str], *, now: datetime) -> None:
    """Read what pods ask and nodes offer, and keep what does not meet; one cluster at a time may
    fail, and is then named."""

    def attempt(cluster: str) -> Found | str:
        try:
            return read_needs(cluster, facts), read_places(cluster, facts)
        except ClusterError as err:
            return str(err)

    with ThreadPoolExecutor(MAX_CLUSTERS_AT_ONCE) as threads:
        results = list(threads.map(attempt, clusters))
    for cluster, found in zip(clusters, results, strict=True):
        if isinstance(found, str):
            PlacementCheck.objects.update_or_create(
                cluster=cluster, defaults={"problem": found}, create_defaults={
                    "problem": found, "at": now,
                },
            )  # fmt: skip
        else:
            PlacementCheck.objects.update_or_create(
                cluster=cluster,
                defaults={"at": now, "rows": placement_rows(facts, *found), "problem": ""},
            )
    PlacementCheck.objects.exclude(cluster__in=facts.cluster_ids).delete()


def placement_rows(
    facts: FleetFacts, needs: Sequence[WorkNeeds], places: Sequence[Place]
) -> list[dict[str, Any]]:
    """A row for each workload and place that do not meet, with why and the stanzas."""
    memory = {p.gpu_type: p.gpu_memory_gib for p in facts.config.pools}
    rows = []
    for work in needs:
        for place in places:
            found = obstacles(work, place, tier_key=facts.tier_key, memory_gib=memory)
            if found:
                rows.append(
                    {
                        "namespace": work.namespace, "name": work.name, "tier": work.tier,
                        "pool": place.pool, "place_tier": place.tier, "nodes": place.nodes,
                        "own": place.tier == work.tier, "obstacles": [asdict(o) for o in found],
                    }
                )  # fmt: skip
    return rows
