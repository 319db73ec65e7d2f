"""The checker over executions on a served cluster, read as a kube-apiserver's audit log."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command

from infra_console.audit.models import AuditRow
from infra_console.plans import services
from infra_console.plans.executing import executor
from infra_console.plans.holding.fence import Fence
from infra_console.plans.invariants.api_log import LogUnreadable, read_requests
from infra_console.plans.models import Approval, Execution
from infra_console.plans.steps.node import AssignTier
from tests.infra_console.kube import CLUSTER, audit_event
from tests.infra_console.plans.conftest import let_lease_run_out
from tests.infra_console.plans.specs import (
    node_move,
    node_steps,
    preconditions,
    scale_move,
    scale_step,
    spec,
)
from tiers.twin.kube.resources import NODES


class Killed(BaseException):
    """The worker is gone at this instant."""


@pytest.fixture
def nodes_file(twin, tmp_path):
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({"items": twin.call(twin.store.all, NODES)}, default=str))
    return path


@pytest.fixture
def judge(twin, tmp_path, nodes_file):
    def run(*, log: bool = True) -> dict:
        path, out = tmp_path / "audit.log", StringIO()
        path.write_text("".join(json.dumps(audit_event(r)) + "\n" for r in list(twin.log.recent)))
        given = ("--apiserver-audit", f"{CLUSTER}={path}", "--nodes", str(nodes_file))
        try:
            call_command("check_invariants", "--json", *(given if log else ()), stdout=out)
        except SystemExit as ended:
            assert ended.code == 1
        return json.loads(out.getvalue())

    return run


def carry_out(plan, turns: int = 6) -> str:
    for _ in range(turns):
        executor.execute(plan.id)
        Execution.objects.filter(plan=plan).update(not_before=None)
    plan.refresh_from_db()
    return plan.state


def test_a_whole_execution_breaks_nothing(twin, armed, approved, judge):
    before = twin.deployment("chat-70b")["spec"]["replicas"]
    steps = (*node_steps(), scale_step("chat-70b", before, before + 1, wave=4))
    moves = (node_move(), scale_move("chat-70b", before, before + 1))
    plan = approved(spec(moves=moves, steps=steps, preconditions=preconditions(twin)))
    assert carry_out(plan) == "verified"
    executor.execute(plan.id)
    answer = judge()
    assert answer["violations"] == 0, answer
    assert answer["ok"] is True
    assert answer["I5"]["checked"] >= 4
    assert judge(log=False)["ok"] is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_worker_killed_after_a_write_breaks_nothing(
    twin, armed, approved, judge, monkeypatch, number
):
    plan, made, real = approved(spec()), 0, Fence._audited

    def die(self, step, what, call):
        nonlocal made
        made += 1

        def then_die():
            call()
            raise Killed

        return real(self, step, what, then_die if made == number else call)

    monkeypatch.setattr(Fence, "_audited", die)
    with pytest.raises(Killed):
        executor.execute(plan.id)
    monkeypatch.undo()
    let_lease_run_out(plan)
    assert carry_out(plan) == "verified"
    assert AuditRow.objects.filter(action="step.interrupted").count() == 1
    assert judge()["ok"] is True


def test_an_aborted_execution_breaks_nothing(twin, armed, approved, operator, judge, monkeypatch):
    plan, real = approved(spec()), AssignTier.run

    def abort_first(self, step):
        services.abort_execution(plan.id, by=operator, reason="enough")
        return real(self, step)

    monkeypatch.setattr(AssignTier, "run", abort_first)
    assert carry_out(plan) == "aborted"
    assert judge()["ok"] is True


def test_a_lost_approval_and_a_write_behind_our_back_are_found(twin, armed, approved, judge):
    plan = approved(spec())
    assert carry_out(plan) == "verified"
    Approval.objects.all().delete()
    written = [r for r in twin.log.recent if r.resource == "nodes" and r.verb == "patch"]
    twin.log.recent.append(replace(written[-1], name="somebody-else"))
    answer = judge()
    assert answer["ok"] is False
    assert {n for n in ("I3", "I5", "I7") if answer[n]["violations"]} == {"I3", "I5", "I7"}


def test_a_line_that_is_no_event_is_named():
    with pytest.raises(LogUnreadable, match="line 2"):
        read_requests(['{"kind": "Event", "verb": "get"}', "nonsense"])
