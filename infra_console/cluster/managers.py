"""Who owns a field of an object, from its `metadata.managedFields`.

An update that changed a field owns it, through `scale` too, and an apply owns what it sends.
Managers of the status write what controllers see, not what anybody wants; ours is left out: these
are the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra_console.cluster.client import FIELD_MANAGER

# What the server writes down of objects that nobody recorded before: no manager at all.
UNRECORDED = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Manager:
    """One other writer. One that applies comes back and sets its value again."""

    name: str
    applies: bool


def other_owners(item: Mapping[str, Any], path: Sequence[str]) -> tuple[Manager, ...]:
    """Everybody but us who owns the field at `path`, in the words of the API (`spec`, `active`).

    Empty where nobody is recorded: objects without managedFields tell nothing.
    """
    steps = [f"f:{part}" for part in path]
    entries = item["metadata"].get("managedFields") or ()
    found = {
        Manager(e.get("manager", ""), e.get("operation") == "Apply")
        for e in entries
        if e.get("subresource") != "status" and _holds(e.get("fieldsV1") or {}, steps)
    }
    others = (m for m in found if m.name not in ("", FIELD_MANAGER, UNRECORDED))
    return tuple(sorted(others, key=lambda m: (m.name, m.applies)))


def _holds(tree: Mapping[str, Any], steps: Sequence[str]) -> bool:
    for step in steps:
        if step not in tree:
            return False
        tree = tree[step]
    return True


def appliers(owners: Iterable[Manager]) -> list[Manager]:
    """The owners who come back with their value: a count of replicas that was once written by hand,
    or by an autoscaler long gone, is anybody's to scale."""
    return [m for m in owners if m.applies]


def named(managers: Iterable[str]) -> tuple[Manager, ...]:
    """Managers of whom a refusal tells no more than the name."""
    return tuple(Manager(name, applies=False) for name in managers)


def names(managers: Sequence[Manager]) -> str:
    """For people: `argocd-controller, kubectl`."""
    return ", ".join(dict.fromkeys(m.name for m in managers))
