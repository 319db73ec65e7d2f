"""Gateways of the twin: requests go where the HTTPRoutes say, and what is lost is counted."""

import numpy as np
import pytest

from tests.tiers.twin.exporters.text import parse, pick
from tests.tiers.twin.objects import NOW, NOW_S, add_pod, small_cluster
from tests.tiers.twin.test_physics import Steady
from tiers.twin.controllers import gateway
from tiers.twin.files import TwinPaths, init
from tiers.twin.keep import ByHand
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import HTTP_ROUTES
from tiers.twin.kube.validate import check
from tiers.twin.metrics import render
from tiers.twin.profile import INFERENCE_BY_ID
from tiers.twin.routes import first_routes, shares
from tiers.twin.world import World

CHAT = INFERENCE_BY_ID["chat-7b"]


class Home(Steady):
    """All requests enter in eastus."""

    def rate_rps(self, region, model, t_s):
        rate = self.rates.get(model, 0.0) if region == "eastus" else 0.0
        return np.full(len(t_s), rate)


@pytest.fixture
def world(tmp_path):
    stores = {}
    for cluster in ("eastus", "westus2"):
        stores[cluster] = small_cluster(cluster)
        add_pod(stores[cluster], "chat-7b-x-a", node=f"{cluster}-h100-reserved-01")
        (route,) = first_routes(cluster, [CHAT])
        stores[cluster].create(HTTP_ROUTES, route, NOW)
    settings = init(TwinPaths(tmp_path))
    return World(
        stores, Home(chat_7b=5.0), settings,
        step=gateway.tick, by_hand=ByHand(), now_s=NOW_S,
    )  # fmt: skip


def weigh(store, **weights):
    route = store.get(HTTP_ROUTES, "inference", "chat-7b")
    (rule,) = route["spec"]["rules"]
    refs = [
        {**ref, "weight": weights.get(ref["name"].removeprefix("chat-7b-"), 0)}
        for ref in rule["backendRefs"]
    ]
    spec = {**route["spec"], "rules": [{**rule, "backendRefs": refs}]}
    store.put(HTTP_ROUTES, {**route, "spec": spec})


def run(world, seconds, since=0):
    for second in range(since + 2, since + seconds + 1, 2):
        list(world.tick(NOW_S + second))


def offered(world):
    return {c: p.models["chat-7b"].offered for c, p in world.physics.items()}


def test_at_first_every_request_stays_where_it_enters(world):
    run(world, 60)
    assert offered(world)["westus2"] == 0
    assert offered(world)["eastus"] == pytest.approx(300, abs=60)


def test_requests_are_shared_out_by_weight_and_the_gateway_counts_where_to(world):
    weigh(world.stores["eastus"], eastus=1, westus2=3)
    run(world, 60)
    came = offered(world)
    assert came["westus2"] / sum(came.values()) == pytest.approx(0.75, abs=0.08)
    samples = parse(render("gateway", world.physics["eastus"]))
    for region, requests in came.items():
        seen = pick(samples, "istio_requests_total", destination_cluster=region,
                    destination_canonical_service="chat-7b", response_code="200")  # fmt: skip
        assert seen == [requests]
    assert not pick(parse(render("gateway", world.physics["westus2"])), "istio_requests_total")


def test_what_is_sent_to_a_lost_region_fails_and_reaches_nobody(world):
    weigh(world.stores["eastus"], eastus=1, westus2=1)
    world.fail_region("westus2")
    run(world, 60)
    assert offered(world)["westus2"] == 0
    failed = world.routing.sent["eastus"]["chat-7b", "westus2", "503"]
    assert failed == pytest.approx(150, abs=45)


def test_backends_that_are_not_there_and_weights_of_zero_answer_errors(world):
    weigh(world.stores["eastus"])
    run(world, 20)
    assert offered(world) == {"eastus": 0, "westus2": 0}
    assert world.routing.sent["eastus"]["chat-7b", "", "500"] > 50


def conditions(store):
    (parent,) = store.get(HTTP_ROUTES, "inference", "chat-7b")["status"]["parents"]
    return {c["type"]: (c["status"], c["observedGeneration"]) for c in parent["conditions"]}


def test_the_controller_says_of_each_generation_whether_it_takes_it(world):
    store = world.stores["eastus"]
    run(world, 2)
    assert conditions(store) == {"Accepted": ("True", 1), "ResolvedRefs": ("True", 1)}
    held = store.revision
    run(world, 2, since=2)
    assert store.revision == held
    weigh(store, westus2=100)
    run(world, 2, since=4)
    assert conditions(store) == {"Accepted": ("True", 2), "ResolvedRefs": ("True", 2)}


def test_a_backend_or_gateway_that_does_not_exist_is_said(world):
    store = world.stores["eastus"]
    route = store.get(HTTP_ROUTES, "inference", "chat-7b")
    (rule,) = route["spec"]["rules"]
    rules = [{**rule, "backendRefs": [{"name": "chat-7b-atlantis"}]}]
    refs = [{"name": "another"}]
    store.put(HTTP_ROUTES, {**route, "spec": {"parentRefs": refs, "rules": rules}})
    run(world, 2)
    assert conditions(store) == {"Accepted": ("False", 2), "ResolvedRefs": ("False", 2)}
    assert shares(store) == {"chat-7b": {"": 1.0}}


def test_a_weight_out_of_bounds_is_refused():
    (route,) = first_routes("eastus", [CHAT])
    check(HTTP_ROUTES, route)
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = -1
    with pytest.raises(ApiError, match="greater than or equal to 0"):
        check(HTTP_ROUTES, route)
