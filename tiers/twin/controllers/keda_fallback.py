"""KEDA's fallback: the number to go to when a trigger has failed too often to be asked.

The metrics server asks at each HPA period; failures in a row are counted in
`status.health` by metric, and the first good answer ends them.
"""

from datetime import datetime

from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.store import ClusterStore

HPA_PERIOD_S = 15.0
_SINCE = "keda-failing-since-ms/"


def failures(
    store: ClusterStore, scaled: Obj, now: datetime, config: ControllerConfig, *, failing: bool
) -> int:
    """How often in a row its triggers could not be read."""
    name, now_ms = f"{_SINCE}{scaled['metadata']['uid']}", round(now.timestamp() * 1000)
    if not failing:
        store.counters.pop(name, None)
        return 0
    since_ms = store.counters.setdefault(name, now_ms)
    return 1 + int((now_ms - since_ms) / (1000 * config.shortened(HPA_PERIOD_S)))


def replicas(scaled: Obj, failed: int, current: int) -> int | None:
    """What the triggers are taken to ask for meanwhile; None without or before a fallback."""
    fallback = scaled["spec"].get("fallback")
    if not fallback or failed <= int(fallback["failureThreshold"]):
        return None
    number = int(fallback["replicas"])
    match fallback.get("behavior", "static"):
        case "currentReplicas":
            return current
        case "currentReplicasIfHigher":
            return max(current, number)
        case "currentReplicasIfLower":
            return min(current, number)
    return number


def health(names: list[str], failed: int) -> Obj:
    status = "Failing" if failed else "Happy"
    return {name: {"numberOfFailures": failed, "status": status} for name in names}
