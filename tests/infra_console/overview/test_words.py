"""Numbers carry units, unknown is a dash, and each state has icon, word and tone."""

import pytest

from infra_console.overview import looks
from infra_console.overview.icons import PATHS
from infra_console.overview.templatetags import console
from infra_console.plans.states import PlanState, StepState
from infra_console.telemetry.series import Freshness
from tiers.models import CycleState

FILTERS = (
    console.age, console.number, console.signed, console.plain, console.percent, console.times,
    console.milliseconds, console.ago, console.utc,
)  # fmt: skip


@pytest.mark.parametrize("words", FILTERS)
def test_unknown_is_a_dash_and_never_a_zero(words):
    assert words(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (420, "7 min"), (11520, "3.2 h"), (4e5, "5 d")],
)
def test_ages_are_told_in_the_coarsest_unit_that_tells(seconds, words):
    assert console.age(seconds) == words


def test_changes_carry_their_sign_and_zero_has_none():
    assert console.signed(8) == "+8"
    assert console.signed(-3.456, 2) == "−3.46"
    assert console.signed(-0.001, 2) == "0.00"


@pytest.mark.parametrize(
    ("kind", "states"),
    [("plan", PlanState), ("step", StepState), ("freshness", Freshness), ("cycle", CycleState)],
)
def test_every_state_has_a_look_of_its_own(kind, states):
    found = [looks.look_of(kind, state) for state in states]
    assert looks.UNKNOWN not in found
    assert all(look.icon in PATHS and look.word for look in found)


def test_a_state_that_nobody_drew_shows_as_unknown_and_not_as_good():
    assert looks.look_of("plan", "invented") == looks.UNKNOWN


def test_slo_looks_are_over_close_in_and_unknown():
    words = [looks.slo_look(ratio).word for ratio in (1.01, 1.0, 0.79, None)]
    assert words == ["over SLO", "close to SLO", "in SLO", "unknown"]


def test_what_people_wrote_is_escaped():
    assert console.lines("<b>a</b>\n\nc") == "<p>&lt;b&gt;a&lt;/b&gt;</p><p>c</p>"
