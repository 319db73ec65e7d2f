"""`manage.py backtest`: how good the forecaster is on given series, beside its rivals.

Needs no database and no fleet.
"""

import json
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from infra_console.telemetry.errors import SourceError
from tiers.core.forecast.backtest import SCORED, result, run_backtest
from tiers.core.forecast.features import HOUR, prepare
from tiers.core.forecast.quantiles import STEP_S, STEPS, Array
from tiers.rivals import ORIGINS, rival_quantiles
from tiers.series_files import FileSeries, SeriesFileError, read_series
from tiers.series_prometheus import query_series

_UNITS_S = {"min": 60, "h": 3600, "s": 1}
THREADS = 1  # two gain nothing on networks this small, and spin where the machine is shared


class Command(BaseCommand):
    help = "Score the forecaster and its rivals at rolling origins over the last 30 % of a file."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        given = parser.add_mutually_exclusive_group(required=True)
        given.add_argument("--series", type=Path, help="CSV, gzip or Parquet")
        given.add_argument("--prometheus", metavar="QUERY", help="instead of a file")
        parser.add_argument("--days", type=float, default=28.0, help="of the query")
        parser.add_argument("--url", default="", help="of the Prometheus; else PROMETHEUS_URL")
        parser.add_argument("--time-column", help="ISO 8601, or seconds from the start; time, t_s")
        parser.add_argument("--value-column", default="rate_rps", help="also a sum: a+b")
        parser.add_argument("--group-column", help="also several: a,b; default model if there")
        parser.add_argument("--top", type=int, help="the N largest of each first group column")
        parser.add_argument("--freq", default="10min", help="only 10min")
        parser.add_argument("--horizon", action="append", help="2h, 4h; may be repeated")
        parser.add_argument("--scored-from", metavar="T", help="time, or seconds from the start")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        import torch  # noqa: PLC0415  seconds to import, and --help needs none

        torch.set_num_threads(min(THREADS, torch.get_num_threads()))
        if seconds_of(options["freq"], "--freq") != STEP_S:
            raise CommandError("--freq: the forecaster works on 10min; finer files are averaged")
        horizons = {word: _steps(word) for word in options["horizon"] or ["2h", "4h"]}
        try:
            series = _series(options)
        except (SeriesFileError, SourceError) as err:
            raise CommandError(str(err)) from err
        scored_from = _scored_from(series, options["scored_from"], max(horizons.values()))
        report = backtest(series, scored_from, horizons, options)
        self.stdout.write(json.dumps(report, indent=1) if options["json"] else _text(report))


def _series(options: dict[str, Any]) -> FileSeries:
    if options["series"]:
        return read_series(
            options["series"],
            time_column=options["time_column"],
            value_column=options["value_column"],
            group_column=options["group_column"],
            top=options["top"],
        )
    url = options["url"] or settings.PROMETHEUS_URL
    if not url:
        raise CommandError("--prometheus: say where it is with --url, or set PROMETHEUS_URL")
    return query_series(
        options["prometheus"],
        url=url,
        days=options["days"],
        now=datetime.now(UTC),
        top=options["top"],
    )


def backtest(
    series: FileSeries, scored_from: int, horizons: dict[str, int], options: dict[str, Any]
) -> dict[str, Any]:
    """The whole report, with the seconds that fitting and forecasting took by series."""
    seconds = {"fit": 0.0, "forecast": 0.0}
    began = [time.perf_counter()]

    def lap(stage: str) -> None:
        now = time.perf_counter()
        seconds[stage] += now - began[0]
        began[0] = now

    matrix = prepare(series.history, series.times_s, np.zeros(len(series.groups)))
    random = np.random.default_rng(options["seed"])
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for place, length, rows in _cohorts(series.history, scored_from, options["scored_from"]):
        known = matrix.until(length - 1)
        began[0] = time.perf_counter()
        test = run_backtest(known, place, seed=options["seed"], lap=lap)
        hourly = np.arange(test.warm, max(test.warm + 1, len(test.origins) - STEPS))[::HOUR]
        test.rivals.update(rival_quantiles(known, test.origins, hourly))
        for row in rows:
            for word, n in horizons.items():
                figures = _rounded(result(test, row, n, random=random))
                found[row, word] = {**figures, "scored_from": _time(series, place)}
    each = {f"{k}_seconds": round(v / len(series.groups), 3) for k, v in seconds.items()}
    results = [
        {"group": group, "horizon": word, **found[row, word], **each}
        for row, group in enumerate(series.groups)
        for word in horizons
    ]
    return {
        "schema": "backtest/1",
        "series": options["series"].name if options["series"] else options["prometheus"],
        "groups": len(series.groups),
        "windows": series.history.shape[1],
        "scored_from": _time(series, scored_from),
        "seconds_all_series": {k: round(v, 1) for k, v in seconds.items()},
        "notes": [
            "errors at hourly origins over the whole path (0, horizon]; coverage at every origin",
            f"rivals beyond the naive ones: at most {ORIGINS} evenly spaced origins, the past week",
            "fit_seconds and forecast_seconds are one series' share of a common run",
        ],
        "summary": {word: _summary(results, word) for word in horizons},
        "results": results,
    }


