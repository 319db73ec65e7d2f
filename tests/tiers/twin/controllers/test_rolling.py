"""How Deployments go from one template to the next."""

import pytest

from tiers.twin.controllers.pods import is_leaving, is_ready
from tiers.twin.kube.resources import DEPLOYMENTS, REPLICA_SETS


def set_template(world, **spec) -> None:
    held = world.store.get(DEPLOYMENTS, "inference", "chat")
    made = held["spec"]["template"]
    made = {**made, "spec": {**made["spec"], **spec}}
    world.store.put(DEPLOYMENTS, {**held, "spec": {**held["spec"], "template": made}})


def set_spec(world, **spec) -> None:
    held = world.store.get(DEPLOYMENTS, "inference", "chat")
    world.store.put(DEPLOYMENTS, {**held, "spec": {**held["spec"], **spec}})


def test_a_new_template_that_fits_replaces_an_old_one_that_never_did(world):
    """Pods that were never available are no reason to wait: they go first."""
    world.add_node("n1")
    world.deploy(2)
    set_template(world, nodeSelector={"infra-console.dev/tier": "nowhere"})
    world.live(20)
    set_template(world, nodeSelector={"infra-console.dev/tier": "inference"})
    world.live(40)
    assert len(world.pods()) == 2
    assert all(is_ready(p) and p["spec"]["nodeName"] == "n1" for p in world.pods())


@pytest.mark.parametrize(
    ("surge", "spare", "most", "least"), [(1, 0, 5, 4), (0, 1, 4, 3), ("50%", "50%", 6, 2)]
)
def test_a_roll_stays_within_its_surge_and_unavailability(world, surge, spare, most, least):
    world.add_node("n1")
    world.deploy(4)
    rolling = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": spare}}
    set_spec(world, strategy=rolling)
    world.live(30)
    old = {p["metadata"]["uid"] for p in world.pods()}
    set_template(world, priorityClassName="")
    for _ in range(60):
        world.live(2)
        staying = [p for p in world.pods() if not is_leaving(p)]
        assert len(staying) <= most
        assert sum(map(is_ready, staying)) >= least
    assert not old & {p["metadata"]["uid"] for p in world.pods()}


def test_recreate_waits_until_every_old_pod_is_gone(world):
    world.add_node("n1")
    world.deploy(2)
    set_spec(world, strategy={"type": "Recreate"})
    world.live(20)
    old = {p["metadata"]["uid"] for p in world.pods()}
    set_template(world, priorityClassName="")
    for _ in range(30):
        world.live(2)
        here = {p["metadata"]["uid"] for p in world.pods()}
        assert here <= old or not here & old
    assert len(here - old) == 2


def test_a_paused_deployment_scales_and_keeps_its_template(world):
    world.add_node("n1")
    world.deploy(2)
    world.live(20)
    set_spec(world, paused=True)
    set_template(world, priorityClassName="")
    world.scale(3)
    world.live(20)
    hashes = {p["metadata"]["labels"]["pod-template-hash"] for p in world.pods()}
    assert (len(world.pods()), len(hashes)) == (3, 1)


def test_a_deployment_that_shrinks_while_it_rolls_keeps_no_more_than_it_wants(world):
    world.add_node("n1")
    world.deploy(4)
    world.live(20)
    set_template(world, nodeSelector={"infra-console.dev/tier": "nowhere"})
    world.live(6)
    world.scale(1)
    world.live(30)
    new = [p for p in world.pods() if not p["spec"].get("nodeName")]
    assert len(new) <= 1
    assert len(world.pods()) <= 2


def test_old_replica_sets_are_kept_up_to_the_history_limit(world):
    world.add_node("n1")
    world.deploy(1)
    set_spec(world, revisionHistoryLimit=1)
    for word in ("a", "b", "c"):
        set_template(world, schedulerName=word)
        world.live(40)
    assert len(world.store.all(REPLICA_SETS)) == 2
