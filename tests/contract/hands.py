"""What a test may do behind the API: what the world does to a cluster, and no client can.

The twin lets all of it be done; on a real cluster each is a need that is not met (`probes`), but
for a node's silence, which the suite's own kubelet can keep.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tiers.twin.agents import sicken_node, take_capacity
from tiers.twin.controllers import gitops
from tiers.twin.controllers.nodes import fail_node
from tiers.twin.kube.store import ClusterStore

Obj = dict[str, Any]
Call = Callable[..., Any]


class Hands:
    """The twin's: every change is made on the loop that its controllers tick on."""

    def __init__(self, store: ClusterStore, call: Call) -> None:
        self._store, self._call = store, call
        self._averages: dict[tuple[str, str], float] = {}

    def metric(self, namespace: str, workload: str, _name: str) -> float | None:
        """What the metrics adapter answers."""
        return self._averages.get((namespace, workload))

    def measure(self, namespace: str, workload: str, average: float | None) -> None:
        """Let a workload's metric be so much per ready pod, or have no data."""
        if average is None:
            self._averages.pop((namespace, workload), None)
        else:
            self._averages[namespace, workload] = average

    def own(self, manifest: Obj) -> None:
        """Put a partial manifest into the GitOps agent's repository."""
        self._call(gitops.own, self._store, manifest, datetime.now(UTC))

    def disown(self, manifest: Obj) -> None:
        self._call(gitops.disown, self._store, manifest, datetime.now(UTC))

    def sicken(self, node: str, xid: int) -> None:
        """Let a GPU of a node report an error; 0 heals it."""
        self._call(sicken_node, self._store, node, xid)

    def sell_out(self, pool: str, *, minutes: float) -> None:
        """Let the cloud have no machine for a pool for a while; 0 ends it."""
        words = {"pool": pool, "minutes": minutes}
        self._call(take_capacity, self._store, datetime.now(UTC), words)

    def silence(self, node: str) -> None:
        self._call(fail_node, self._store, node, datetime.now(UTC))
