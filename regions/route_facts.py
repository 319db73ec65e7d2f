"""What of an HTTPRoute is ours to weigh, what a plan relies on, and the rights that it needs.

A route is weighed where its owner says so, by a label that names the model. Its backends lead to
the regions that their names end with; where its requests may be served stands in an annotation,
since a request whose residency is not known has no lawful region.
"""

from collections.abc import Collection, Mapping
from typing import Any

from infra_console.cluster.rights import Right
from infra_console.cluster.routes import ROUTE, RouteState, read_route
from infra_console.plans.spec import ObjectRef
from regions.core.law import Residency, residency_from

MODEL = "infra-console.dev/model"
RESIDENCY = "infra-console.dev/residency"
RIGHTS = (
    Right("get", ROUTE.group, ROUTE.plural),
    Right("patch", ROUTE.group, ROUTE.plural),
)


def residency_of(route: RouteState) -> Residency:
    """Where the route's requests may be served; empty where it does not say."""
    return residency_from(route.annotations.get(RESIDENCY, ""))


def regions_of(route: RouteState, regions: Collection[str]) -> dict[str, str]:
    """The region of each backend by its name; what leads to none, or to one twice, is left out."""
    found = {name: _region(name, regions) for name in route.raw}
    known = [region for region in found.values() if region]
    return {name: region for name, region in found.items() if region and known.count(region) == 1}


def _region(backend: str, regions: Collection[str]) -> str:
    fits = [r for r in regions if backend == r or backend.endswith(f"-{r}")]
    return max(fits, key=len, default="")


def route_facts(target: ObjectRef) -> Mapping[str, Any]:
    """The facts that make a plan of routes void: who it is, its weights, where it may be served."""
    held = read_route(target.cluster, target.namespace, target.name)
    return {
        "uid": held.uid,
        "weights": held.weights,
        "residency": held.annotations.get(RESIDENCY, ""),
        "owners": [m.name for m in held.owners],
    }
