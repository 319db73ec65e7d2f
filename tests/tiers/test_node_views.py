"""Nodes in the core's words."""

from tests.tiers.factories import fleet_config, fleet_document
from tiers.adapters.views import node_view
from tiers.facts import fleet_facts


def test_a_node_of_a_spot_pool_is_spot():
    reserved = fleet_document()["pools"][0]
    spot = {**reserved, "id": "north/H100/spot", "purchase": "spot", "selector": {"kind": "spot"}}
    facts = fleet_facts(fleet_config(pools=[reserved, spot]))

    def view(labels):
        return node_view(
            facts, "north", name="n", uid="", labels=labels, taints=(), capacity=8, allocatable=8,
            ready=True, unschedulable=False, ours=False,
        )  # fmt: skip

    assert view({"kind": "spot"}).spot
    assert not view(reserved["selector"]).spot
    assert not view({}).spot
