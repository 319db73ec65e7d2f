"""`manage.py calibrate` from a file to its report."""

import csv
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.tiers.core.profiles.runs import made_runs
from tiers.serving_runs import read_runs

HEADER = [
    "model_path", "system", "backend", "precision", "mode", "isl", "osl", "concurrency", "gpus",
    "tp_size", "ttft_ms", "tpot_ms", "curve_id",
]  # fmt: skip


def _rows() -> list[list[object]]:
    return [
        [
            r.setup.model, f"{r.setup.gpu_type.lower()}_sxm", r.setup.backend, r.setup.precision,
            "agg", r.setup.input_tokens, r.setup.output_tokens, r.setup.concurrency, r.setup.gpus,
            r.setup.tensor_parallel, r.ttft_ms, r.tpot_ms, r.curve,
        ]
        for r in made_runs()
    ]  # fmt: skip


def _file(folder: Path, rows: list[list[object]], header: list[str] = HEADER) -> Path:
    path = folder / "runs.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return path


def _report(*arguments: object) -> dict[str, object]:
    out = io.StringIO()
    call_command("calibrate", *(str(a) for a in arguments), stdout=out)
    report: dict[str, object] = json.loads(out.getvalue())
    return report


def test_the_report_has_the_promised_keys(tmp_path: Path) -> None:
    report = _report("--runs", _file(tmp_path, _rows()), "--model", "70B", "--json")
    assert report["curves"] == 12
    assert report["models"] == 3
    for name in ("leave_one_curve_out", "leave_one_model_out"):
        scores = report[name]
        assert isinstance(scores, dict)
        assert 0 < scores["tpot_median_abs_rel_err"] < 0.5
        assert 0 < scores["throughput_median_abs_rel_err"] < 0.5
    assert {p["model"] for p in report["profiles"]} == {"70B"}  # type: ignore[attr-defined]


def test_rows_of_no_use_are_counted_by_reason(tmp_path: Path) -> None:
    rows = _rows()
    disagg, unknown, rack = (list(rows[0]) for _ in range(3))
    disagg[4], unknown[0] = "disagg", "Nobody-9B"
    rack[1], rack[8] = "gb200", 72
    found = read_runs(_file(tmp_path, [*rows, disagg, unknown, rack]))
    assert len(found.runs) == len(rows)
    assert sum(found.left_out.values()) == 3
    assert any("Nobody-9B" in reason for reason in found.left_out)


def test_another_files_names_are_mapped(tmp_path: Path) -> None:
    header = ["clients" if name == "concurrency" else name for name in HEADER]
    path = _file(tmp_path, _rows(), header)
    with pytest.raises(CommandError, match="has no column concurrency"):
        call_command("calibrate", "--runs", str(path))
    report = _report("--runs", path, "--map", "concurrency=clients", "--model", "8B", "--json")
    assert report["runs"] == len(_rows())


def test_a_bad_cell_is_named_by_row_and_column(tmp_path: Path) -> None:
    rows = _rows()
    rows[4][10] = "fast"
    with pytest.raises(CommandError, match="row 5, column ttft_ms: 'fast' is no number"):
        call_command("calibrate", "--runs", str(_file(tmp_path, rows)))
