"""Each promise against a history that keeps it, and against histories that break it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from infra_console.plans.invariants.checker import INVARIANTS, as_json, check
from infra_console.plans.invariants.history import ApprovalRow, AuditEntry, StepRow
from infra_console.plans.invariants.writes import account
from tests.infra_console.plans.invariants.made_up import (
    CLUSTER,
    NODE,
    at,
    document,
    history,
    node,
    plan,
    request,
    requests,
    writes,
)

APPROVED = history().audit[0]
COMMENT = AuditEntry(99, at(5), "cy", "plan.commented", "p7", {})


def evidence(**changes):
    held = document()
    return held | {"evidence": held["evidence"] | changes}


def orders(kind):
    return [s for s in history().steps if s.kind != kind]


BROKEN = {
    "I1 begun twice": (
        "I1", history(transitions=[*history().transitions, history().transitions[2]]),
        "was begun 2 times",
    ),
    "I1 written twice": (
        "I1",
        history(
            audit=[APPROVED, *writes(), *(replace(r, seq=r.seq + 20, detail=r.detail | {
                "opened": 30}) for r in writes()[:2])],
            requests=[*requests(), request(seconds=30.6)],
        ),
        "took effect 2 times",
    ),
    "I1 a step that never ran": (
        "I1", history(steps=[*history().steps, StepRow("p7", "x", "x", "pending", CLUSTER, "b")]),
        "never took effect",
    ),
    "I1 written after the end": (
        "I1", history(plans=[plan(finished_at=at(38))]), "after its plan had ended",
    ),
    "I2 under the floor": (
        "I2", history(plans=[plan(document=document(floor=16))]), "left training 8 ready GPUs",
    ),
    "I2 over the budget": (
        "I2", history(plans=[plan(document=document(max_nodes=0))]), "1 nodes moving",
    ),
    "I3 nobody approved": ("I3", history(approvals=[]), "had no approval of its hash"),
    "I3 approved by the author": (
        "I3", history(plans=[plan(authors=["planner", "bo"])]), "approved by its author bo",
    ),
    "I3 another hash approved": (
        "I3", history(approvals=[ApprovalRow("p7", "old", "bo", "approve", at(10))]),
        "had no approval of its hash",
    ),
    "I3 taken back before": (
        "I3",
        history(approvals=[ApprovalRow("p7", "h", "bo", "approve", at(10), taken_back_at=at(15))]),
        "had no approval",
    ),
    "I3 edited after approval": (
        "I3", history(plans=[plan(document_hash="other")]), "not the document that its hash covers",
    ),
    "I3 expired": ("I3", history(plans=[plan(expires_at=at(15))]), "after it had expired"),
    "I3 alone and never ratified": (
        "I3",
        history(approvals=[ApprovalRow("p7", "h", "bo", "approve", at(10), ratify_before=at(99))]),
        "nobody ratified it",
    ),
    "I3 while paused": (
        "I3",
        history(transitions=[*history().transitions[:3],
                             replace(history().transitions[2], to_state="paused", at=at(22))]),
        "was made while plan 7 was paused",
    ),
    "I3 a write of no plan": (
        "I3", history(requests=[*requests(), request(seconds=55, name="node-b")]),
        "no plan accounts for patch nodes node-b",
    ),
    "I4 two at work": (
        "I4",
        history(plans=[plan(), plan(id="p8", number=8, started_at=at(59), finished_at=at(90))]),
        "plan 7 and plan 8 were both at work in eastus/training",
    ),
    "I5 no row before": (
        "I5", history(requests=[*requests(), request(seconds=29.0)]), "no audit row stands before",
    ),
    "I5 never closed": (
        "I5", history(audit=[APPROVED, *writes()[:-1]]), "was never closed",
    ),
    "I6 nobody works on it": (
        "I6",
        history(plans=[plan(state="executing", finished_at=None, lease_expires_at=at(400))]),
        "nobody has worked on it since",
    ),
    "I6 a node stays closed": (
        "I6",
        history(steps=orders("node.uncordon"), audit=[APPROVED, *writes()[:4]],
                requests=requests()[:2]),
        f"{NODE} stays closed by plan 7",
    ),
    "I7 an approval is gone": ("I7", history(approvals=[]), "the approve of bo"),
    "I7 a comment is gone": (
        "I7",
        history(audit=[APPROVED, *writes(), COMMENT]),
        "a comment of cy",
    ),
    "I8 stale": (
        "I8", history(plans=[plan(document=evidence(states={"metrics": "stale"}))]), "was stale",
    ),
    "I8 of unknown age": (
        "I8", history(plans=[plan(document=evidence(ages_s={"cluster": None}))]), "unknown age",
    ),
    "I8 no number": (
        "I8", history(plans=[plan(document=evidence(demand=[{"p50": float("nan")}]))]),
        "a demand that is no number",
    ),
    "I8 no number, as text": (
        "I8", history(plans=[plan(document=evidence(demand=[{"p50": "NaN"}]))]),
        "a demand that is no number",
    ),
}  # fmt: skip


def test_a_sound_history_keeps_every_promise():
    verdicts = check(history())
    assert {name: v.violations for name, v in verdicts.items() if v.violations} == {}
    assert all(v.ok and v.checked for v in verdicts.values())
    assert as_json(verdicts)["ok"] is True


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name):
    invariant, bent, words = BROKEN[name]
    verdict = check(bent)[invariant]
    assert verdict.ok is False
    assert any(words in line for line in verdict.violations), verdict.violations


def test_every_promise_is_broken_by_some_history():
    assert {invariant for invariant, _, _ in BROKEN.values()} == set(INVARIANTS)


def test_what_needs_the_log_is_not_passed_without_it():
    verdicts = check(history(requests=None))
    unsure = {name for name, v in verdicts.items() if v.ok is None}
    assert unsure == {"I1", "I2", "I3", "I5", "I6"}
    answer = as_json(verdicts)
    assert answer["ok"] is None
    assert answer["I5"]["not_checked"] == "no API audit log was given"


def test_without_nodes_floors_are_not_passed():
    assert check(history(nodes=None))["I2"].ok is None


def test_a_write_whose_answer_was_lost_is_one_effect():
    """The first worker was killed before the answer; the next found the node closed."""
    audit = [APPROVED, *writes()]
    audit[2] = replace(audit[2], action="step.interrupted")
    assert as_json(check(history(audit=audit)))["ok"] is True


def test_nodes_that_fail_or_are_closed_by_others_are_not_held_against_us():
    others = request(seconds=25, name="node-b", ours=False)
    held = history(plans=[plan(document=document(floor=0))], requests=[others, *requests()])
    assert as_json(check(held))["ok"] is True
    empty = history(
        nodes={CLUSTER: [node()]}, requests=[replace(r, ours=False) for r in requests()]
    )
    assert check(empty)["I2"].violations == ()


def test_clocks_that_differ_are_allowed_for():
    early = [replace(r, at=r.at - timedelta(seconds=1)) for r in requests()]
    assert check(history(requests=early))["I5"].ok is False
    assert check(history(requests=early, skew=timedelta(seconds=2)))["I5"].ok is True


def test_an_unfinished_run_that_somebody_tends_is_well():
    tended = plan(state="executing", finished_at=None, lease_expires_at=at(590))
    paused = plan(state="paused", finished_at=None, lease_expires_at=at(90))
    assert check(history(plans=[tended]))["I6"].ok
    assert check(history(plans=[paused]))["I6"].ok


@pytest.mark.parametrize(("undo", "allowed"), [(("node.uncordon",), True), ((), False)])
def test_a_step_back_is_the_plans_own_only_if_it_was_written_down(undo, allowed):
    listed = document() | {"steps": [{"key": "node.cordon"}, {"key": "node.assign_tier"}]}
    forward, between, back = history().steps
    steps = [replace(forward, undo=undo), between, replace(back, back=True)]
    verdict = check(history(plans=[plan(document=listed)], steps=steps))["I3"]
    assert bool(verdict.ok) is allowed
    assert allowed or "does not list" in verdict.violations[0]


def test_a_refused_write_does_not_take_the_request_of_the_one_that_tried_again():
    first, refused = writes()[0], writes()[1]
    early = replace(first, seq=6, at=at(29.0))
    closed = replace(
        refused,
        seq=7,
        at=at(29.1),
        action="step.refused",
        detail=refused.detail | {"opened": 6},
    )
    decided = history().audit[0]
    held = history(audit=[decided, early, closed, *writes()])
    assert [w.seq for w, _ in account(held).effects] == [10, 12, 14]
    assert check(held)["I1"].violations == ()
