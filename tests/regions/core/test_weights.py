"""Weights of routes: lawful, within the room, whole, and no change that is not worth one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from regions.core.cells import Load
from regions.core.law import Region
from regions.core.router import Router
from regions.core.rtt import RoundTrip
from regions.core.weights import Route, Rules, flows_into, percent_of, propose, scores_of, without

HOME = {"east": "US", "west": "US", "north": "EU"}
MS = {("east", "west"): 60.0, ("east", "north"): 90.0, ("north", "west"): 140.0}
TIMES = {p: RoundTrip(ms, "probe", 1.0) for (a, b), ms in MS.items() for p in ((a, b), (b, a))}


def router(lost=(), drained=()):
    made = Router([Region(r, j, frozenset({"chat"})) for r, j in HOME.items()], TIMES)
    for region in HOME:
        if region not in lost:
            made.observe(region, "chat", Load(0.0, 10_000.0, 0.0))
        if region in drained:
            made.surcharge(region, float("inf"))
    return made


def route(origin, rps, now=None, residency="anywhere"):
    held = {r: 100 if r == origin else 0 for r in HOME} | (now or {})
    return Route(origin, origin, "chat", residency, tuple(HOME), held, rps)


def of(routes, room, **options):
    rules = options.pop("rules", Rules())
    scores = scores_of(router(**options), routes, 0.0, rules)
    rooms = {(r, "chat"): rps for r, rps in room.items()}
    (found,) = propose(routes, scores, rooms, rules=rules)
    return found


def test_requests_stay_where_they_enter_while_there_is_room():
    found = of([route("east", 5.0), route("north", 5.0)], {"east": 10, "north": 10, "west": 10})
    assert found.splits == {}
    assert found.reason == "the weights are the best there are"


def test_what_does_not_fit_at_home_goes_to_the_nearest_region_with_room():
    found = of([route("east", 10.0)], {"east": 10, "west": 10, "north": 10})
    assert "not worth a change" in found.reason  # it fits, though above nine tenths
    found = of([route("east", 12.0)], {"east": 10, "west": 10, "north": 10})
    assert found.splits == {"east": {"east": 75, "west": 25, "north": 0}}
    assert found.into == {"east": 9.0, "west": 3.0}
    assert found.reason == "east gets more than it can serve"


def test_a_lost_or_drained_region_gets_nothing_and_the_reason_says_which():
    room = {"east": 20, "west": 20, "north": 20}
    asked = [route("east", 5.0, now={"east": 50, "west": 50})]
    lost = of(asked, room, lost=("west",))
    assert lost.splits["east"]["west"] == 0
    assert "sends 50 % to west: no news of it yet" in lost.reason
    drained = of(asked, room, drained=("west",))
    assert drained.splits["east"] == {"east": 100, "west": 0, "north": 0}
    assert "west: drained" in drained.reason


def test_residency_holds_though_the_lawful_regions_are_full():
    found = of([route("north", 12.0, residency=frozenset({"EU"}))],
               {"east": 99, "west": 99, "north": 10})  # fmt: skip
    assert found.splits == {}
    assert "12.0 requests/s do not fit into 9.0" in found.reason


def test_a_small_gain_changes_nothing_and_a_large_one_does():
    room = {"east": 99, "west": 99, "north": 99}
    asked = [route("east", 5.0, now={"east": 90, "west": 10})]
    assert "not worth a change" in of(asked, room).reason
    assert of(asked, room, rules=Rules(least_gain_ms=5.0)).splits["east"]["east"] == 100


def test_unknown_requests_leave_the_model_and_unknown_room_takes_nothing_more():
    assert "requests unknown from east" in of([route("east", None)], {"east": 9}).reason
    found = of([route("east", 12.0)], {"east": 10, "west": None, "north": 10})
    assert found.splits["east"] == {"east": 75, "west": 0, "north": 25}


def test_without_a_region_its_requests_are_gone_and_the_rest_fits_elsewhere():
    routes = [route("east", 12.0), route("west", 5.0)]
    scores = scores_of(router(), routes, 0.0, Rules())
    rooms = {(r, "chat"): 10.0 for r in HOME}
    (found,) = without(routes, scores, rooms, lost="west")
    assert found.splits == {"east": {"east": 75, "west": 0, "north": 25}}


def test_weights_become_whole_percent():
    assert percent_of([("a", 1), ("b", 1), ("c", 1)]) == {"a": 34, "b": 33, "c": 33}
    assert percent_of([("a", 0), ("b", 0)]) == {"a": 0, "b": 0}


rates = st.floats(0.0, 20.0)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(rates, rates, rates),
    st.tuples(rates, rates, rates),
    st.sets(st.sampled_from([*HOME]), max_size=2),
    st.sampled_from(["anywhere", frozenset({"US"}), frozenset({"EU", "US"})]),
)
def test_weights_sum_and_never_leave_the_law_the_room_or_the_living(rps, room, lost, residency):
    routes = [
        route(origin, n, residency=residency)
        for origin, n in zip(HOME, rps, strict=True)
        if origin not in lost
    ]
    if not routes:
        return
    rooms = dict(zip(HOME, room, strict=True))
    found = of(routes, rooms, lost=tuple(lost))
    for split in found.splits.values():
        assert sum(split.values()) == 100
        assert all(p == 0 or r not in lost for r, p in split.items())
        assert all(p == 0 or residency == "anywhere" or HOME[r] in residency
                   for r, p in split.items())  # fmt: skip
    if found.splits:
        into = flows_into(routes, found.splits)
        assert all(n <= rooms[r] + 1e-6 for r, n in into.items())
