"""What pods ask for and what nodes have, resource by resource, in thousandths.

Every resource counts: GPUs, MIG instances and whatever else a device plug-in advertises, CPU,
memory, and the number of pods. A node that does not say how many pods or how much local storage it
takes is not limited in them.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tiers.twin.controllers.quantities import quantity
from tiers.twin.kube.resources import Obj

Amounts = dict[str, int]
PODS = "pods"
_UNLIMITED = frozenset({PODS, "ephemeral-storage"})


@lru_cache(maxsize=4096)
def thousandths(text: str) -> int:
    """A quantity, rounded up to a thousandth as the API rounds it."""
    return 1000 * int(text) if text.isdigit() else int(-(-(quantity(text) * 1000) // 1))


def requested(pod: Obj) -> Amounts:
    """What a pod takes of its node: containers together, or its hungriest step of starting."""
    spec = pod["spec"]
    total: Amounts = {PODS: 1000}
    for container in spec.get("containers") or ():
        _add(total, _asked(container))
    if "initContainers" in spec:
        total = _with_init(total, spec["initContainers"] or ())
    if "overhead" in spec:
        _add(total, {name: thousandths(str(v)) for name, v in (spec["overhead"] or {}).items()})
    return total


def _asked(container: Obj) -> Amounts:
    """Requests; a limit is a request where none is written."""
    resources: Mapping[str, Any] = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: thousandths(str(value)) for name, value in asked.items()}


def _with_init(total: Amounts, containers: Any) -> Amounts:
    """Init containers run one by one, beside the sidecars that were started before them."""
    sidecars: Amounts = {}
    most: Amounts = {}
    for container in containers:
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            asked = {}
        for name in {*asked, *sidecars}:
            most[name] = max(most.get(name, 0), asked.get(name, 0) + sidecars.get(name, 0))
    _add(total, sidecars)
    return {name: max(total.get(name, 0), most.get(name, 0)) for name in {**total, **most}}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def allocatable(node: Obj) -> Amounts:
    held = (node.get("status") or {}).get("allocatable") or {}
    return {name: thousandths(str(value)) for name, value in held.items()}


def _counted(asked: Amounts, free: Amounts) -> Iterator[tuple[str, int]]:
    for name, amount in asked.items():
        if amount and (name in free or name not in _UNLIMITED):
            yield name, amount


def lacking(asked: Amounts, free: Amounts) -> Amounts:
    """What is missing for it to fit; empty when it fits."""
    return {
        name: amount - free.get(name, 0)
        for name, amount in _counted(asked, free)
        if amount > free.get(name, 0)
    }


def take(free: Amounts, asked: Amounts, sign: int = 1) -> None:
    for name, amount in _counted(asked, free):
        free[name] = free.get(name, 0) - sign * amount


def times(asked: Amounts, free: Amounts) -> int | None:
    """How often the same request fits one after another; None for as often as one likes."""
    counts = [max(0, free.get(name, 0)) // amount for name, amount in _counted(asked, free)]
    return min(counts, default=None)
