"""Rights decide first, measured bounds second; the route says why."""

from hypothesis import given
from hypothesis import strategies as st

from fabric.core.fuse import candidates, fuse
from fabric.core.points import EXACT, Point, cheapest, envelope, raised, strongest
from fabric.core.route import Ask, StoreView, choose_route
from fabric.core.scope import Scope, narrowed, readable

EVERYTHING = Scope(frozenset({"a"}))


def point(store: str, effort: int, lower: float, ms: float) -> Point:
    return Point(store, effort, min(1, lower + 0.002), lower, ms, ms, 2 * ms, 500)


def test_the_envelope_never_pays_more_for_less():
    points = [
        point("x", 16, 0.90, 1), point("x", 32, 0.97, 2),
        point("x", 64, 0.96, 3), point("x", 128, 0.995, 4),
    ]  # fmt: skip
    assert [p.effort for p in envelope(points)] == [16, 32, 128]


def test_a_measured_mean_above_the_target_is_not_enough():
    points = [point("x", 16, 0.991, 1), point("x", 64, 0.9925, 3)]
    assert points[0].recall > 0.992
    assert cheapest(points, target=0.992).effort == 64


def test_points_too_slow_for_the_limit_are_not_chosen():
    points = [point("x", 64, 0.999, 30)]
    assert cheapest(points, target=0.992, limit_ms=50) is None
    assert strongest(points, limit_ms=50) is None


def test_an_effort_that_an_audit_found_short_is_not_chosen_again():
    points = [point("x", 32, 0.995, 1), point("x", 64, 0.997, 2), point("x", EXACT, 1, 9)]
    assert cheapest(points, target=0.992, least_effort=64).effort == 64
    assert cheapest(points, target=0.992, least_effort=65).effort == EXACT
    assert raised([32, 64], 32) == 64
    assert raised([32, 64], 64) == 65


def test_the_fastest_store_that_reaches_the_target_is_asked_alone():
    stores = [
        StoreView("slow", (point("slow", EXACT, 1, 9),)),
        StoreView("quick", (point("quick", 64, 0.995, 1),)),
    ]
    route = choose_route(stores, EVERYTHING, target=0.992, limit_ms=1000)
    assert route.asks == (Ask("quick", 64),)
    assert route.proven
    assert "quick with effort 64" in route.reasons[-1]


def test_where_none_reaches_the_target_all_are_asked_and_nothing_is_promised():
    stores = [StoreView(n, (point(n, 64, 0.98, 1),)) for n in ("one", "two")]
    route = choose_route(stores, EVERYTHING, target=0.992, limit_ms=1000)
    assert route.asks == (Ask("one", 64), Ask("two", 64))
    assert not route.proven


def test_a_store_with_a_problem_is_named_and_the_others_answer():
    stores = [
        StoreView("gone", (point("gone", 64, 0.999, 1),), problem="down: refused"),
        StoreView("here", (point("here", EXACT, 1, 5),)),
    ]
    route = choose_route(stores, EVERYTHING, target=0.992, limit_ms=1000)
    assert route.asks == (Ask("here", EXACT),)
    assert route.left_out == {"gone": "down: refused"}


def test_without_rights_no_store_is_asked():
    stores = [StoreView("here", (point("here", EXACT, 1, 5),))]
    assert choose_route(stores, Scope(frozenset()), target=0.9, limit_ms=10).asks == ()


NAMES = st.sampled_from("abcde")


@given(
    rights=st.dictionaries(st.sampled_from(["viewer", "admin"]), st.lists(NAMES | st.just("*"))),
    roles=st.sets(st.sampled_from(["viewer", "admin", "guest"])),
    existing=st.sets(NAMES),
    asked=st.none() | st.sets(NAMES),
)
def test_asking_never_reaches_beyond_the_rights(rights, roles, existing, asked):
    scope = narrowed(readable(rights, roles, existing), asked)
    granted = {name for role in roles for name in rights.get(role, [])}
    assert scope.partitions <= existing
    assert "*" in granted or scope.partitions <= granted
    assert asked is None or scope.partitions <= asked


def test_fusing_counts_a_document_once_by_its_exact_distance():
    found = {"one": [3, 1, 1], "two": [2, 3]}
    assert candidates(found.values()) == [1, 2, 3]
    fused = fuse(found, {1: 0.3, 2: 0.1, 3: 0.2}, 2)
    assert [(r.id, r.stores) for r in fused] == [(2, ("two",)), (3, ("one", "two"))]


def test_a_document_outside_the_rights_is_dropped_whatever_a_store_claims():
    assert fuse({"liar": [7, 1]}, {1: 0.4}, 10)[0].id == 1
