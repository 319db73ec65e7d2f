"""The first sentence never calls well what is not known to be."""

from infra_console.overview.cards import Alert
from infra_console.overview.verdict import judge

CALM = {"known": True, "kill_switch": False, "waiting": 0, "executing": 0}
BAD, WARN = Alert("bad", "over SLO"), Alert("warn", "old")


def test_a_fleet_never_seen_is_unknown_not_well():
    verdict = judge([], **{**CALM, "known": False})
    assert verdict.tone == "quiet"
    assert "not been observed" in verdict.sentence


def test_calm_is_said_only_without_alerts_and_without_work():
    assert judge([], **CALM).tone == "good"
    assert judge([], **{**CALM, "waiting": 1}).tone == "busy"
    assert judge([WARN], **CALM).tone == "warn"


def test_the_worst_comes_first_and_is_counted_alone():
    verdict = judge([WARN, BAD], **{**CALM, "waiting": 2, "executing": 1})
    assert verdict.tone == "bad"
    assert verdict.alerts == (BAD, WARN)
    assert verdict.sentence == (
        "One thing is wrong, 1 more to watch; 2 plans wait for a decision, one plan is being"
        " carried out."
    )


def test_what_does_not_answer_comes_before_what_is_bad():
    lost = Alert("lost", "uksouth does not answer")
    verdict = judge([BAD, WARN, lost], **CALM)
    assert verdict.alerts == (lost, BAD, WARN)
    assert verdict.sentence == "2 things are wrong, 1 more to watch."


def test_the_kill_switch_outranks_everything():
    verdict = judge([BAD], **{**CALM, "kill_switch": True, "known": False})
    assert "nothing is written" in verdict.sentence