def _cohorts(
    history: Array, scored_from: int, given: str | None
) -> list[tuple[int, int, list[int]]]:
    """(first scored column, length, rows): a series that ends before the common scored part is
    scored on the last 30 % of its own time, seeing its siblings up to then.

    Each end costs its own training, so only the two most common ends are served.
    """
    length = history.shape[1]
    ends = length - np.isfinite(history[:, ::-1]).argmax(axis=1)
    short = (ends <= scored_from + STEPS) & np.isfinite(history).any(axis=1) & (ends > 3 * STEPS)
    found = []
    if given is None:
        kinds, counts = np.unique(ends[short], return_counts=True)
        for end in kinds[np.argsort(-counts)][:2]:
            rows = np.flatnonzero(short & (ends == end)).tolist()
            found.append((round((1 - SCORED) * int(end)), int(end), rows))
    taken = {row for _, _, rows in found for row in rows}
    rest = [row for row in range(len(history)) if row not in taken]
    return [(scored_from, length, rest), *found] if rest else found


def seconds_of(word: str, option: str) -> int:
    for unit, length in _UNITS_S.items():
        if word.endswith(unit) and word.removesuffix(unit).isdigit():
            return int(word.removesuffix(unit)) * length
    raise CommandError(f"{option}: {word} is no duration; write 10min or 2h")


def _steps(word: str) -> int:
    steps, rest = divmod(seconds_of(word, "--horizon"), STEP_S)
    if rest or not 1 <= steps <= STEPS:
        raise CommandError(f"--horizon: {word} is not a multiple of 10min up to 4h")
    return steps


def _scored_from(series: FileSeries, given: str | None, steps: int) -> int:
    """The first scored origin's column, with history before it and a whole horizon after it."""
    length: int = series.history.shape[1]
    if given is None:
        place = round((1 - SCORED) * length)
    else:
        try:
            at_s = float(given) if not series.calendar else _epoch(given)
        except ValueError as err:
            raise CommandError(f"--scored-from: {given} is no time of this file") from err
        place = int(np.searchsorted(series.times_s, at_s, side="right"))
    if place < STEPS or length - place <= steps:
        raise CommandError(
            f"too little history: of {length} windows of ten minutes {place} lie before the scored "
            f"part, which needs {STEPS}, and {length - place} in it, which needs {steps + 1}"
        )
    return place


def _epoch(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _time(series: FileSeries, place: int) -> str | float:
    at_s = float(series.times_s[place])
    return datetime.fromtimestamp(at_s, UTC).isoformat() if series.calendar else at_s


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _summary(results: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """Means over series; coverage pooled by series with as many origins each."""
    chosen = [r for r in results if r["horizon"] == word and r["origins"]]
    ratios = [r["rel_mae_best_naive"] for r in chosen if r["rel_mae_best_naive"] is not None]
    covered = [r["coverage_95"] for r in chosen if r["coverage_95"] is not None]
    return {
        "series": len(chosen),
        "mean_rel_mae_best_naive": round(float(np.mean(ratios)), 4) if ratios else None,
        "worst_rel_mae_best_naive": round(max(ratios), 4) if ratios else None,
        "pooled_coverage_95": round(float(np.mean(covered)), 4) if covered else None,
        "series_whose_coverage_may_be_95": sum(_may_be_95(r) for r in chosen),
    }


def _may_be_95(result: dict[str, Any]) -> bool:
    interval = result["coverage_95_interval"]
    return interval is not None and interval["low"] <= 0.95 <= interval["high"]


def _text(report: dict[str, Any]) -> str:
    names = " ".join(f"{name:>8}" for name in ("MAE", "/naive", "/last", "wql"))
    lines = [f"{'group':24} {'to':>4} {names} {'95 %':>6}  in force"]
    for row in report["results"]:
        cells = [row["mae"], row["rel_mae_best_naive"], row["rel_mae_last"], row["wql"]]
        shown = " ".join(f"{'-' if c is None else format(c, '.4g'):>8}" for c in cells)
        cover = "-" if row["coverage_95"] is None else f"{row['coverage_95']:.3f}"
        lines.append(f"{row['group']:24} {row['horizon']:>4} {shown} {cover:>6}  {row['model']}")
    return "\n".join([*lines, json.dumps(report["summary"])])
