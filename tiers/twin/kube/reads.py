"""Lists with selectors and consistent pages, and the event stream of a watch."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiers.twin.kube.errors import ApiError, bad_request, gone, invalid_options, version_too_large
from tiers.twin.kube.resources import Obj, Resource
from tiers.twin.kube.selectors import Matcher
from tiers.twin.kube.store import Change, ClusterStore, key_of
from tiers.twin.kube.values import forbidden, unsupported

BOOKMARK_EVERY_S = 20.0
_NOW = -1
"""The revision in a token that goes on with what is there when it is used."""


@dataclass(frozen=True)
class Query:
    """What a list or watch asks for; `revision` None means whatever is there now."""

    store: ClusterStore
    resource: Resource
    namespace: str
    matches: Matcher
    selective: bool
    revision: int | None = None
    match: str = ""
    """`resourceVersionMatch`: Exact, NotOlderThan, or nothing said."""

    def wants(self, obj: Obj | None) -> bool:
        if obj is None or (self.namespace and obj["metadata"].get("namespace") != self.namespace):
            return False
        return self.matches(obj)


def list_objects(query: Query, limit: int, token: str) -> tuple[list[Obj], Obj]:
    """One page and its metadata; every page of a list shows the same moment.

    Raises:
        ApiError: 410 when its moment is no longer in the log, 504 when it has not come yet.
    """
    start: tuple[str, str] | None = None
    revision = query.store.revision
    if token:
        revision, start = _read_token(token)
        objects = _continued(query, revision, start)
        revision = query.store.revision if revision == _NOW else revision
    else:
        revision, objects = _moment(query)
    if start is not None:
        objects = [obj for obj in objects if key_of(obj) > start]
    found = [obj for obj in objects if query.matches(obj)]
    page = found[:limit] if limit else found
    metadata: Obj = {"resourceVersion": str(revision)}
    if len(page) < len(found):
        metadata["continue"] = _token(revision, key_of(page[-1]))
        if not query.selective:
            metadata["remainingItemCount"] = len(found) - len(page)
    return page, metadata


def _continued(query: Query, revision: int, start: tuple[str, str]) -> list[Obj]:
    if revision == _NOW:
        return query.store.all(query.resource, query.namespace)
    try:
        return query.store.all_at(query.resource, revision, query.namespace)
    except ApiError as err:
        raise gone(
            "The provided continue parameter is too old to display a consistent list result. "
            "You can start a new list without the continue parameter, or use the continue token "
            "in this response to retrieve the remainder of the results, which may be "
            "inconsistent with the earlier ones.",
            onward=_token(_NOW, start),
        ) from err


def refuse_future(store: ClusterStore, asked: int | None) -> None:
    """Raise the 504 of a read that is to be newer than anything yet."""
    if asked and asked > store.revision:
        raise version_too_large(asked, store.revision)


def _moment(query: Query) -> tuple[int, list[Obj]]:
    """The revision a new list shows: now, unless one is asked for exactly."""
    store, asked = query.store, query.revision
    refuse_future(store, asked)
    if query.match != "Exact" or not asked:
        return store.revision, store.all(query.resource, query.namespace)
    try:
        return asked, store.all_at(query.resource, asked, query.namespace)
    except ApiError as err:
        raise gone("The resourceVersion for the provided list is too old.") from err


def check_version_options(query: Mapping[str, str], *, watches: bool) -> None:
    """Raise a 422 for a `resourceVersionMatch` or `sendInitialEvents` that cannot be meant."""
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    initial = query.get("sendInitialEvents")
    field, supported = "resourceVersionMatch", ("Exact", "NotOlderThan")
    problems = []
    if match and match not in supported:
        problems.append(unsupported(field, match, supported))
    if watches and match and initial is None:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        problems.append(forbidden(field, why))
    if initial is not None and not watches:
        why = "sendInitialEvents is forbidden for list"
        problems.append(forbidden("sendInitialEvents", why))
    if initial is not None and watches and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        problems.append(forbidden(field, why))
    if not watches and match and not version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        problems.append(forbidden(field, why))
    if match == "Exact" and version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        problems.append(forbidden(field, why))
    if problems:
        raise invalid_options("ListOptions", *problems)


def _token(revision: int, last: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *last]).encode()).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return int(revision), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as err:
        raise bad_request("continue key is not valid") from err


async def watch(
    query: Query,
    *,
    timeout_s: float,
    bookmarks: bool,
    initial: bool | None = None,
    bookmark_every_s: float = BOOKMARK_EVERY_S,
) -> AsyncGenerator[dict[str, Any]]:
    """Watch events until the timeout; a revision out of reach is one ERROR event with a 410.

    `initial` (sendInitialEvents) true begins with all there is, and a bookmark that ends it;
    false begins now; None does the former, unmarked, where no revision is given.
    """
    loop = asyncio.get_running_loop()
    ends_at, changed = loop.time() + timeout_s, asyncio.Event()
    seen, now = query.revision, query.store.revision
    unsubscribe = query.store.subscribe(changed.set)
    try:
        if initial or (initial is None and not seen):
            for event in _initial(query, now, marked=bool(initial and bookmarks)):
                yield event
            seen = now
        seen = seen or now
        while True:
            changed.clear()
            changes, seen = query.store.changes_since(query.resource, seen), query.store.revision
            for change in changes:
                if told := _event(query, change):
                    yield told
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


def _initial(query: Query, now: int, *, marked: bool) -> Iterator[dict[str, Any]]:
    for obj in query.store.all(query.resource, query.namespace):
        if query.matches(obj):
            yield {"type": "ADDED", "object": obj}
    if marked:
        end = _bookmark(query, now)
        end["object"]["metadata"]["annotations"] = {"k8s.io/initial-events-end": "true"}
        yield end


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
    if change.after is None:
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
