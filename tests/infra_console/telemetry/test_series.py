"""Freshness, values and grids: pure."""

import math

import numpy as np
import pytest

from infra_console.telemetry.escape import matchers
from infra_console.telemetry.series import (
    Freshness,
    as_value,
    freshness_of,
    on_grid,
    overall,
)
from tests.infra_console.telemetry.samples import raw

LIVE, DELAYED, STALE, PARTIAL, DOWN, _ = Freshness


@pytest.mark.parametrize(
    ("age_s", "state"),
    [(0, LIVE), (45, LIVE), (46, DELAYED), (300, DELAYED), (301, STALE), (None, DOWN)],
)
def test_age_decides_the_state(age_s: float | None, state: Freshness) -> None:
    assert freshness_of(age_s, scrape_interval_s=15) is state


def test_a_slower_scrape_stays_live_longer() -> None:
    assert freshness_of(135, scrape_interval_s=60) is LIVE


@pytest.mark.parametrize(
    ("states", "incomplete", "expected"),
    [
        ([LIVE, LIVE], False, LIVE),
        ([LIVE, DELAYED], False, DELAYED),
        ([LIVE, STALE], False, PARTIAL),
        ([LIVE, DOWN], False, PARTIAL),
        ([LIVE], True, PARTIAL),
        ([STALE, STALE], False, STALE),
        ([DOWN, DOWN], False, DOWN),
        ([STALE, DOWN], True, PARTIAL),
        ([], False, DOWN),
        ([], True, DOWN),
    ],
)
def test_parts_make_one_word(
    states: list[Freshness], incomplete: bool, expected: Freshness
) -> None:
    assert overall(states, incomplete=incomplete) is expected


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf", "9223372036854775794"])
def test_what_is_no_number_is_unknown(text: str) -> None:
    assert math.isnan(as_value(text))


def test_zero_is_a_value() -> None:
    assert as_value("0") == 0.0


def test_a_missing_sample_is_nan_on_the_grid() -> None:
    grid = np.arange(0.0, 240.0, 60.0)
    series = raw({}, [0.2, 119.9, 600.0], [1.0, 3.0, 9.0])
    np.testing.assert_array_equal(on_grid(series, grid), [1.0, np.nan, 3.0, np.nan])


def test_matchers_escape_values_and_refuse_odd_names() -> None:
    assert matchers({"b": 'x"\\\n', "a": ["p.q", "r|s"]}) == (
        'a=~"p\\\\.q|r\\\\|s",b="x\\"\\\\\\n"'
    )
    with pytest.raises(ValueError, match="not a label name"):
        matchers({'x="1"} or up{y': "z"})
    with pytest.raises(ValueError, match="NUL"):
        matchers({"a": "\0"})
