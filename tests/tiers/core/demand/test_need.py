"""From requests, queue and refusals to GPUs; what is unknown stays so."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiers.core.demand.need import Live, Need, added, gpus_needed, lifted, total
from tiers.core.demand.throughput import Throughput, declared

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIVE = declared(5.0, 4)
amounts = st.floats(0, 1e5)


def live(arrivals=10.0, refused=0.0, waiting=0.0, **more):
    return Live(arrivals, refused, waiting, **more)


def test_gpus_needed_by_hand():
    # 10 arrive and 2 are refused a second; 600 wait, to be gone in 600 s: 1 more a second. 13.
    # A group of 4 GPUs serves 5/s, one GPU 1.25/s: 13 / 1.25 = 10.4 GPUs, in 3 whole groups.
    need = gpus_needed(live(10, 2, 600), FIVE, group_gpus=4)
    assert need.gpus == pytest.approx(10.4)
    assert (need.groups, need.at_least) == (3, False)
    # Through tokens: 1,000 tokens/s a GPU at 2,000 tokens a request serve 0.5/s: 26 GPUs.
    tokens = Throughput(None, 1_000.0, "measured", NOW)
    need = gpus_needed(live(10, 2, 600, tokens_per_request=2_000.0), tokens, group_gpus=4)
    assert need.gpus == pytest.approx(26)
    assert need.groups == 7


def test_exactly_full_groups_are_not_one_more():
    assert gpus_needed(live(15), FIVE, group_gpus=4).groups == 3


def test_unknown_arrivals_are_an_unknown_need_and_unknown_refusals_a_lower_bound():
    silent = Live(None, 1.0, 5.0, why=("south does not answer",))
    assert gpus_needed(silent, FIVE, group_gpus=4) == Need(None, why=silent.why)
    assert gpus_needed(live(refused=None), FIVE, group_gpus=4).at_least
    assert gpus_needed(live(waiting=None), FIVE, group_gpus=4).at_least
    no_mix = Throughput(None, 1_000.0, "measured", NOW)
    assert gpus_needed(live(), no_mix, group_gpus=4).gpus is None


@given(amounts, amounts, amounts, amounts)
def test_more_of_anything_never_needs_less(arrivals, refused, waiting, more):
    base = gpus_needed(live(arrivals, refused, waiting), FIVE, group_gpus=4).gpus
    for changed in (
        live(arrivals + more, refused, waiting),
        live(arrivals, refused + more, waiting),
        live(arrivals, refused, waiting + more),
    ):
        assert gpus_needed(changed, FIVE, group_gpus=4).gpus >= base


@given(st.dictionaries(st.text(max_size=3), st.one_of(st.none(), amounts), max_size=6))
def test_needs_add_and_unknown_spoils_only_what_depends_on_it(by_model):
    needs = {name: Need(gpus) for name, gpus in by_model.items()}
    whole = total(needs)
    known = {name: gpus for name, gpus in by_model.items() if gpus is not None}
    assert whole.known_gpus == pytest.approx(sum(known.values()))
    assert set(whole.missing) == set(by_model) - set(known)
    assert (whole.gpus is None) is (known != by_model)
    assert total({n: needs[n] for n in known}).gpus == pytest.approx(sum(known.values()))


def test_live_queues_lift_the_first_step_and_lower_none():
    steps = [{"p50": 8.0, "p95": 14.0}, {"p50": 8.0, "p95": 14.0}]
    # 10 + 2 come now, above the p50 and below the p95; the queue adds 1 to both.
    assert lifted(steps, live(10, 2, 600), serves_rps=None) == [
        {"p50": 13.0, "p95": 15.0},
        steps[1],
    ]
    assert lifted(steps, Live(None, 9.0, 9.0)) == steps
    assert lifted([], live()) == []


def test_a_queue_is_demand_until_the_present_replicas_have_worked_it_off():
    steps = [{"p50": 9.5, "p95": 10.0}] * 3
    # 1,500 wait: 2.5 more a second. 10 serve, 9.5 come: 900 are gone after half an hour, and the
    # 600 left are 1 more a second in the next; 900 more would be gone in that.
    found = lifted(steps, live(9.5, 0, 1_500), step_s=1800, serves_rps=10.0)
    assert [s["p50"] for s in found] == pytest.approx([12.0, 10.5, 9.5])
    # Nothing to spare: it stays as long as it is.
    found = lifted(steps, live(9.5, 0, 1_500), step_s=1800, serves_rps=9.0)
    assert [s["p95"] for s in found] == pytest.approx([12.5, 12.5, 12.5])


def test_a_sum_with_an_unknown_part_is_unknown():
    assert added([1.0, 2.0]) == 3.0
    assert added([1.0, None]) is None
    assert added([]) is None
