"""The gateway's controller: says of each HTTPRoute whether it takes it, and finds its backends.

There is one Gateway, `inference`; it is no object of the twin. What a route then does to requests
is in `tiers/twin/routing.py`.
"""

from datetime import datetime

from tiers.twin.controllers import pods
from tiers.twin.kube.resources import HTTP_ROUTES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.routes import GATEWAY, NOWHERE, backends_of, model_of, region_behind

CONTROLLER = "twin.infra-console.dev/gateway"


def tick(store: ClusterStore, now: datetime) -> None:
    for route in store.all(HTTP_ROUTES):
        _report(store, route, now)


def _report(store: ClusterStore, route: Obj, now: datetime) -> None:
    generation = route["metadata"]["generation"]
    held = (route.get("status") or {}).get("parents") or []
    seen = {c["observedGeneration"] for parent in held for c in parent["conditions"]}
    refs = route["spec"].get("parentRefs") or []
    if held and seen == {generation} and [p["parentRef"] for p in held] == refs:
        return
    parents = [_parent(route, ref, now) for ref in refs]
    store.put(HTTP_ROUTES, {**route, "status": {"parents": parents}})


def _parent(route: Obj, ref: Obj, now: datetime) -> Obj:
    known = ref.get("name") == GATEWAY
    model = model_of(route)
    missing = [n for n, _ in backends_of(route) if region_behind(model, n) == NOWHERE]
    status: Obj = {}
    for kind, holds, reason, message in (
        ("Accepted", known, "NoMatchingParent", f"there is no Gateway {ref.get('name')}"),
        ("ResolvedRefs", not missing, "BackendNotFound", f"not found: {', '.join(missing)}"),
    ):
        status = pods.with_condition(
            status,
            kind,
            str(holds),
            now,
            reason=kind if holds else reason,
            message="" if holds else message,
        )
    generation = route["metadata"]["generation"]
    conditions = [{**c, "observedGeneration": generation} for c in status["conditions"]]
    return {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}
