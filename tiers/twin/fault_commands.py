"""`twin fault`, `twin faults` and `twin fault-clear`: what the API servers are made to do wrong."""

from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from typing import Any

from tiers.twin.errors import NoSuchThing
from tiers.twin.kube.faults import KINDS, Faults, Match
from tiers.twin.kube.server import KubeServers

MATCHED = ("verb", "resource", "subresource", "namespace", "name", "user")
NUMBERS = ("times", "minutes", "probability", "seconds")
WORDS = ("cluster", "kind", "id", *MATCHED, *NUMBERS)
Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def add_arguments(
    verb: Callable[..., ArgumentParser], send: Callable[..., Callable[..., None]]
) -> None:
    """The commands' words; `send` passes the given ones on to the running twin."""
    listed = "; ".join(f"{kind}: {text}" for kind, text in KINDS.items())
    sub = verb("fault", f"make an API server go wrong ({listed})", send("fault", WORDS))
    sub.add_argument("--cluster", help="every cluster, unless named")
    sub.add_argument("--kind", choices=tuple(KINDS), required=True)
    for word in MATCHED:
        sub.add_argument(f"--{word}", help="strike these requests alone")
    sub.add_argument("--times", type=int, help="end after so many strikes")
    sub.add_argument("--minutes", type=float, help="end after so long")
    sub.add_argument("--probability", type=float, help="strike with this chance (1)")
    sub.add_argument("--seconds", type=float, help="of latency, of Retry-After, or of skew")
    sub = verb("faults", "list the faults that can still strike", send("faults", WORDS))
    sub.add_argument("--cluster", help="of every cluster, unless named")
    sub = verb("fault-clear", "end faults", send("fault-clear", WORDS))
    sub.add_argument("--cluster", help="of every cluster, unless named")
    sub.add_argument("--id", type=int, help="this one alone")


def commands(servers: KubeServers) -> dict[str, Command]:
    """The commands as the control endpoint knows them."""

    async def fault(words: dict[str, Any]) -> dict[str, Any]:
        match = Match(**{word: str(words[word]) for word in MATCHED if words.get(word)})
        given = {word: words[word] for word in NUMBERS if words.get(word) is not None}
        made = {
            cluster: faults.add(words["kind"], match, **given).told()
            for cluster, faults in _chosen(servers, words).items()
        }
        return {"made": made}

    async def listed(words: dict[str, Any]) -> dict[str, Any]:
        chosen = _chosen(servers, words)
        return {"faults": {c: [f.told() for f in faults.active()] for c, faults in chosen.items()}}

    async def clear(words: dict[str, Any]) -> dict[str, Any]:
        chosen = _chosen(servers, words)
        return {"cleared": sum(faults.clear(words.get("id")) for faults in chosen.values())}

    return {"fault": fault, "faults": listed, "fault-clear": clear}


def _chosen(servers: KubeServers, words: dict[str, Any]) -> dict[str, Faults]:
    """The faults of one cluster, or of all. Raises NoSuchThing."""
    wanted = words.get("cluster")
    if wanted is not None and wanted not in servers.apis:
        raise NoSuchThing("cluster", wanted, servers.apis)
    return {c: api.faults for c, api in servers.apis.items() if wanted in (None, c)}
