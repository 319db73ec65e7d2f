"""Commands about what others do in a cluster: GitOps, Kueue, and a cloud without machines."""

from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tiers.twin.controllers import gitops
from tiers.twin.controllers.health import XID_KEY
from tiers.twin.controllers.machines import CHANCE_KEY, NO_CAPACITY_KEY
from tiers.twin.errors import NoSuchThing
from tiers.twin.kube.resources import (
    MACHINE_DEPLOYMENTS,
    NODE_POOLS,
    NODES,
    RESOURCES,
    Obj,
    Resource,
)
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import rfc3339
from tiers.twin.queues import queue_training
from tiers.twin.world import World

Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
WORDS = ("cluster", "minutes", "kind", "namespace", "name", "field", "off", "pool", "chance")


def agent_commands(world: World) -> dict[str, Command]:
    """Coroutines that answer JSON data; NoSuchThing when a name is wrong."""

    async def own(words: dict[str, Any]) -> dict[str, Any]:
        return {"owned": own_fields(_store(world, words), _now(world), words)}

    async def no_capacity(words: dict[str, Any]) -> dict[str, Any]:
        store, now = _store(world, words), _now(world)
        return {"pools": take_capacity(store, now, words)}

    async def kueue(words: dict[str, Any]) -> dict[str, Any]:
        return {"queued": queue_training(_store(world, words), _now(world))}

    return {"gitops": own, "no-capacity": no_capacity, "kueue": kueue}


def add_agent_verbs(
    verb: Callable[..., ArgumentParser], send: Callable[..., Callable[..., None]]
) -> None:
    """The commands' words on the command line."""
    sub = verb("gitops", "let a GitOps agent own fields of an object", send("gitops", WORDS))
    for name in ("cluster", "kind", "name"):
        sub.add_argument(f"--{name}", required=True)
    sub.add_argument("--namespace")
    sub.add_argument("--field", action="append", help="a JSON pointer, as /spec/replicas")
    sub.add_argument("--off", action="store_true", default=None, help="own it no longer")
    sub = verb("kueue", "put a cluster's training under Kueue", send("kueue", WORDS))
    sub.add_argument("cluster")
    sub = verb(
        "no-capacity", "let the cloud have no machines for a while", send("no-capacity", WORDS)
    )
    sub.add_argument("cluster")
    sub.add_argument("--pool", help="one NodePool or MachineDeployment; all without it")
    sub.add_argument("--minutes", type=float, help="0 ends it")
    sub.add_argument("--chance", type=float, help="instead, that each attempt succeeds: 0 to 1")


def _store(world: World, words: dict[str, Any]) -> ClusterStore:
    if words["cluster"] not in world.stores:
        raise NoSuchThing("cluster", words["cluster"], world.stores)
    return world.stores[words["cluster"]]


def _now(world: World) -> datetime:
    return datetime.fromtimestamp(world.now_s, UTC)


def own_fields(store: ClusterStore, now: datetime, words: dict[str, Any]) -> list[str]:
    """Let the agent hold the named fields as they are now; says which objects it owns."""
    resource = _resource(words["kind"])
    held = store.find(resource, words.get("namespace") or "", words["name"])
    if held is None:
        names = [obj["metadata"]["name"] for obj in store.all(resource)]
        raise NoSuchThing(words["kind"], words["name"], names)
    if words.get("off"):
        gitops.disown(store, held, now)
    else:
        gitops.own(store, _partial(held, words.get("field") or ["/spec/replicas"]), now)
    return ["/".join(filter(None, gitops.identity(m))) for m in gitops.owned(store)]


def _resource(kind: str) -> Resource:
    kinds = {resource.kind: resource for resource in RESOURCES}
    if kind not in kinds:
        raise NoSuchThing("kind", kind, kinds)
    return kinds[kind]


def _partial(held: Obj, fields: list[str]) -> Obj:
    metadata = {k: held["metadata"][k] for k in ("namespace", "name") if k in held["metadata"]}
    made: Obj = {"apiVersion": held["apiVersion"], "kind": held["kind"], "metadata": metadata}
    for pointer in fields:
        steps = [s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]
        value, place = held, made
        for step in steps[:-1]:
            value, place = value.get(step) or {}, place.setdefault(step, {})
        if steps[-1] not in value:
            raise NoSuchThing("field", pointer, held.get("spec") or {})
        place[steps[-1]] = value[steps[-1]]
    return made


def sicken_node(store: ClusterStore, name: str, xid: int) -> None:
    """Let the health agent see a GPU error on a node; 0 takes it back. Raises NoSuchThing."""
    node = store.find(NODES, "", name)
    if node is None:
        raise NoSuchThing("node", name, [n["metadata"]["name"] for n in store.all(NODES)])
    _note(store, NODES, node, {XID_KEY: str(xid) if xid else None})


def take_capacity(store: ClusterStore, now: datetime, words: dict[str, Any]) -> list[str]:
    """Let pools find no machine for a while, or with a chance; says which. Raises NoSuchThing."""
    pools = [(r, obj) for r in (NODE_POOLS, MACHINE_DEPLOYMENTS) for obj in store.all(r)]
    names = [obj["metadata"]["name"] for _, obj in pools]
    asked = words.get("pool")
    if not pools or (asked and asked not in names):
        raise NoSuchThing("pool", asked or "of machines", names)
    minutes, chance = words.get("minutes"), words.get("chance")
    until = now + timedelta(minutes=float(minutes if minutes is not None else 30.0))
    over = chance is not None or minutes == 0
    notes = {NO_CAPACITY_KEY: None if over else rfc3339(until)}
    notes[CHANCE_KEY] = None if chance is None else str(float(chance))
    for resource, obj in pools:
        if asked in (None, obj["metadata"]["name"]):
            _note(store, resource, obj, notes)
    return [asked] if asked else names


def _note(store: ClusterStore, resource: Resource, obj: Obj, notes: dict[str, str | None]) -> None:
    held = (obj["metadata"].get("annotations") or {}) | notes
    kept = {key: value for key, value in held.items() if value is not None}
    store.put(resource, {**obj, "metadata": obj["metadata"] | {"annotations": kept}})
