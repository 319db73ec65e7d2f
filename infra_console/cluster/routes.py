"""HTTPRoutes of the Gateway API (v1): the weights of a route's backends, read and written.

`rules` is one atomic list, so an apply of one weight would own every rule: weights go by JSON patch
under the resourceVersion, each beside a `test` of the backend's name, our marks in the same patch.
A route of several rules is read and never written: which of them to weigh is not said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra_console.cluster.custom_objects import CustomKind, list_custom, patch_tested, read_custom
from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.managers import Manager, other_owners
from infra_console.cluster.patching import Operations, map_operations, op

ROUTE = CustomKind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", True)
DEFAULT_WEIGHT = 1  # what holds where none is written down
MOST_WEIGHT = 1_000_000
CONDITIONS = ("Accepted", "ResolvedRefs")

# As it is written: None where it is left to its default.
Weights = Mapping[str, int | None]


def in_force(weights: Weights) -> dict[str, int]:
    """The weights as a gateway takes them: the default where none is written down."""
    return {name: DEFAULT_WEIGHT if w is None else w for name, w in weights.items()}


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route. `raw` are its only rule's weights by backend name, in order; empty where it has
    several rules or two backends of one name. `unmet` says what its gateways do not accept yet."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    raw: Weights
    owners: tuple[Manager, ...]
    unmet: str

    @property
    def weights(self) -> dict[str, int]:
        return in_force(self.raw)


def read_route(cluster_id: str, namespace: str, name: str) -> RouteState:
    return route_state(read_custom(cluster_id, ROUTE, namespace, name))


def list_routes(cluster_id: str) -> Iterator[RouteState]:
    """Every route; none where the Gateway API is not installed."""
    try:
        items = list(list_custom(cluster_id, ROUTE))
    except ObjectMissing:
        return
    yield from map(route_state, items)


def route_state(item: Mapping[str, Any]) -> RouteState:
    meta, rules = item["metadata"], list((item.get("spec") or {}).get("rules") or ())
    backends = list(rules[0].get("backendRefs") or ()) if len(rules) == 1 else []
    raw = {b["name"]: b.get("weight") for b in backends}
    return RouteState(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta.get("uid", ""),
        resource_version=meta.get("resourceVersion", ""),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
        raw=raw if len(raw) == len(backends) else {},
        owners=other_owners(item, ("spec", "rules")),
        unmet=_unmet(item),
    )


def set_weights(
    cluster_id: str,
    route: RouteState,
    weights: Weights,
    *,
    annotations: Mapping[str, str | None],
    manager: str = "",
    dry_run: bool,
) -> RouteState:
    """Write the weights of a route as it was read; None takes one off, back to its default.

    Args:
        manager: in whose name; ours unless the weights are handed back to whoever owned them.

    Raises:
        ObjectConflict: it changed since it was read; nothing was written.
    """
    changes: Operations = []
    for place, (name, held) in enumerate(route.raw.items()):
        path = f"/spec/rules/0/backendRefs/{place}"
        changes.append(op("test", f"{path}/name", name))
        if name not in weights or weights[name] == held:
            continue
        if weights[name] is None:
            changes.append({"op": "remove", "path": f"{path}/weight"})
        else:
            changes.append(op("add", f"{path}/weight", weights[name]))
    changes += map_operations("/metadata/annotations", route.annotations, annotations)
    item = {
        "namespace": route.namespace,
        "name": route.name,
        "resource_version": route.resource_version,
    }
    return route_state(
        patch_tested(cluster_id, ROUTE, item, changes, manager=manager, dry_run=dry_run)
    )


def _unmet(item: Mapping[str, Any]) -> str:
    """What the gateways have not said of this very generation; empty once all accept it."""
    generation = int(item["metadata"].get("generation") or 0)
    parents = (item.get("status") or {}).get("parents") or ()
    if not parents:
        return "no gateway has looked at it"
    for parent in parents:
        gateway = (parent.get("parentRef") or {}).get("name", "its gateway")
        held = {c.get("type"): c for c in parent.get("conditions") or ()}
        for kind in CONDITIONS:
            said = held.get(kind)
            if said is None or int(said.get("observedGeneration") or 0) < generation:
                return f"{gateway} has not yet looked at it"
            if said.get("status") != "True":
                return f"{gateway}: not {kind}: {said.get('message') or said.get('reason')}"
    return ""
