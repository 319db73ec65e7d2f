"""Server-side apply of the few fields that a plan changes, by force only with an admin's leave.

An apply owns just what it sends, and takes away what its manager alone had sent before and now
leaves out: so each object's fields of ours are always sent together. A field that another manager
owns with another value is a conflict, and its owner is named.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes.client.exceptions import ApiException

from infra_console.cluster.client import FIELD_MANAGER
from infra_console.cluster.errors import FieldOwned, status_body, status_message
from infra_console.cluster.patching import APPLY_PATCH, MERGE_PATCH, write

OWNER = re.compile(r'conflict with "([^"]+)"')
CONFLICT = "FieldManagerConflict"


@dataclass(frozen=True, slots=True)
class Versioned:
    """The identity and version under which an object was read."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str

    @property
    def words(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


def versioned(api_version: str, kind: str, item: Mapping[str, Any]) -> Versioned:
    meta = item["metadata"]
    return Versioned(
        api_version=api_version,
        kind=kind,
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta.get("uid", ""),
        resource_version=meta.get("resourceVersion", ""),
    )


def apply_fields(
    cluster_id: str,
    held: Versioned,
    call: Callable[..., Any],
    fields: Mapping[str, Any],
    *,
    annotations: Mapping[str, str],
    force: bool = False,
    dry_run: bool,
    **place: str,
) -> dict[str, Any]:
    """Apply `fields` (of the spec) and `annotations` to an object as it was read.

    Raises:
        FieldOwned: another manager owns one of them. ObjectConflict: the object changed since.
    """
    metadata: dict[str, Any] = {
        "name": held.name,
        "uid": held.uid,
        "resourceVersion": held.resource_version,
    }
    if held.namespace:
        metadata["namespace"] = held.namespace
    if annotations:
        metadata["annotations"] = dict(annotations)
    body = {"apiVersion": held.api_version, "kind": held.kind, "metadata": metadata}
    body["spec"] = dict(fields)

    def refusing(**options: Any) -> Any:
        try:
            return call(**options)
        except ApiException as err:
            if owners := owners_in_conflict(err):
                raise FieldOwned(cluster_id, status_message(err), owners=owners) from err
            raise

    options: dict[str, Any] = {"name": held.name, "body": body, **place}
    if force:
        options["force"] = True
    return write(cluster_id, f"apply {held.words}", refusing, dry_run, kind=APPLY_PATCH, **options)


def give_back(
    cluster_id: str,
    held: Versioned,
    call: Callable[..., Any],
    fields: Mapping[str, Any],
    *,
    manager: str,
    dry_run: bool,
    **place: str,
) -> dict[str, Any]:
    """Write `fields` of the spec in the name of whoever owned them; a None takes one off.

    An update that changes a field owns it alone, so they are the owner's again.

    Raises:
        ObjectConflict: the object changed since it was read; nothing was written.
    """
    metadata = {"uid": held.uid, "resourceVersion": held.resource_version}
    body = {"metadata": metadata, "spec": dict(fields)}
    what, options = f"give back {held.words}", {"name": held.name, "body": body, **place}
    return write(cluster_id, what, call, dry_run, kind=MERGE_PATCH, manager=manager, **options)


def owners_in_conflict(err: ApiException) -> tuple[str, ...] | None:
    """The other managers whom a conflict of fields names; None for any other refusal."""
    causes = (status_body(err).get("details") or {}).get("causes") or ()
    said = [str(c.get("message", "")) for c in causes if c.get("reason") == CONFLICT]
    if not said:
        return None
    found = {match[1] for text in said if (match := OWNER.search(text))}
    return tuple(sorted(found - {FIELD_MANAGER}))
