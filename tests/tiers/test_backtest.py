"""The backtest command: figures, gaps, leakage, and files that are refused."""

import csv
import gzip
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests.infra_console.telemetry.samples import Reply, http_server, success
from tests.tiers.core.forecast.shapes import fleet
from tiers.core.forecast.backtest import run_backtest
from tiers.core.forecast.features import SeriesMatrix, prepare
from tiers.core.forecast.score import ratio_interval
from tiers.core.forecast.torch_model import TorchModel, train
from tiers.core.forecast.windows import DAY
from tiers.series_files import SeriesFileError, read_series

KEYS = {
    "group", "horizon", "origins", "mae", "mase", "rel_mae_best_naive",
    "rel_mae_best_naive_interval", "rel_mae_last", "wql", "coverage_50", "coverage_80",
    "coverage_95", "coverage_95_interval", "coverage_95_top_demand", "coverage_95_ramps", "model",
    "fit_seconds", "forecast_seconds", "rivals", "decision",
}  # fmt: skip


@pytest.fixture
def brief_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def brief(matrix: SeriesMatrix, **options: int) -> tuple[TorchModel, list[float]]:
        return train(matrix, **{**options, "epochs": 1, "batches_per_epoch": 2})

    monkeypatch.setattr("tiers.core.forecast.backtest.train", brief)


def write(path: Path, history: np.ndarray) -> Path:
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow(["model", "t_s", "rate_rps"])
    for row, series in enumerate(history):
        rows.writerows((f"m{row}", 600 * i, round(v, 4)) for i, v in enumerate(series))
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_one_json_object_has_every_figure_for_each_group_and_horizon(
    tmp_path: Path, brief_training: None
) -> None:
    path = write(tmp_path / "demand.csv.gz", fleet(2, 4))
    out = StringIO()
    call_command(
        "backtest", "--series", str(path), "--horizon", "2h", "--horizon", "4h", "--json",
        stdout=out,
    )  # fmt: skip
    results = json.loads(out.getvalue())["results"]
    assert [(r["group"], r["horizon"]) for r in results] == [
        ("m0", "2h"), ("m0", "4h"), ("m1", "2h"), ("m1", "4h"),
    ]  # fmt: skip
    for found in results:
        assert found.keys() >= KEYS
        assert found["rel_mae_best_naive"] <= 1.02
        interval = found["rel_mae_best_naive_interval"]
        assert interval["low"] <= interval["value"] <= interval["high"]
        covered = found["coverage_95_interval"]
        assert covered["value"] == pytest.approx(found["coverage_95"], rel=1e-4)
        assert covered["low"] <= covered["value"] <= covered["high"]
        assert found["rivals"]["last"]["mae"] > 0
        hour = found["decision"][-1]
        assert (hour["lag_min"], hour["wanted"]) == (60, 0.99)
        assert hour["forecast"]["held_gpu_hours"] > 0


def test_a_spike_to_come_moves_no_earlier_forecast(brief_training: None) -> None:
    history, grid = fleet(2, 4), 600.0 * np.arange(4 * DAY)
    spike_at = 3 * DAY + 100
    spiked = history.copy()
    spiked[:, spike_at:] *= 50
    plain, other = (
        run_backtest(
            prepare(h, grid, np.zeros(2)), 3 * DAY, seed=1, lap=lambda _: None
        ).rolling.values
        for h in (history, spiked)
    )
    np.testing.assert_array_equal(plain[:, :spike_at], other[:, :spike_at])
    assert not np.array_equal(plain[:, spike_at:], other[:, spike_at:], equal_nan=True)


def test_windows_where_all_are_zero_are_gaps(tmp_path: Path) -> None:
    history = fleet(2, 2)
    history[:, 50] = 0
    history[0, 60] = 0
    found = read_series(write(tmp_path / "a.csv", history)).history
    assert np.isnan(found[:, 50]).all()
    assert found[0, 60] == 0


def test_an_hour_of_silence_of_a_steady_series_is_a_gap_and_longer_is_news(tmp_path: Path) -> None:
    history = fleet(2, 3)
    history[0, 300:320] = 0
    found = read_series(write(tmp_path / "a.csv", history)).history
    assert np.isnan(found[0, 300:306]).all()
    assert (found[0, 306:320] == 0).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,t_s,rate_rps\na,0,1\na,600,many\n", "row 2, column rate_rps: 'many'"),
        ("model,time,rate_rps\na,2026-11-24T00:00,1\na,yesterday,1\n", "row 2, column time"),
        ("model,t_s,rate_rps\na,0,-1\n", "row 1, column rate_rps: -1.0"),
        ("model,t_s,requests\na,0,1\n", "no column rate_rps; it has model, t_s, requests"),
        ("model,t_s,rate_rps\n", "no rows"),
    ],
)
def test_a_bad_file_is_refused_by_row_and_column(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SeriesFileError, match=words):
        read_series(path)


