"""Reading API objects as kube-state-metrics does: quantities, times, conditions, counts."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import ceil
from typing import Any

from tiers.twin.exporters.text import Row, labels
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.times import parse_time

STATES = ("true", "false", "unknown")
_SUFFIXES = {
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
}  # fmt: skip
_BYTES = ("memory", "storage", "ephemeral-storage")
_BYTE_PREFIXES = ("hugepages-", "attachable-volumes-")


@lru_cache(maxsize=4096)
def sanitise(name: str) -> str:
    """A Kubernetes name as kube-state-metrics makes it a label or resource name."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


@lru_cache(maxsize=4096)
def quantity(text: str) -> float:
    """A Kubernetes quantity (`8`, `500m`, `1900Gi`) as a number."""
    for suffix, factor in _SUFFIXES.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def unit_of(resource: str) -> str:
    """The unit label of a resource; empty for one that is not exported."""
    if resource == "cpu":
        return "core"
    if resource in _BYTES or resource.startswith(_BYTE_PREFIXES):
        return "byte"
    return "integer" if resource == "pods" or "/" in resource else ""


def resources(amounts: Obj | None) -> Iterator[Row]:
    """Resource and unit of every amount that is exported."""
    for name, amount in (amounts or {}).items():
        if unit := unit_of(name):
            pairs = labels({"resource": sanitise(name), "unit": unit})
            yield pairs, quantity(str(amount))


@lru_cache(maxsize=65536)
def seconds(text: str) -> float:
    """An API time as Unix seconds."""
    return parse_time(text).timestamp()


def spec(obj: Obj) -> Obj:
    return obj.get("spec") or {}


def status(obj: Obj) -> Obj:
    return obj.get("status") or {}


def created(obj: Obj) -> float | None:
    return _time(obj["metadata"].get("creationTimestamp"))


def deleted(obj: Obj) -> float | None:
    return _time(obj["metadata"].get("deletionTimestamp"))


def generation(obj: Obj) -> float | None:
    found = obj["metadata"].get("generation")
    return None if found is None else float(found)


def time_at(*path: str) -> Callable[[Obj], float | None]:
    """Reads a time at a path; None where there is none."""
    return lambda obj: _time(_at(obj, path))


def count_at(*path: str) -> Callable[[Obj], float]:
    """Reads a count at a path; the API leaves out zeros."""
    return lambda obj: float(_at(obj, path) or 0)


def known_at(*path: str) -> Callable[[Obj], float | None]:
    """Reads a number or truth at a path; None where there is none."""

    def read(obj: Obj) -> float | None:
        found = _at(obj, path)
        return None if found is None else float(found)

    return read


def condition(obj: Obj, kind: str) -> Obj | None:
    return next((c for c in status(obj).get("conditions") or () if c["type"] == kind), None)


def state_rows(state: str, name: str = "condition") -> Iterator[Row]:
    """One row a state, 1 for the one that holds."""
    for one in STATES:
        yield f'{name}="{one}"', float(one == state.lower())


def condition_rows(obj: Obj, *, reason: bool = False) -> Iterator[Row]:
    """Three rows a condition, as for nodes and autoscalers."""
    for found in status(obj).get("conditions") or ():
        pairs = {"condition": found["type"]}
        pairs |= {"reason": found.get("reason", "")} if reason else {}
        for pair, holds in state_rows(found["status"], "status"):
            yield f"{labels(pairs)},{pair}", holds


def owner_rows(obj: Obj) -> Iterator[Row]:
    """The owners of an object, or one row of empty labels."""
    owners: list[Obj] = obj["metadata"].get("ownerReferences") or [{}]
    for owner in owners:
        controller = owner.get("controller")
        yield (
            labels(
                {
                    "owner_kind": owner.get("kind", ""),
                    "owner_name": owner.get("name", ""),
                    "owner_is_controller": str(bool(controller)).lower() if owner else "",
                }
            ),
            1.0,
        )


def share(amount: Any, of: int, *, up: bool) -> float:
    """An int-or-percent field as a number of replicas."""
    if not isinstance(amount, str):
        return float(amount)
    exact = float(amount.rstrip("%")) * of / 100.0
    return float(ceil(exact) if up else int(exact))


def named(kind: str) -> Callable[[Obj], str]:
    """The labels of a namespaced object: its namespace and its name under its kind's label."""

    def identify(obj: Obj) -> str:
        meta = obj["metadata"]
        return labels({"namespace": meta.get("namespace", ""), kind: meta["name"]})

    return identify


def _at(obj: Obj, path: tuple[str, ...]) -> Any:
    found: Any = obj
    for key in path:
        found = (found or {}).get(key)
    return found


def _time(text: str | None) -> float | None:
    return seconds(text) if text else None
