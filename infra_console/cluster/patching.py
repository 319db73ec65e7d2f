"""What all conditional writes share: JSON patch operations, and one write under our name."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from infra_console.cluster.client import FIELD_MANAGER
from infra_console.cluster.errors import translated

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Operations = list[dict[str, Any]]


def write(
    cluster_id: str,
    what: str,
    call: Callable[..., Any],
    dry_run: bool,
    *,
    kind: str = "",
    manager: str = "",
    **options: Any,
) -> dict[str, Any]:
    """One write, under our field manager unless told; the object as it stands afterwards."""
    if dry_run:
        options["dry_run"] = "All"
    if kind:
        options["_content_type"] = kind
    with translated(cluster_id, what):
        answer = call(**options, field_manager=manager or FIELD_MANAGER, _preload_content=False)
        written: dict[str, Any] = json.loads(answer.data)
        return written


def op(verb: str, path: str, value: Any) -> dict[str, Any]:
    return {"op": verb, "path": path, "value": value}


def map_operations(
    path: str, held: Mapping[str, str], wanted: Mapping[str, str | None]
) -> Operations:
    """Patch operations for a map of strings; an absent map is made first."""
    changes = {k: v for k, v in wanted.items() if held.get(k) != v}
    operations: Operations = []
    if changes and not held:
        operations.append(op("add", path, {}))
    for key, value in sorted(changes.items()):
        place = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if value is None:
            operations.append({"op": "remove", "path": place})
        else:
            operations.append(op("add", place, value))
    return operations
