"""Nodes as they stand now, read with one list a cluster.

A plan of two hundred nodes that asked for each of them would meet every tenth request that a
troubled API refuses, and never have them all.
"""

from infra_console.cluster.errors import ClusterError, ObjectMissing
from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import list_nodes


class Nodes:
    """Reads each cluster at most once; what failed is told again for each of its nodes."""

    def __init__(self) -> None:
        self._read: dict[str, dict[str, NodeState] | ClusterError] = {}

    def get(self, cluster: str, name: str) -> NodeState:
        """One node.

        Raises:
            ObjectMissing: it is not there. ClusterError: the cluster's nodes could not be read.
        """
        if cluster not in self._read:
            self._read[cluster] = _of(cluster)
        held = self._read[cluster]
        if isinstance(held, ClusterError):
            raise held
        if name not in held:
            raise ObjectMissing(cluster, f"node {name} is not there")
        return held[name]


def _of(cluster: str) -> dict[str, NodeState] | ClusterError:
    try:
        return {node.name: node for node in list_nodes(cluster)}
    except ClusterError as err:
        return err
