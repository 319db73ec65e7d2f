"""The objects of one cluster: uids, a monotonic resourceVersion, indexes, and what has changed.

Objects are plain JSON and never changed in place: a writer puts a new object, so what a reader
holds stays what it was. All calls come from one thread (the twin's asyncio loop); none of them
waits, so a read-check-write without an `await` in between is atomic.

Changes are kept kind by kind, so that the many renewals of Leases push nothing else out: the last
`history` of each kind, and all of the last `KEPT_S` up to `MOST_KEPT` times as many; of Leases the
last `history` alone. A watch from before them gets a 410.
"""

import time
import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tiers.twin.kube.errors import already_exists, not_found, too_old
from tiers.twin.kube.resources import LEASES, PODS, REGISTRY, Obj, Resource
from tiers.twin.kube.times import rfc3339

Key = tuple[str, str]
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
KEPT_S = 300.0
"""As long as etcd keeps its revisions under a kube-apiserver."""
MOST_KEPT = 10


@dataclass(frozen=True)
class Change:
    """One committed write; `before` and `after` are the whole objects."""

    revision: int
    resource: Resource
    type: ChangeType
    key: Key
    before: Obj | None
    after: Obj | None
    at_s: float = 0.0


def json_copy(value: Any) -> Any:
    """A deep copy of JSON data (several times faster than copy.deepcopy)."""
    if isinstance(value, dict):
        return {key: json_copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_copy(item) for item in value]
    return value


def key_of(obj: Obj) -> Key:
    return str(obj["metadata"].get("namespace", "")), str(obj["metadata"]["name"])


