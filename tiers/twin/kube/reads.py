"""Lists with selectors and consistent pages, and the event stream of a watch."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from tiers.twin.kube.errors import ApiError, bad_request, gone
from tiers.twin.kube.resources import Obj, Resource
from tiers.twin.kube.selectors import Matcher
from tiers.twin.kube.store import Change, ClusterStore, key_of

BOOKMARK_EVERY_S = 20.0


@dataclass(frozen=True)
class Query:
    """What a list or watch asks for; `revision` None means whatever is there now."""

    store: ClusterStore
    resource: Resource
    namespace: str
    matches: Matcher
    selective: bool
    revision: int | None = None

    def wants(self, obj: Obj | None) -> bool:
        if obj is None or (self.namespace and obj["metadata"].get("namespace") != self.namespace):
            return False
        return self.matches(obj)


def list_objects(query: Query, limit: int, token: str) -> Obj:
    """One page; every page of a list shows the same moment.

    Raises:
        ApiError: 410 when the moment of a `continue` token is no longer in the log.
    """
    start: tuple[str, str] | None = None
    revision = query.store.revision
    if token:
        revision, start = _read_token(token)
        try:
            objects = query.store.all_at(query.resource, revision, query.namespace)
        except ApiError as err:
            raise gone(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            ) from err
    else:
        objects = query.store.all(query.resource, query.namespace)
    if start is not None:
        objects = [obj for obj in objects if key_of(obj) > start]
    found = [obj for obj in objects if query.matches(obj)]
    page = found[:limit] if limit else found
    metadata: Obj = {"resourceVersion": str(revision)}
    if len(page) < len(found):
        metadata["continue"] = _token(revision, key_of(page[-1]))
        if not query.selective:
            metadata["remainingItemCount"] = len(found) - len(page)
    return {
        "kind": query.resource.kind + "List",
        "apiVersion": query.resource.api_version,
        "metadata": metadata,
        "items": [_item(obj) for obj in page],
    }


def _item(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def _token(revision: int, last: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *last]).encode()).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return int(revision), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as err:
        raise bad_request("continue key is not valid") from err


async def watch(
    query: Query, *, timeout_s: float, bookmarks: bool, bookmark_every_s: float = BOOKMARK_EVERY_S
) -> AsyncGenerator[dict[str, Any]]:
    """Watch events until the timeout; a revision out of reach is one ERROR event with a 410."""
    loop = asyncio.get_running_loop()
    ends_at, changed = loop.time() + timeout_s, asyncio.Event()
    seen, initial = query.revision, query.store.revision
    unsubscribe = query.store.subscribe(changed.set)
    try:
        if not seen:
            for obj in query.store.all(query.resource, query.namespace):
                if query.matches(obj):
                    yield {"type": "ADDED", "object": obj}
            seen = initial
        while True:
            changed.clear()
            for change in query.store.changes_since(seen):
                seen = change.revision
                if event := _event(query, change):
                    yield event
            left_s = ends_at - loop.time()
            if left_s > 0 and await _wait(changed, min(left_s, bookmark_every_s)):
                continue
            if bookmarks and not changed.is_set():
                yield _bookmark(query, seen)
            if loop.time() >= ends_at:
                return
    except ApiError as err:
        yield {"type": "ERROR", "object": err.status()}
    finally:
        unsubscribe()


async def _wait(changed: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _bookmark(query: Query, revision: int) -> dict[str, Any]:
    resource = query.resource
    metadata = {"resourceVersion": str(revision), "creationTimestamp": None}
    shape = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return {"type": "BOOKMARK", "object": shape}


def _event(query: Query, change: Change) -> dict[str, Any] | None:
    """The event of a change as this watch sees it: leaving the selection is a deletion."""
    if change.resource is not query.resource or change.after is None:
        return None
    was, now = query.wants(change.before), query.wants(change.after)
    if change.type == "DELETED":
        return {"type": "DELETED", "object": change.after} if was else None
    if now:
        return {"type": "MODIFIED" if was else "ADDED", "object": change.after}
    if not was or change.before is None:
        return None
    metadata = {**change.before["metadata"], "resourceVersion": str(change.revision)}
    return {"type": "DELETED", "object": {**change.before, "metadata": metadata}}
