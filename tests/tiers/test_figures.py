"""Figures keep gaps, sum to the fleet, and say what is missing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tiers.figures import LEDGER_WIDTH, band_traces, ledger_bar, sparkline, tier_figure
from tiers.timelines import Band

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW = (NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=4))
HISTORY = {
    "times": [NOW.timestamp() - 120, NOW.timestamp() - 60, NOW.timestamp()],
    "gpus": [8.0, None, 16.0],
    "busy": [4.0, 4.0, None],
    "asked": [8.0, 8.0, 8.0],
    "problem": "",
}
NO_BAND = Band(None, (), "GPUs")


def band() -> Band:
    times = [NOW.timestamp() + 600, NOW.timestamp() + 1200]
    return Band(NOW, ("naive",), "GPUs", times, [1.0, 1.0], [2.0, 2.0], [4.0, 3.0])


def test_a_gap_stays_a_gap_and_is_not_bridged():
    figure = tier_figure(HISTORY, None, floor_gpus=None, window=WINDOW)
    gpus = next(trace for trace in figure["data"] if trace["name"] == "GPUs of the tier")
    assert gpus["y"] == [8.0, None, 16.0]
    assert gpus["connectgaps"] is False


def test_the_future_is_drawn_only_when_asked_for_and_up_to_its_edge():
    with_future = tier_figure(HISTORY, band(), floor_gpus=None, window=WINDOW)
    names = [trace.get("name") for trace in with_future["data"]]
    assert "Forecast, p50" in names
    assert with_future["layout"]["xaxis"]["range"][1] == WINDOW[2].isoformat()
    without = tier_figure(HISTORY, None, floor_gpus=None, window=WINDOW)
    assert "Forecast, p50" not in [trace["name"] for trace in without["data"]]


def test_a_band_without_a_median_draws_nothing_and_one_with_gaps_keeps_them():
    assert band_traces(NO_BAND, "Forecast") == []
    gapped = replace(band(), p50=[None, 2.0])
    low, high, middle = band_traces(gapped, "Forecast", legend=False)
    assert (high["showlegend"], middle["y"], middle["connectgaps"]) == (False, [None, 2.0], False)
    assert low["x"][0] == "2026-11-24T12:10:00+00:00"


def test_a_silent_source_is_said_and_nothing_is_drawn_as_zero():
    silent = {"times": [], "gpus": [], "busy": [], "asked": [], "problem": "main: no answer"}
    figure = tier_figure(silent, None, floor_gpus=8, window=WINDOW)
    assert "main: no answer" in figure["problem"]
    assert figure["data"] == []


def test_no_samples_are_told_apart_from_no_source():
    empty = {"times": [], "gpus": [], "busy": [], "asked": [], "problem": ""}
    figure = tier_figure(empty, None, floor_gpus=None, window=WINDOW)
    assert "No samples" in figure["problem"]


def test_what_the_sums_lack_is_said_on_the_chart():
    lacking = replace(band(), missing=("south",))
    figure = tier_figure(HISTORY | {"missing": ("east",)}, lacking, floor_gpus=None, window=WINDOW)
    assert "Sums lack east" in figure["problem"]
    assert "forecast lacks south" in figure["problem"]
    assert tier_figure(HISTORY, band(), floor_gpus=None, window=WINDOW)["problem"] == ""


def test_a_sparkline_breaks_at_a_gap_and_has_the_band_around_its_middle():
    start_s, end_s = NOW.timestamp() - 120, NOW.timestamp() + 1200
    times, values = HISTORY["times"], HISTORY["gpus"]
    paths = sparkline(times, values, band(), start_s=start_s, now_s=NOW.timestamp(), end_s=end_s)
    assert paths.line.count("M") == 2
    assert paths.top == 16.0
    assert paths.band.startswith("M")
    assert paths.band.endswith("Z")
    assert paths.now_x == pytest.approx(300 * 120 / 1320)


def test_a_sparkline_of_nothing_is_empty():
    paths = sparkline([], [], NO_BAND, start_s=0, now_s=1, end_s=2)
    assert (paths.line, paths.middle, paths.band) == ("", "", "")


def test_the_ledgers_bar_is_as_long_as_the_fleet():
    bar = ledger_bar({"serving": 8, "training": 12, "broken": 4})
    assert bar.total == 24
    assert sum(part.width for part in bar.parts) == pytest.approx(LEDGER_WIDTH)
    assert bar.parts[1].x == pytest.approx(bar.parts[0].width)


def test_an_empty_ledger_has_no_bar():
    assert ledger_bar({}).parts == ()
