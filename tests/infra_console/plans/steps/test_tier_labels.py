"""Whose a node's tier label is: applied in our name, taken over by leave, handed back."""

import pytest
from kubernetes.client import CoreV1Api

from infra_console.cluster.client import client_for
from infra_console.cluster.takeovers import allow_take_over
from infra_console.plans import services
from infra_console.plans.holding.fence import Fence
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.specs import NODE, TIER_KEY, spec
from tests.infra_console.plans.taking_back.test_rollback import stood
from tests.people import person


def label_as(manager: str, *values: str) -> None:
    """Somebody writes the tier's label; only a change makes it theirs."""
    for value in values:
        body = {"metadata": {"labels": {TIER_KEY: value}}}
        CoreV1Api(client_for(CLUSTER)).patch_node(
            NODE, body, field_manager=manager, _content_type="application/merge-patch+json"
        )


def owners(twin) -> dict[str, str]:
    """Who owns the tier's label, and how it was written."""
    entries = twin.node(NODE)["metadata"].get("managedFields") or ()
    key = f"f:{TIER_KEY}"
    return {
        e["manager"]: e["operation"]
        for e in entries
        if key in e["fieldsV1"].get("f:metadata", {}).get("f:labels", {})
    }


def test_the_label_is_applied_and_ours_from_then_on(twin, armed, approved, operator):
    before, plan = stood(twin), work(approved(spec()))
    assert plan.state == "verified", plan.state_reason
    assert owners(twin) == {"infra-console": "Apply"}
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before


def test_a_label_that_we_once_patched_is_applied_without_asking(twin, armed, approved):
    label_as("infra-console", "operational", "training")
    assert work(approved(spec())).state == "verified"
    assert owners(twin) == {"infra-console": "Apply"}


def test_a_label_of_somebody_else_pauses_the_plan_by_name(twin, armed, approved):
    label_as("kubectl-label", "operational", "training")
    plan = work(approved(spec()))
    assert plan.state == "paused"
    assert f"the tier's label of {NODE} is owned by kubectl-label" in plan.state_reason
    assert twin.node(NODE)["metadata"]["labels"][TIER_KEY] == "training"
    assert owners(twin) == {"kubectl-label": "Update"}


def test_a_rehearsal_names_the_owner_too(twin, approved):
    label_as("kubectl-label", "operational", "training")
    writes = twin.mutations()
    plan = work(approved(spec()))
    assert plan.state == "paused"
    assert "owned by kubectl-label" in plan.state_reason
    assert twin.mutations() == writes


@pytest.mark.parametrize("dies", [False, True])
def test_a_label_taken_over_by_leave_is_handed_back(
    twin, armed, approved, operator, monkeypatch, dies
):
    label_as("kubectl-label", "operational", "training")
    allow_take_over(CLUSTER, "Node", manager="kubectl-label", by=person("admin"), reason="adopted")
    before, plan = stood(twin), approved(spec())
    with monkeypatch.context() as dying:
        if dies:
            _halt_after_the_label(dying, plan, operator)
        plan = work(plan)
    assert plan.state == ("paused" if dies else "verified"), plan.state_reason
    assert owners(twin) == {"infra-console": "Apply"}
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert stood(twin) == before
    assert owners(twin) == {"kubectl-label": "Update"}


def _halt_after_the_label(dying, plan, operator) -> None:
    """The plan is paused between the label and the taint."""
    real = Fence.write

    def write(self, **call):
        result = real(self, **call)
        if call["what"].startswith("take over"):
            services.pause_execution(plan.id, by=operator, reason="lunch")
        return result

    dying.setattr(Fence, "write", write)
