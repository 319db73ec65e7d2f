"""What if a region goes: exact, lawful, and honest about what it does not know."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regions.core.rtt import RoundTrip
from regions.core.spill import UNSERVED_MS, Load, spill

NAMES = ("a", "b", "c")
MS = {("a", "b"): 20.0, ("a", "c"): 90.0, ("b", "c"): 70.0}
TIMES = {p: RoundTrip(ms, "matrix") for (x, y), ms in MS.items() for p in ((x, y), (y, x))}
LAW = {"a": "EU", "b": "EU", "c": "US"}


def fleet(*rows):
    return [Load(name, "chat", rps, room) for name, (rps, room) in zip(NAMES, rows, strict=True)]


def test_nobody_moves_while_every_region_has_room():
    found = spill(fleet((5, 10), (5, 10), (5, 10)), TIMES, LAW)
    assert [(f.origin, f.region, f.rps) for f in found.flows] == [
        ("a", "a", 5), ("b", "b", 5), ("c", "c", 5),
    ]  # fmt: skip
    assert found.mean_ms == 0.0


def test_a_lost_regions_users_go_to_the_nearest_lawful_room():
    found = spill(fleet((5, 10), (5, 8), (5, 10)), TIMES, LAW, lost={"a"}, rule="jurisdiction")
    # b has room for three of a's five; c has room too, and the law does not let them go there.
    assert found.into("b") == pytest.approx(8)
    assert [(u.origin, u.rps, u.reason) for u in found.unserved] == [
        ("a", pytest.approx(2), "the lawful regions are full")
    ]
    anywhere = spill(fleet((5, 10), (5, 8), (5, 10)), TIMES, LAW, lost={"a"}, rule="anywhere")
    assert anywhere.unserved == ()
    assert anywhere.into("c") == pytest.approx(7)


def test_a_region_whose_jurisdiction_is_lost_has_no_lawful_place():
    found = spill(fleet((0, 10), (0, 10), (5, 10)), TIMES, LAW, lost={"c"})
    assert found.unserved[0].reason == "no lawful region serves the model"
    assert found.mean_ms is None


def test_the_nearest_user_gives_way_where_that_lets_more_be_served():
    """Serving comes before being near: b's users make room for a's, who may go nowhere else."""
    loads = [
        Load("a", "chat", 4, None), Load("b", "chat", 4, 4), Load("c", "chat", 0, 4),
    ]  # fmt: skip
    law = {"a": "X", "b": "X", "c": "X"}
    times = TIMES | {("a", "c"): RoundTrip(4000, "matrix")}
    found = spill(loads, times, law, rule="anywhere")
    assert found.unserved == ()
    assert {(f.origin, f.region) for f in found.flows} == {("a", "b"), ("b", "c")}


def test_unknown_requests_and_room_are_named_and_take_nothing():
    found = spill(fleet((None, 10), (5, None), (5, 10)), TIMES, LAW, rule="anywhere")
    assert found.unknown == ("requests for chat in a", "room of chat in b")
    assert found.into("b") == 0
    assert found.served_rps == pytest.approx(10)


cells = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=40, deadline=None)
@given(cells, cells, cells, st.sampled_from(["anywhere", "jurisdiction"]), st.sampled_from(NAMES))
def test_no_other_way_of_serving_is_better(a, b, c, rule, lost):
    """Against every integer assignment: a transport problem has an integer optimum."""
    loads = fleet(a, b, c)
    found = spill(loads, TIMES, LAW, lost={lost}, rule=rule)
    cost = sum(f.rps * f.ms for f in found.flows) + UNSERVED_MS * found.unserved_rps
    assert cost == pytest.approx(_brute(loads, lost, rule), abs=1e-3)
    for load in loads:
        assert found.into(load.region) <= (0 if load.region == lost else load.room_rps) + 1e-6
    if rule == "jurisdiction":
        assert all(LAW[f.origin] == LAW[f.region] for f in found.flows)


def _brute(loads, lost, rule):
    """The least cost over all ways to send whole requests to places or nowhere."""
    places = [*range(3), None]
    options = [
        [
            split
            for split in product(range(int(load.rps) + 1), repeat=4)
            if sum(split) == load.rps
            and all(
                n == 0 or p is None
                or (NAMES[p] != lost and (rule == "anywhere" or LAW[NAMES[p]] == LAW[load.region]))
                for n, p in zip(split, places, strict=True)
            )
        ]
        for load in loads
    ]  # fmt: skip
    best = float("inf")
    for splits in product(*options):
        if any(sum(s[j] for s in splits) > loads[j].room_rps for j in range(3)):
            continue
        cost = 0.0
        for load, split in zip(loads, splits, strict=True):
            for n, p in zip(split, places, strict=True):
                if p is None:
                    cost += n * UNSERVED_MS
                elif NAMES[p] != load.region:
                    cost += n * TIMES[load.region, NAMES[p]].ms
        best = min(best, cost)
    return best
