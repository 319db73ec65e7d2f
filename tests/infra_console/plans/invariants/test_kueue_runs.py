"""The checker over plans on Kueue, with and without workers that die, and what it would find."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from infra_console.plans.invariants.api_log import request_of
from infra_console.plans.invariants.kueue import beyond_the_steps
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.invariants.writes import account
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER, audit_event
from tests.infra_console.plans import killing
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import GPU_QUOTA, KueueTwin, shrink
from tiers.twin.kube.resources import NODES


@pytest.fixture
def judge(twin, tmp_path):
    nodes = tmp_path / "nodes.json"
    nodes.write_text(json.dumps({"items": twin.call(twin.store.all, NODES)}, default=str))

    def run() -> dict[str, Any]:
        path, out = tmp_path / "audit.log", StringIO()
        path.write_text("".join(json.dumps(audit_event(r)) + "\n" for r in list(twin.log.recent)))
        words = ("--apiserver-audit", f"{CLUSTER}={path}", "--nodes", str(nodes))
        try:
            call_command("check_invariants", "--json", *words, stdout=out)
        except SystemExit as ended:
            assert ended.code == 1
        return json.loads(out.getvalue())

    return run


def test_a_plan_on_kueue_and_its_way_back_break_nothing_whoever_dies(
    twin, armed, approved, operator, judge, monkeypatch
):
    plan = approved(shrink(KueueTwin(twin)))
    killing.after_each_write(monkeypatch)
    assert killing.survive(plan).state == "verified"
    roll_back(plan.id, by=operator, reason="slower")
    plan.refresh_from_db()
    assert killing.survive(plan).state == "rolled_back"
    answer = judge()
    assert answer["violations"] == 0, answer
    assert answer["ok"] is True
    assert answer["I3"]["checked"] >= 13


def with_body(twin, resource: str, change):
    """The history of the run, the body of our last write to such an object changed."""
    events = [json.loads(json.dumps(audit_event(r))) for r in list(twin.log.recent)]
    written = [e for e in events if e["objectRef"]["resource"] == resource]
    change(next(e for e in reversed(written) if e["verb"] == "patch")["requestObject"])
    requests = [request_of(e) for e in events if e["verb"] == "patch"]
    history = read_history(requests=requests)
    return beyond_the_steps(history, account(history))


def set_value(path: str, value: Any):
    def change(body: list[dict[str, Any]]) -> None:
        for operation in body:
            if operation["path"] == path and operation["op"] != "test":
                operation["value"] = value

    return change


def another_field(body: list[dict[str, Any]]) -> None:
    body.append({"op": "add", "path": "/spec/stopPolicy", "value": "Hold"})


WRITES = (
    ("clusterqueues", lambda body: None, ""),
    ("clusterqueues", set_value(GPU_QUOTA, "4"), "set a quota of 4"),
    ("clusterqueues", another_field, "changed /spec/stopPolicy, which is not ours"),
    ("workloads", lambda body: None, ""),
    ("workloads", set_value("/spec/active", True), "set active to True"),
)


def test_a_write_that_the_plan_does_not_say_is_found_by_its_body(twin, armed, approved):
    plan = work(approved(shrink(KueueTwin(twin))), turns=20)
    assert plan.state == "verified"
    for resource, change, said in WRITES:
        found = with_body(twin, resource, change)
        assert len(found) == bool(said), found
        assert not said or said in found[0]