def test_a_missing_file_and_a_strange_horizon_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is not a file"):
        call_command("backtest", "--series", str(tmp_path / "none.csv"))
    with pytest.raises(CommandError, match="multiple of 10min up to 4h"):
        call_command("backtest", "--series", str(tmp_path / "none.csv"), "--horizon", "5h")


def test_the_interval_of_a_ratio_holds_it() -> None:
    random = np.random.default_rng(2)
    theirs = random.exponential(size=(200, 24))
    found = ratio_interval(0.8 * theirs, theirs, random=random, block=12)
    assert found == pytest.approx({"value": 0.8, "low": 0.8, "high": 0.8})


def test_a_series_that_ends_early_is_scored_on_its_own_last_part(
    tmp_path: Path, brief_training: None
) -> None:
    history = fleet(2, 4)
    history[1, DAY:] = np.nan
    path = tmp_path / "demand.csv"
    known = zip(*np.nonzero(np.isfinite(history)), strict=True)
    rows = [f"m{row},{600 * i},{history[row, i]}" for row, i in known]
    path.write_text("\n".join(["model,t_s,rate_rps", *rows]))
    out = StringIO()
    call_command("backtest", "--series", str(path), "--horizon", "2h", "--json", stdout=out)
    long, short = json.loads(out.getvalue())["results"]
    assert (long["scored_from"], short["scored_from"]) == (600 * 403, 600 * 101)
    assert short["mae"] > 0


def test_a_file_too_short_to_score_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "short.csv", fleet(1, 1)[:, :70])
    with pytest.raises(CommandError, match=r"of 70 windows .* 49 lie before .* 21 in it, .* 25"):
        call_command("backtest", "--series", str(path), "--horizon", "4h")
    with pytest.raises(CommandError, match="10 lie before the scored part, which needs 24"):
        call_command("backtest", "--series", str(path), "--scored-from", str(600 * 9))


def test_one_column_may_be_a_sum_and_groups_may_have_two_names(tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    path.write_text("time,vc,kind,running,pending\n2026-11-24T00:00:00Z,a,big,2,3\n")
    found = read_series(path, value_column="running+pending", group_column="vc,kind")
    assert (found.groups, found.history.tolist()) == (("a/big",), [[5.0]])


def test_the_largest_are_taken_from_each_first_column(tmp_path: Path) -> None:
    rates = {("a", 1): 5, ("a", 2): 9, ("b", 1): 1, ("b", 2): 2, ("b", 3): 3}
    path = tmp_path / "clients.csv"
    lines = [f"{model},{client},0,{rate}" for (model, client), rate in rates.items()]
    path.write_text("\n".join(["model,client_id,t_s,rate_rps", *lines]))
    assert read_series(path, group_column="model,client_id", top=2).groups == (
        "a/2", "a/1", "b/3", "b/2",
    )  # fmt: skip
    with_one_column = read_series(path, group_column="client_id", top=1)
    assert with_one_column.groups == ("2",)


def test_a_query_is_judged_as_a_file_is(brief_training: None) -> None:
    history = fleet(2, 4)
    asked_for: list[str] = []

    def answer(path: str, asked: dict[str, str]) -> Reply:
        asked_for.append(asked["query"])
        times_s = np.arange(float(asked["start"]), float(asked["end"]) + 1, 600)
        return success(
            [
                {
                    "metric": {"__name__": "rate", "cluster": "eu", "model": f"m{row}"},
                    "values": [[t, str(v)] for t, v in zip(times_s, history[row], strict=True)],
                }
                for row in range(2)
            ]
        )

    out = StringIO()
    with http_server(answer) as url:
        call_command(
            "backtest", "--prometheus", "sum by (model) (rps)", "--days", "4", "--url", url,
            "--top", "1", "--horizon", "2h", "--json", stdout=out,
        )  # fmt: skip
    assert asked_for == ["avg_over_time((sum by (model) (rps))[600s:60s])"]
    (found,) = json.loads(out.getvalue())["results"]
    largest = int(np.argmax(history.sum(axis=1)))
    assert found["group"] == f"eu/m{largest}"
    assert found["mae"] > 0


def test_a_query_without_an_answer_says_so() -> None:
    with (
        http_server(lambda path, asked: success([])) as url,
        pytest.raises(CommandError, match="gave no series over the last 28 days"),
    ):
        call_command("backtest", "--prometheus", "nothing", "--url", url)
    with pytest.raises(CommandError, match="say where it is with --url"):
        call_command("backtest", "--prometheus", "up")
