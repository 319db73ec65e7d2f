"""Round-trip times: the best that is known of each pair, and where it comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.core.errors import MatrixInvalid
from regions.core.matrix import parse_matrix
from regions.core.rtt import (
    Position,
    RoundTrip,
    estimated_ms,
    great_circle_km,
    round_trips,
    unmeasured,
    worst_age_s,
)

LONDON, TOKYO = Position(51.5, -0.13), Position(35.68, 139.77)
PLACES = {"uk": LONDON, "jp": TOKYO}


def test_the_great_circle_from_london_to_tokyo_is_what_atlases_say():
    assert great_circle_km(LONDON, TOKYO) == pytest.approx(9560, rel=0.01)


def test_the_estimate_is_light_in_fibre_both_ways_and_the_stretch_of_real_paths():
    assert estimated_ms(LONDON, TOKYO) == pytest.approx(2 * 9560 / 200 * 1.77, rel=0.01)


@given(
    st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180),
)  # fmt: skip
def test_distance_is_symmetric_and_never_more_than_half_the_globe(a, b, c, d):
    there, back = Position(a, b), Position(c, d)
    assert great_circle_km(there, back) == pytest.approx(great_circle_km(back, there))
    assert 0 <= great_circle_km(there, back) <= 20016


def test_a_fresh_probe_comes_before_the_matrix_and_an_old_one_after_it():
    matrix = {("uk", "jp"): RoundTrip(226, "matrix", 9e6)}
    fresh = {("uk", "jp"): RoundTrip(219, "probe", 20)}
    old = {("uk", "jp"): RoundTrip(219, "probe", 4000)}
    assert round_trips(PLACES, probes=fresh, matrix=matrix)["uk", "jp"].ms == 219
    assert round_trips(PLACES, probes=old, matrix=matrix)["uk", "jp"].ms == 226
    assert round_trips(PLACES, probes=old)["uk", "jp"] == RoundTrip(219, "probe", 4000)


def test_the_way_back_stands_in_for_a_pair_that_nobody_measured():
    times = round_trips(PLACES, matrix={("jp", "uk"): RoundTrip(226, "matrix", 1)})
    assert times["uk", "jp"].ms == times["jp", "uk"].ms == 226
    assert unmeasured(times) == []


@pytest.mark.parametrize("ms", [float("nan"), float("inf"), 0.0, -3.0])
def test_a_probe_without_a_sensible_value_counts_as_not_measured(ms):
    times = round_trips(PLACES, probes={("uk", "jp"): RoundTrip(ms, "probe", 1)})
    assert times["uk", "jp"].origin == "estimate"
    assert unmeasured(times) == [("jp", "uk"), ("uk", "jp")]
    assert worst_age_s(times.values()) is None


MATRIX = """\
source,eastus,japaneast,koreacentral
eastus,,157,182
japaneast,158,,32
koreacentral,184,33,
"""


def test_a_matrix_may_hold_more_than_is_used():
    times = parse_matrix(MATRIX, age_s=60, only={"eastus", "japaneast"})
    assert times == {
        ("eastus", "japaneast"): RoundTrip(157, "matrix", 60),
        ("japaneast", "eastus"): RoundTrip(158, "matrix", 60),
    }


def test_an_empty_cell_is_a_pair_that_nobody_measured():
    assert ("a", "b") not in parse_matrix("x,a,b\na,,\nb,7,\n")


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "line 1", "empty"),
        ("x,a,b\na,,5\n", "first column", "same regions"),
        ("x,a,a\na,,5\na,5,\n", "first line", "twice"),
        ("x,a,\na,,5\n,5,\n", "first line", "without a name"),
        ("x,a,b\na,,five\nb,5,\n", "row a, column b", "not a number"),
        ("x,a,b\na,,-5\nb,5,\n", "row a, column b", "not between"),
        ("x,a,b\na,,nan\nb,5,\n", "row a, column b", "not between"),
        ("x,a,b\na,,5,9\nb,5,\n", "row a", "3 values for 2 columns"),
    ],
)
def test_a_broken_matrix_is_refused_with_its_place(text, place, problem):
    with pytest.raises(MatrixInvalid, match=problem) as caught:
        parse_matrix(text)
    assert place in caught.value.place
