"""Keeps the twin's world across restarts: one JSON file per cluster, one for what was done by hand.

Files are replaced whole and atomically. Requests in flight and the exporters' counters are not
kept: after a restart they begin at zero, as if every server process had been restarted.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tiers.twin.demand import Surge
from tiers.twin.files import TwinPaths
from tiers.twin.kube.files import write_private
from tiers.twin.kube.store import ClusterStore
from tiers.twin.misbehaviour import Misbehaviour


@dataclass
class ByHand:
    """What operators of the twin have made happen. Times are Unix seconds."""

    surges: list[Surge] = field(default_factory=list)
    dark_regions: list[str] = field(default_factory=list)
    exporters_down_until_s: float = 0.0
    exporters: Misbehaviour = field(default_factory=Misbehaviour)


def load_store(paths: TwinPaths, cluster: str) -> ClusterStore | None:
    """The cluster as it was kept, or None at the first start.

    Raises:
        ValueError: the file is not one of ours.
    """
    path = cluster_file(paths, cluster)
    if not path.exists():
        return None
    return ClusterStore.load(json.loads(path.read_text()))


def save_store(paths: TwinPaths, store: ClusterStore) -> None:
    text = json.dumps(store.dump(), separators=(",", ":"))
    write_private(cluster_file(paths, store.cluster), text.encode())


def cluster_file(paths: TwinPaths, cluster: str) -> Path:
    return paths.clusters / f"{cluster}.json"


def load_by_hand(paths: TwinPaths) -> ByHand:
    if not paths.world.exists():
        return ByHand()
    data = json.loads(paths.world.read_text())
    surges = [Surge(**surge) for surge in data.pop("surges")]
    exporters = Misbehaviour.load(data.pop("exporters", {}))
    return ByHand(surges=surges, exporters=exporters, **data)


def save_by_hand(paths: TwinPaths, by_hand: ByHand) -> None:
    write_private(paths.world, json.dumps(asdict(by_hand), indent=2).encode() + b"\n")
