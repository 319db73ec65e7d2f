"""The test by decision: capacity held and lacking by policies that are tuned alike."""

import numpy as np
import pytest

from tiers.core.forecast.decision import decide, decision_lines, saved
from tiers.core.forecast.quantiles import MEDIAN, QUANTILES, STEPS

COUNT = 400
BEFORE, SCORED = np.arange(200), np.arange(200, COUNT - STEPS)


def wave() -> tuple[np.ndarray, np.ndarray]:
    """A daily wave: its last value (O,) and what came (O, 24)."""
    series = 100 + 60 * np.sin(2 * np.pi * np.arange(COUNT + STEPS) / 144)
    ahead = np.arange(COUNT)[:, None] + np.arange(1, STEPS + 1)
    return series[:COUNT], series[ahead]


def band(median: np.ndarray, width: float) -> np.ndarray:
    values = np.repeat(median[..., None], len(QUANTILES), axis=-1)
    values[..., MEDIAN + 1 :] += width
    return values


def test_a_forecast_that_knows_holds_less_than_the_last_value_at_the_same_objective() -> None:
    last, came = wave()
    found = decide(band(came, 5.0), last, came, lag=6, before=BEFORE, scored=SCORED)
    knows, reacts = found["forecast"], found["last"]
    assert knows is not None and reacts is not None
    assert (knows.margin, knows.short_gpu_hours, knows.served) == (0.0, 0.0, 1.0)
    assert knows.held_gpu_hours == pytest.approx(came[SCORED, 5].sum() / 6)
    assert reacts.served == pytest.approx(0.99, abs=0.02)
    assert reacts.margin > 0.1
    assert (share := saved(found)) is not None
    assert share > 0.1


def test_a_forecast_that_is_the_last_value_saves_nothing_certain() -> None:
    last, came = np.full(COUNT, 10.0), np.full((COUNT, STEPS), 10.0)
    came[::7] = 12.0
    values = band(np.full((COUNT, STEPS), 10.0), 1.0)
    found = decide(values, last, came, lag=1, before=BEFORE, scored=SCORED, gpus_per_unit=2.0)
    assert found["forecast"] is not None and found["last"] is not None
    assert found["forecast"].margin == pytest.approx(2.0)
    assert found["last"].margin == pytest.approx(0.2)
    assert found["forecast"].held_gpu_hours == pytest.approx(2 * 12 * len(SCORED) / 6)
    assert saved(found) == pytest.approx(0.0)


def test_the_scored_part_does_not_tune() -> None:
    last, came = wave()
    other = came.copy()
    other[SCORED] *= 3
    plain, tripled = (
        decide(band(came, 5.0), last, c, lag=3, before=BEFORE, scored=SCORED) for c in (came, other)
    )
    assert plain["last"] is not None and tripled["last"] is not None
    assert plain["last"].margin == tripled["last"].margin
    assert tripled["last"].short_gpu_hours > plain["last"].short_gpu_hours


def test_what_no_margin_serves_and_what_is_unknown_is_said() -> None:
    last, came = np.zeros(COUNT), np.ones((COUNT, STEPS))
    found = decide(band(came, 1.0), last, came, lag=1, before=BEFORE, scored=SCORED)
    assert found["last"] is None
    assert found["forecast"] is not None
    assert saved(found) is None
    nothing = decide(
        band(np.full_like(came, np.nan), 1.0), last, came, lag=1, before=BEFORE, scored=SCORED
    )
    assert nothing == {"last": None, "forecast": None}


def test_no_outcome_of_the_scored_part_is_tuned_on_at_any_lag() -> None:
    last, came = wave()
    late = came.copy()
    for origin in BEFORE:  # what came at or after the first scored origin's time
        late[origin, max(0, 200 - origin) :] *= 50
    plain, other = (
        decision_lines(band(came, 5.0), last, c, before=BEFORE, scored=SCORED) for c in (came, late)
    )
    assert [line["lag_min"] for line in plain] == [10, 30, 60]
    assert [a["last"]["margin"] for a in plain] == [b["last"]["margin"] for b in other]
