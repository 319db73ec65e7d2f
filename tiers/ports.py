"""What the compute domain asks of the outside."""

from collections.abc import Sequence
from typing import Protocol

from tiers.core.fleet_state import FleetState


class FleetReader(Protocol):
    """Reads nodes, pods and deployments of clusters; a cluster that fails is named, not raised."""

    def read(self, clusters: Sequence[str]) -> FleetState: ...
