"""Between two cycles: upward only, by hand, and from what the cycle itself counted with."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiers.core.snapshots import small_snapshot
from tiers.core.demand.correction import Planned, corrected, planned_of, raised
from tiers.core.demand.need import Live

NOON = datetime(2026, 3, 1, 12, 3, tzinfo=UTC)
# The cycle planned 12 requests/s; a group of 4 GPUs serves 5, one GPU 1.25.
PLANNED = Planned(12.0, 1.25)


def test_a_queue_corrects_upwards_by_hand():
    # 14 arrive, 1 is refused, 1,200 wait to be gone in 600 s: 14 + 1 + 2 = 17 requests/s are
    # wanted, 5 more than planned. 5 / 1.25 = 4 GPUs.
    found = corrected(PLANNED, Live(14.0, 1.0, 1_200.0), None, at=NOON)
    assert (found.wanted_rps, found.gpus) == (17.0, 4.0)
    assert found.words == (
        "corrected upwards at 12:03 UTC by 4.0 GPUs because 1200 wait, 14.00/s arrive, 1.00/s are "
        "refused: 17.00/s are wanted, 12.00/s were planned"
    )
    # A minute later half of it waits: 16 are wanted, and nothing is taken back.
    assert (
        corrected(PLANNED, Live(14.0, 1.0, 600.0), found, at=NOON + timedelta(minutes=1)) == found
    )
    # Then 1,800 wait: 18 are wanted, 6 more than planned, 4.8 GPUs.
    later = corrected(PLANNED, Live(14.0, 1.0, 1_800.0), found, at=NOON + timedelta(minutes=2))
    assert (later.gpus, later.at) == (pytest.approx(4.8), NOON + timedelta(minutes=2))


def test_what_was_planned_and_what_is_unknown_correct_nothing():
    assert corrected(PLANNED, Live(12.0, 0.0, 0.0), None, at=NOON) is None
    assert corrected(PLANNED, Live(None, 9.0, 9_000.0), None, at=NOON) is None
    # Unknown refusals and queue are at least nothing: what arrives may be enough.
    found = corrected(PLANNED, Live(13.0, None, None), None, at=NOON)
    assert found.gpus == pytest.approx(0.8)
    assert "the queue is unknown" in found.words
    assert corrected(PLANNED, Live(None, None, None), found, at=NOON) == found


amounts = st.one_of(st.none(), st.floats(0, 1e6))


@given(st.lists(st.tuples(amounts, amounts, amounts), max_size=8))
def test_no_look_ever_lowers_a_correction(looks):
    known = None
    for number, look in enumerate(looks):
        after = corrected(PLANNED, Live(*look), known, at=NOON + timedelta(minutes=number))
        assert known is None or after.wanted_rps >= known.wanted_rps
        assert after is None or (after.gpus > 0 and after.wanted_rps > PLANNED.rps)
        known = after


def test_the_next_plan_begins_from_it_and_no_step_is_lowered():
    found = corrected(PLANNED, Live(17.0, 0.0, 0.0), None, at=NOON)
    steps = [{"p50": 10.0, "p95": 20.0}, {"p50": 10.0, "p95": 20.0}]
    assert raised(steps, found) == [{"p50": 17.0, "p95": 20.0}, steps[1]]
    assert raised(steps, None) == steps
    assert raised([], found) == []


def test_the_plan_is_what_the_cycle_counted_with():
    # Its p95 of the first step, and 5 requests/s a group of 2 H100.
    assert planned_of(small_snapshot(), "chat", "r") == Planned(9.0, 2.5)
    assert planned_of(small_snapshot(current=[]), "chat", "r") == Planned(9.0, 2.5)
    # Demand that the cycle did not know is no demand of zero.
    assert planned_of(small_snapshot(demand={}), "chat", "r") is None
    assert planned_of(small_snapshot(pools=[], current=[]), "chat", "r") is None
