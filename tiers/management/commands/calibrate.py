"""`manage.py calibrate`: serving profiles from measured runs, and how wrong they are.

Needs no database and no fleet.
"""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tiers.core.profiles.calibrate import Calibration, LeftOut
from tiers.core.profiles.errors import TooFewRuns, UnknownGpuType, UnknownModel
from tiers.core.profiles.tables import Profile, profiles
from tiers.serving_runs import RunsFile, RunsFileError, read_runs

MODELS = ("7B", "13B", "34B", "70B", "180B", "405B", "DeepSeek-V3")
GPU_TYPES = ("H100", "H200", "B200")


class Command(BaseCommand):
    help = "Fit serving profiles (throughput and latency against load) to measured runs."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--runs", required=True, type=Path, help="CSV, gzip or Parquet")
        parser.add_argument(
            "--map", action="append", default=[], metavar="OURS=THEIRS",
            help="a column of ours under another name in the file; may be repeated",
        )  # fmt: skip
        parser.add_argument("--model", action="append", help=f"default {', '.join(MODELS)}")
        parser.add_argument("--gpu-type", action="append", help=f"default {', '.join(GPU_TYPES)}")
        parser.add_argument("--lengths", default="1024x1024", help="input x output tokens")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = read_runs(options["runs"], _mapping(options["map"]))
            calibration = Calibration.fit(found.runs)
            tables = list(
                profiles(
                    calibration,
                    models=options["model"] or MODELS,
                    gpu_types=options["gpu_type"] or GPU_TYPES,
                    lengths=_lengths(options["lengths"]),
                )
            )
        except (RunsFileError, TooFewRuns, UnknownModel, UnknownGpuType) as err:
            raise CommandError(str(err)) from err
        report = _report(found, calibration, tables)
        self.stdout.write(json.dumps(report, indent=1) if options["json"] else _text(report))


def _mapping(pairs: list[str]) -> dict[str, str]:
    if wrong := [pair for pair in pairs if pair.count("=") != 1]:
        raise CommandError(f"--map {wrong[0]}: write OURS=THEIRS")
    return dict(pair.split("=") for pair in pairs)


def _lengths(words: str) -> tuple[int, int]:
    read, _, made = words.partition("x")
    if not (read.isdigit() and made.isdigit() and int(read) and int(made) > 1):
        raise CommandError(f"--lengths {words}: write INPUTxOUTPUT in tokens, such as 1024x256")
    return int(read), int(made)


def _report(found: RunsFile, calibration: Calibration, tables: list[Profile]) -> dict[str, Any]:
    return {
        "leave_one_curve_out": _rounded(calibration.leave_one_curve_out()),
        "leave_one_model_out": _rounded(calibration.leave_one_model_out()),
        "curves": len({run.curve for run in found.runs}),
        "models": len({run.setup.model for run in found.runs}),
        "runs": len(found.runs),
        "left_out": dict(found.left_out.most_common()),
        "profiles": [_profile(table) for table in tables],
    }


def _rounded(scores: LeftOut) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(scores).items()}


def _profile(table: Profile) -> dict[str, Any]:
    document = asdict(table)
    document["rel_sd"] = round(table.rel_sd, 3)
    document["points"] = [
        {name: round(value, 3) for name, value in point.items()} for point in document["points"]
    ]
    return document


def _text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['runs']} runs, {report['curves']} curves, {report['models']} models",
        *(f"left out: {count} ({reason})" for reason, count in report["left_out"].items()),
        "",
        "median relative error          TPOT  throughput  TTFT",
        *(
            f"  {title:<28} {scores['tpot_median_abs_rel_err']:>5.1%} "
            f"{scores['throughput_median_abs_rel_err']:>10.1%} "
            f"{scores['ttft_median_abs_rel_err']:>6.1%}"
            for title, scores in (
                ("a curve left out", report["leave_one_curve_out"]),
                ("a model left out", report["leave_one_model_out"]),
            )
        ),
        "",
        "model         GPUs     precision  load     TPOT ms   TTFT ms  tokens/s/GPU  ± source",
        *(_line(table) for table in report["profiles"]),
    ]
    return "\n".join(lines)


def _line(table: dict[str, Any]) -> str:
    """One profile at its highest load."""
    point = table["points"][-1]
    return (
        f"{table['model']:<13} {table['gpus']}x{table['gpu_type']:<6} {table['precision']:<9}"
        f"{point['concurrency']:>6} {point['tpot_ms']:>11.1f} {point['ttft_ms']:>9.0f}"
        f"{point['tokens_per_s_per_gpu']:>14.0f}  {table['rel_sd']:.0%} {table['source']}"
    )
