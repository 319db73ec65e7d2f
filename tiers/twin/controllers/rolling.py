"""How a Deployment goes from one template to the next: step by step, or all at once.

The new ReplicaSet grows as far as `maxSurge` allows. Old ones give up what was never available
first, as long as enough pods are there for `maxUnavailable`, and then what is available.
"""

from collections.abc import Iterator
from math import ceil
from typing import Any

from tiers.twin.kube.resources import Obj

Step = tuple[Obj, int]
"""A ReplicaSet and the replicas it is to have now."""


def allowances(deployment: Obj) -> tuple[int, int]:
    """Pods that may be there beyond the wanted number, and be missing from it."""
    spec = deployment["spec"]
    wanted, strategy = int(spec["replicas"]), spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, wanted
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    spare = min(wanted, _share(rolling.get("maxUnavailable", "25%"), wanted, up=False))
    return surge, spare if surge or spare else 1


def _share(value: Any, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(str(value).rstrip("%")) * of / 100
    return ceil(exact) if up else int(exact)


def steps(deployment: Obj, current: Obj, others: list[Obj], *, old_pods: bool) -> Iterator[Step]:
    """What each ReplicaSet gets in this round; `old_pods`: whether any is there, even leaving."""
    wanted = int(deployment["spec"]["replicas"])
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        yield from ((old, 0) for old in others)
        if not old_pods:
            yield current, wanted
        return
    old = [rs for rs in others if _asked(rs)]
    surge, spare = allowances(deployment)
    total = _asked(current) + sum(map(_asked, old))
    more = max(0, min(wanted + surge - total, wanted - _asked(current)))
    yield current, min(wanted, _asked(current) + more)
    yield from _shrink(current, old, least=wanted - spare)


def _shrink(current: Obj, old: list[Obj], *, least: int) -> Iterator[Step]:
    """Old pods that may go: the unavailable ones, then available ones beyond `least`."""
    missing = max(0, _asked(current) - _available(current))
    spare = _asked(current) + sum(map(_asked, old)) - least - missing
    beyond = _available(current) + sum(map(_available, old)) - least
    for rs in old:
        broken = max(0, min(spare, _asked(rs) - _available(rs)))
        whole = max(0, min(spare - broken, beyond, _asked(rs) - broken))
        spare, beyond = spare - broken - whole, beyond - whole
        yield rs, _asked(rs) - broken - whole


def outlived(deployment: Obj, others: list[Obj]) -> list[Obj]:
    """Old empty ReplicaSets beyond those that are kept for a way back."""
    empty = [rs for rs in others if not _asked(rs) and not _count(rs, "replicas")]
    empty.sort(key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]))
    kept = int(deployment["spec"].get("revisionHistoryLimit", 10))
    return empty[: max(0, len(empty) - kept)]


def _asked(replica_set: Obj) -> int:
    return int(replica_set["spec"]["replicas"])


def _available(replica_set: Obj) -> int:
    return min(_asked(replica_set), _count(replica_set, "availableReplicas"))


def _count(replica_set: Obj, name: str) -> int:
    return int(replica_set["status"].get(name, 0))
