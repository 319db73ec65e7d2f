"""Commands about exporters: `exporter` and `xid`, at the control endpoint and in the shell."""

from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from typing import Any

from tiers.twin.agents import sicken_node
from tiers.twin.errors import NoSuchThing
from tiers.twin.exporters.faults import KINDS, Fault
from tiers.twin.exporters.variants import DEFAULT, VARIANTS
from tiers.twin.kube.resources import NODES
from tiers.twin.misbehaviour import EXPORTERS, check_fault
from tiers.twin.profile import GPUS_PER_NODE
from tiers.twin.world import World

Words = dict[str, Any]
Command = Callable[[Words], Awaitable[Words]]
DEFAULT_MINUTES = 5.0
WORDS = (
    "cluster",
    "node",
    "minutes",
    "exporter",
    "fault",
    "variant",
    "clear",
    "field",
    "amount",
    "gpu",
    "code",
)
"""Arguments of these commands that the shell passes on."""


def exporter_commands(world: World) -> dict[str, Command]:
    """The commands by name, as coroutines that answer JSON data."""

    async def exporter(words: Words) -> Words:
        return make_exporter(world, words)

    async def xid(words: Words) -> Words:
        return set_xid(world, words)

    return {"exporter": exporter, "xid": xid}


def make_exporter(world: World, words: Words) -> Words:
    """Give an exporter a fault or a variant, or take all of it back. Raises TwinError."""
    cluster, exporter = words["cluster"], words["exporter"]
    _check("cluster", cluster, world.stores)
    state = world.by_hand.exporters
    if words.get("clear"):
        state.clear(cluster, exporter)
    if "variant" in words:
        state.show(cluster, exporter, words["variant"])
    if "fault" in words:
        _lay_fault(world, cluster, exporter, words)
    active = state.active(cluster, exporter, world.now_s)
    variant = state.variants.get(f"{cluster}/{exporter}", DEFAULT)
    return {"variant": variant, "faults": [vars(fault) for fault in active]}


def _lay_fault(world: World, cluster: str, exporter: str, words: Words) -> None:
    kind, node = words["fault"], words.get("node", "")
    _check("fault", kind, KINDS)
    if node:
        _check("node", node, _nodes(world, cluster))
    minutes = float(words.get("minutes", DEFAULT_MINUTES))
    fault = Fault(
        cluster, exporter, kind, world.now_s + 60.0 * minutes, node=node,
        field=words.get("field", ""), amount=float(words.get("amount", KINDS[kind].amount)),
    )  # fmt: skip
    check_fault(fault)
    if fault.place == "event":
        world.reset_counters(cluster, exporter)
    else:
        world.by_hand.exporters.add(fault, world.now_s)


def set_xid(world: World, words: Words) -> Words:
    """Let a GPU report an XID error, and the health agent taint its node; 0 ends both.

    Raises:
        NoSuchThing: the cluster, node or GPU is not there.
    """
    node, gpu, code = words["node"], int(words.get("gpu", 0)), int(words["code"])
    clusters = [words["cluster"]] if "cluster" in words else list(world.stores)
    for cluster in clusters:
        _check("cluster", cluster, world.stores)
    cluster = next((c for c in clusters if node in _nodes(world, c)), None)
    if cluster is None:
        raise NoSuchThing("node", node, _nodes(world, clusters[0]))
    _check("GPU", str(gpu), [str(number) for number in range(GPUS_PER_NODE)])
    world.set_xid(cluster, node, gpu, code)
    sicken_node(world.stores[cluster], node, code)
    return {"cluster": cluster, "node": node, "gpu": gpu, "code": code}


def add_exporter_verbs(
    verb: Callable[..., ArgumentParser], send: Callable[..., Callable[..., None]]
) -> None:
    """The commands in the shell."""
    sub = verb(
        "exporter", "make an exporter err or look like another version", send("exporter", WORDS)
    )
    sub.add_argument("--cluster", required=True)
    sub.add_argument("--exporter", required=True, choices=EXPORTERS)
    sub.add_argument("--fault", choices=tuple(KINDS), help=_help(KINDS))
    sub.add_argument("--minutes", type=float, help=f"how long ({DEFAULT_MINUTES:g} without it)")
    sub.add_argument("--node", help="this node alone, where a fault can fall on one")
    sub.add_argument("--field", help="the metric whose values nan, inf and sentinel fall on")
    sub.add_argument("--amount", type=float, help="seconds or MiB, where a fault has a size")
    known = sorted({name for variants in VARIANTS.values() for name in variants})
    sub.add_argument("--variant", choices=(DEFAULT, *known))
    sub.add_argument("--clear", action="store_true", default=None, help="healthy again")
    sub = verb(
        "xid",
        "let a GPU report an XID error, and a health agent taint its node",
        send("xid", WORDS),
    )
    sub.add_argument("--node", required=True)
    sub.add_argument("--code", type=int, required=True, help="0 clears it")
    sub.add_argument("--gpu", type=int, default=0)
    sub.add_argument("--cluster")


def _help(kinds: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {kind.says}" for name, kind in kinds.items()).replace("%", "%%")


def _nodes(world: World, cluster: str) -> list[str]:
    return [node["metadata"]["name"] for node in world.stores[cluster].all(NODES)]


def _check(kind: str, name: str, known: Any) -> None:
    if name not in known:
        raise NoSuchThing(kind, name, known)
