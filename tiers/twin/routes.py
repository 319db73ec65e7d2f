"""Where a region's gateway sends its requests: the twin's reading of an HTTPRoute.

A route speaks of the model that its only rule matches by the header `X-Gateway-Model-Name`; a
backend is a Service named `<model>-<region>`, which leads to the pool of that model in that region.
A model without a route is served where its requests enter.
"""

from collections.abc import Mapping, Sequence

from tiers.twin.kube.resources import HTTP_ROUTES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import INFERENCE_BY_ID, REGIONS, InferenceWorkload

MODEL_HEADER = "X-Gateway-Model-Name"
GATEWAY = "inference"
PORT = 8000
NOWHERE = ""  # the share of requests whose backend is not there
_JURISDICTION = {region.id: region.jurisdiction for region in REGIONS}
# Where requests that enter in a jurisdiction may be served; all others may be served anywhere.
RESIDENCY: Mapping[str, str] = {"EU": "EU", "UK": "UK,EU", "CA": "CA,US"}


def backend(model: str, region: str) -> str:
    return f"{model}-{region}"


def region_behind(model: str, name: str) -> str:
    """The region that a backend leads to, NOWHERE where there is no such pool."""
    region = name.removeprefix(f"{model}-")
    known = model in INFERENCE_BY_ID and region in INFERENCE_BY_ID[model].regions
    return region if known and name == backend(model, region) else NOWHERE


def model_of(route: Obj) -> str:
    """The model whose requests the route takes; empty where its rule does not name one."""
    for match in _rule(route).get("matches") or ():
        for header in match.get("headers") or ():
            if header.get("name", "").lower() == MODEL_HEADER.lower():
                return str(header.get("value", ""))
    return ""


def backends_of(route: Obj) -> list[tuple[str, int]]:
    """Backend names with their weights, 1 where none is written."""
    refs = _rule(route).get("backendRefs") or ()
    return [(str(ref.get("name", "")), int(ref.get("weight", 1))) for ref in refs]


def shares(store: ClusterStore) -> dict[str, dict[str, float]]:
    """The part of each routed model's requests that each region gets; they sum to one."""
    found = {}
    for route in store.all(HTTP_ROUTES):
        model, refs = model_of(route), backends_of(route)
        if not model:
            continue
        total = sum(weight for _, weight in refs)
        split: dict[str, float] = {} if total else {NOWHERE: 1.0}
        for name, weight in refs:
            if weight:
                region = region_behind(model, name)
                split[region] = split.get(region, 0.0) + weight / total
        found[model] = split
    return found


def first_routes(cluster: str, models: Sequence[InferenceWorkload]) -> list[Obj]:
    """A cluster's routes at first start: everything is served where it enters."""
    return [_route(cluster, served) for served in models if cluster in served.regions]


def _route(cluster: str, served: InferenceWorkload) -> Obj:
    residency = RESIDENCY.get(_JURISDICTION[cluster], "anywhere")
    header = {"type": "Exact", "name": MODEL_HEADER, "value": served.id}
    return {
        "metadata": {
            "name": served.id,
            "namespace": "inference",
            "labels": {"infra-console.dev/model": served.id},
            "annotations": {"infra-console.dev/residency": residency},
        },
        "spec": {
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": GATEWAY}
            ],
            "rules": [
                {
                    "matches": [{"headers": [header]}],
                    "backendRefs": [
                        {
                            "group": "",
                            "kind": "Service",
                            "name": backend(served.id, region),
                            "port": PORT,
                            "weight": 100 if region == cluster else 0,
                        }
                        for region in served.regions
                    ],
                }
            ],
        },
    }


def _rule(route: Obj) -> Obj:
    rules = (route.get("spec") or {}).get("rules") or ()
    return dict(rules[0]) if rules else {}
