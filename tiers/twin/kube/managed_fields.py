"""Who owns which field: `metadata.managedFields`, and server-side apply upon it.

An update owns what it adds or changes, alone. Apply owns what it sends, together with whoever owns
the same value; another manager's field with another value is a conflict (409, one cause a field)
unless forced. What a manager applied before and sends no more goes, unless somebody else owns it.

Limits: what the twin's own controllers write is not tracked, so an object that they made counts as
`before-first-apply` at its first apply; the number of update managers is not capped at ten.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tiers.twin.kube import field_sets
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.field_sets import NOTHING, Fields, Path, dotted
from tiers.twin.kube.merging import drop, merge
from tiers.twin.kube.resources import REGISTRY, Obj, Resource
from tiers.twin.kube.shapes import shape_of
from tiers.twin.kube.times import rfc3339

BEFORE_FIRST_APPLY = "before-first-apply"


@dataclass(frozen=True)
class Manager:
    """Who writes, and how: one entry of managedFields is one of these."""

    name: str
    operation: str
    subresource: str = ""

    def named(self, api_version: str) -> str:
        """As a conflict names it."""
        text = f'"{self.name}"'
        text += f' with subresource "{self.subresource}"' if self.subresource else ""
        return text + (f" using {api_version}" if self.operation == "Update" else "")


Owners = Mapping[Manager, tuple[Fields, str]]
"""Each manager's fields, and when they last changed."""


def owners_of(obj: Obj) -> dict[Manager, tuple[Fields, str]]:
    owners = {}
    for entry in obj["metadata"].get("managedFields") or ():
        who = Manager(
            entry.get("manager", ""), entry.get("operation", ""), entry.get("subresource", "")
        )
        fields = frozenset(field_sets.from_tree(entry.get("fieldsV1") or {}))
        owners[who] = fields, entry.get("time", "")
    return owners


def with_owners(obj: Obj, owners: Owners) -> Obj:
    """The object with its managedFields written anew; managers of nothing are left out."""
    entries = [_entry(obj, who, *held) for who, held in owners.items() if held[0]]
    entries.sort(key=lambda e: (e["operation"], e["time"], e["manager"], e.get("subresource", "")))
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": metadata | ({"managedFields": entries} if entries else {})}


def _entry(obj: Obj, who: Manager, fields: Fields, time: str) -> Obj:
    entry = {
        "manager": who.name,
        "operation": who.operation,
        "apiVersion": obj["apiVersion"],
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": field_sets.to_tree(fields),
    }
    return entry | ({"subresource": who.subresource} if who.subresource else {})


def track_update(before: Obj | None, after: Obj, who: Manager, now: datetime) -> Obj:
    """`after` with what `who` changed now owned by `who` alone (create, replace, patch)."""
    resource = _resource_of(after)
    if after["metadata"].get("managedFields") == [{}]:
        return with_owners(after, {})  # the documented way to forget all owners
    old = field_sets.flatten(resource, before) if before else {}
    changed, removed = field_sets.difference(old, field_sets.flatten(resource, after))
    owners = owners_of(after) or (owners_of(before) if before else {})
    kept = _without(owners, removed, others=changed, who=who)
    mine, time = kept.get(who, (NOTHING, ""))
    if changed - mine:
        mine, time = mine | changed, rfc3339(now)
    return with_owners(after, kept | {who: (mine, time)})


def _resource_of(obj: Obj) -> Resource:
    resource = REGISTRY.by_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        raise ValueError(f"unknown kind {obj['apiVersion']} {obj['kind']}")
    return resource


def _without(
    owners: Owners, removed: Fields, *, others: Fields, who: Manager
) -> dict[Manager, tuple[Fields, str]]:
    """Owners after fields are gone for all, and after some are lost to `who`."""
    return {
        w: (fields - removed - (NOTHING if w == who else others), time)
        for w, (fields, time) in owners.items()
    }


def first_apply(resource: Resource, sent: Obj, who: Manager, now: datetime) -> Obj:
    """An object that an apply creates, owned by the applier."""
    return with_owners(sent, {who: (field_sets.applied_set(resource, sent), rfc3339(now))})


def apply(
    resource: Resource, before: Obj, sent: Obj, who: Manager, now: datetime, *, force: bool
) -> Obj:
    """Server-side apply of `sent` onto `before`.

    Raises:
        ApiError: 409 with a `FieldManagerConflict` cause for each field that another manager owns
            with a different value, unless `force`.
    """
    owners = owners_of(before) or _first_owner(resource, before, now)
    mine = field_sets.applied_set(resource, sent)
    last, time = owners.get(who, (NOTHING, ""))
    owners |= {who: (mine, time if mine == last else rfc3339(now))}
    merged = merge(before, sent, shape_of(resource))
    _prune(merged, last, frozenset().union(*(fields for fields, _ in owners.values())), resource)
    changed, removed = field_sets.difference(
        field_sets.flatten(resource, before), field_sets.flatten(resource, merged)
    )
    if not force:
        _refuse_conflicts(owners, changed, who, before["apiVersion"])
    return with_owners(merged, _without(owners, removed, others=changed, who=who))


def _first_owner(
    resource: Resource, before: Obj, now: datetime
) -> dict[Manager, tuple[Fields, str]]:
    fields = frozenset(field_sets.flatten(resource, before))
    return {Manager(BEFORE_FIRST_APPLY, "Update"): (fields, rfc3339(now))}


def _prune(merged: Obj, last: Fields, owned: Fields, resource: Resource) -> None:
    """Take out what was applied before, is sent no more, and belongs to nobody."""
    held = {path[:depth] for path in owned for depth in range(1, len(path) + 1)}
    for path in sorted(last - held, key=len, reverse=True):
        if _names_element(path):
            continue  # the key of an element goes with the element, or stays with it
        drop(merged, path, shape_of(resource), owned)


def _names_element(path: Path) -> bool:
    inside = len(path) > 1 and path[-2].startswith("k:")
    return inside and path[-1][2:] in json.loads(path[-2][2:])


def _refuse_conflicts(owners: Owners, changed: Fields, who: Manager, api_version: str) -> None:
    lost = {
        w.named(api_version): sorted(fields & changed)
        for w, (fields, _) in sorted(owners.items(), key=lambda owner: str(owner[0]))
        if w != who and fields & changed
    }
    if not lost:
        return
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {w}", "field": dotted(path)}
        for w, paths in lost.items()
        for path in paths
    ]
    raise ApiError(409, "Conflict", _conflict_text(lost), {"causes": causes})


def _conflict_text(lost: dict[str, list[Path]]) -> str:
    count = sum(len(paths) for paths in lost.values())
    if count == 1:
        [(w, [path])] = lost.items()
        return f"Apply failed with 1 conflict: conflict with {w}: {dotted(path)}"
    lines: list[str] = []
    for w, paths in lost.items():
        lines += [f"conflicts with {w}:", *(f"- {dotted(path)}" for path in paths)]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)
