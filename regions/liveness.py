"""Whether a region lives, as far as can be told from here: its APIs are asked, then its metrics."""

from collections.abc import Iterable
from typing import Literal

from infra_console.cluster.errors import ClusterError, ClusterNotConfigured, ClusterUnavailable
from infra_console.cluster.reads import read_version
from infra_console.fleet.queries import list_clusters
from regions.queries import region_states

Life = Literal["lives", "lost", "unsure"]
MEASURED = frozenset({"live", "delayed"})


def life_of(regions: Iterable[str]) -> dict[str, Life]:
    """A region is lost when none of its APIs answers and nothing fresh is measured of it; unsure
    when the two disagree."""
    wanted = set(regions)
    clusters: dict[str, list[str]] = {region: [] for region in wanted}
    for cluster in list_clusters():
        clusters.setdefault(cluster.region_id, []).append(cluster.id)
    silent = {r for r in wanted if not any(map(_answers, clusters[r]))}
    measured = {s.id for s in region_states() if s.state in MEASURED} if silent else set()
    return {
        region: "lives" if region not in silent else "unsure" if region in measured else "lost"
        for region in sorted(wanted)
    }


def _answers(cluster: str) -> bool:
    """Whether the API answers; one that knows us not is there all the same."""
    try:
        read_version(cluster)
    except (ClusterUnavailable, ClusterNotConfigured):
        return False
    except ClusterError:
        return True
    return True