class ClusterStore:
    """Everything one cluster knows. `failed_nodes` and `counters` belong to its controllers."""

    def __init__(
        self,
        cluster: str,
        *,
        history: int = 2000,
        kept_s: float = KEPT_S,
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = cluster
        self.revision = 1
        self.failed_nodes: dict[str, str] = {}
        self.counters: dict[str, int] = {}
        self._new_uid, self._clock = new_uid, clock
        self._history, self._kept_s = history, kept_s
        self._objects: dict[Resource, dict[Key, Obj]] = {r: {} for r in REGISTRY.resources}
        self._logs: dict[Resource, deque[Change]] = {r: deque() for r in REGISTRY.resources}
        self._forgotten = dict.fromkeys(REGISTRY.resources, 1)
        self._pods_on: dict[str, dict[Key, None]] = {}
        self._owned: dict[str, dict[tuple[Resource, Key], None]] = {}
        self._listeners: set[Callable[[], None]] = set()

    # Reading

    def find(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self._objects[resource].get((namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Obj:
        """The object, or a 404."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def all(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """Every object of a kind (of one namespace, when given), sorted by namespace and name."""
        objects = self._objects[resource]
        return [objects[key] for key in sorted(objects) if not namespace or key[0] == namespace]

    def pods_on(self, node: str) -> list[Obj]:
        """Pods bound to a node, terminal ones included."""
        return [self._objects[PODS][key] for key in self._pods_on.get(node, ())]

    def owned_by(self, uid: str, resource: Resource = PODS) -> list[Obj]:
        """Objects of a kind whose ownerReferences name the uid."""
        held = self._owned.get(uid, ())
        return [self._objects[kind][key] for kind, key in held if kind is resource]

    # Writing

    def create(self, resource: Resource, obj: Obj, now: datetime, *, dry_run: bool = False) -> Obj:
        """Add an object, with uid, resourceVersion, creationTimestamp and generation given to it.

        Raises:
            ApiError: 409 when the name is taken.
        """
        namespace, name = key_of(obj)
        if self.find(resource, namespace, name) is not None:
            raise already_exists(resource, name)
        metadata = dict(obj["metadata"], uid=self._new_uid(), creationTimestamp=rfc3339(now))
        if resource.counts_generation:
            metadata["generation"] = 1
        metadata.pop("resourceVersion", None)
        added = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
        added["metadata"] = metadata
        return added if dry_run else self._commit(resource, "ADDED", None, added)

    def put(self, resource: Resource, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Replace an object whole; a write that changes nothing moves no resourceVersion.

        The caller has checked preconditions. `generation` moves when `spec` does.
        """
        before = self.get(resource, *key_of(obj))
        metadata = dict(obj["metadata"], resourceVersion=before["metadata"]["resourceVersion"])
        after = {**obj, "metadata": metadata}
        if _same(before, after):
            return before
        changed = after.get("spec") is not before.get("spec") and resource.counts_generation
        if changed and _spec(resource, after) != _spec(resource, before):
            metadata["generation"] = int(before["metadata"].get("generation", 0)) + 1
        return after if dry_run else self._commit(resource, "MODIFIED", before, after)

    def remove(self, resource: Resource, namespace: str, name: str) -> Obj:
        """Take an object out at once; its last state is returned and told to watchers."""
        before = self.get(resource, namespace, name)
        return self._commit(resource, "DELETED", before, json_copy(before))

    def _commit(self, resource: Resource, kind: ChangeType, before: Obj | None, after: Obj) -> Obj:
        self.revision += 1
        after["metadata"]["resourceVersion"] = str(self.revision)
        key = key_of(after)
        if before is not None:
            self._index(resource, key, before, present=False)
        if kind == "DELETED":
            del self._objects[resource][key]
        else:
            self._objects[resource][key] = after
            self._index(resource, key, after, present=True)
        self._keep(Change(self.revision, resource, kind, key, before, after, self._clock()))
        for listener in tuple(self._listeners):
            listener()
        return after

    def _index(self, resource: Resource, key: Key, obj: Obj, *, present: bool) -> None:
        if resource is PODS and (node := obj.get("spec", {}).get("nodeName")):
            _mark(self._pods_on, node, key, present=present)
        for owner in obj["metadata"].get("ownerReferences") or ():
            _mark(self._owned, owner["uid"], (resource, key), present=present)

    # History

    def _keep(self, change: Change) -> None:
        log = self._logs[change.resource]
        log.append(change)
        kept_s = 0.0 if change.resource is LEASES else self._kept_s
        while len(log) > self._history:
            if len(log) <= MOST_KEPT * self._history and change.at_s - log[0].at_s < kept_s:
                break
            self._forgotten[change.resource] = log.popleft().revision

    def changes_since(self, resource: Resource, revision: int) -> list[Change]:
        """Writes to a kind after a revision, oldest first.

        Raises:
            ApiError: 410 when some of them are forgotten.
        """
        if revision < self._forgotten[resource]:
            raise too_old(revision, self._forgotten[resource])
        log = self._logs[resource]
        start = bisect_right(log, revision, key=lambda change: change.revision)
        return [log[i] for i in range(start, len(log))]

    def all_at(self, resource: Resource, revision: int, namespace: str = "") -> list[Obj]:
        """The objects of a kind as they were at a revision (410 when that is too long ago)."""
        objects = dict(self._objects[resource])
        for change in reversed(self.changes_since(resource, revision)):
            if change.before is None:
                objects.pop(change.key, None)
            else:
                objects[change.key] = change.before
        return [objects[key] for key in sorted(objects) if not namespace or key[0] == namespace]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every write; the returned function ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    # Keeping

    def dump(self) -> dict[str, Any]:
        """Everything that a restart must bring back, as JSON data."""
        return {
            "schema": "twin-store/1",
            "cluster": self.cluster,
            "revision": self.revision,
            "failed_nodes": dict(self.failed_nodes),
            "counters": dict(self.counters),
            "objects": list(self._everything()),
        }

    def _everything(self) -> Iterator[Obj]:
        for objects in self._objects.values():
            yield from objects.values()

    @classmethod
    def load(cls, data: dict[str, Any], *, history: int = 2000) -> "ClusterStore":
        """The store that `dump` described. Watches from before the dump get a 410.

        Raises:
            ValueError: the data is not a `twin-store/1` dump.
        """
        if data.get("schema") != "twin-store/1":
            raise ValueError(f"not a twin-store/1 dump: {data.get('schema')!r}")
        store = cls(data["cluster"], history=history)
        store.revision = int(data["revision"])
        store._forgotten = dict.fromkeys(store._forgotten, store.revision)
        store.failed_nodes = dict(data["failed_nodes"])
        store.counters = dict(data["counters"])
        store._take(data["objects"])
        return store

    def _take(self, objects: Iterable[Obj]) -> None:
        for obj in objects:
            resource = REGISTRY.by_kind(obj["apiVersion"], obj["kind"])
            if resource is None:
                raise ValueError(f"unknown kind {obj['apiVersion']} {obj['kind']}")
            key = key_of(obj)
            self._objects[resource][key] = obj
            self._index(resource, key, obj, present=True)


def _spec(resource: Resource, obj: Obj) -> Any:
    """What generations count the changes of; a pod's binding to a node is none."""
    spec = obj.get("spec")
    if resource is not PODS or not spec:
        return spec
    return {key: value for key, value in spec.items() if key != "nodeName"}


def _mark(index: dict[str, dict[Any, None]], group: str, key: Any, *, present: bool) -> None:
    if present:
        index.setdefault(group, {})[key] = None
        return
    members = index.get(group, {})
    members.pop(key, None)
    if not members:
        index.pop(group, None)


def _same(before: Obj, after: Obj) -> bool:
    """Equal but for the times in managedFields, which alone are no change."""
    if _timeless(before["metadata"]) != _timeless(after["metadata"]):
        return False
    return {**before, "metadata": None} == {**after, "metadata": None}


def _timeless(metadata: Obj) -> Obj:
    owners = metadata.get("managedFields")
    if not owners:
        return metadata
    return {**metadata, "managedFields": [{**entry, "time": ""} for entry in owners]}
