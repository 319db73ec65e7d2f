"""Measured serving runs from a file: CSV, gzip or Parquet, one row a run.

Columns have the names below; `mapping` gives another file's names for them. A run is used when it
names its server (`mode` is `agg` or absent), its GPUs, and positive times. Rack-scale systems
(GB200, GB300) with 12 GPUs or more are left out: such rows are mostly disaggregated servers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from tiers.core.profiles.errors import UnknownGpuType, UnknownModel
from tiers.core.profiles.hardware import BYTES_PER_WEIGHT, gpu_type_of
from tiers.core.profiles.setups import Run, Setup
from tiers.core.profiles.shapes import shape_of

REQUIRED = (
    "model_path", "system", "backend", "isl", "osl", "concurrency", "gpus", "ttft_ms", "tpot_ms",
)  # fmt: skip
OPTIONAL = (
    "precision", "mode", "tp_size", "attention_dp_size", "moe_ep_size", "curve_id",
)  # fmt: skip
RACK_SYSTEMS = ("GB200", "GB300")
RACK_GPUS = 12
# What a release without a stated precision is served in.
PUBLISHED_PRECISION = "bf16"


class RunsFileError(Exception):
    """The file cannot be read as serving runs; names the row and the column."""


@dataclass(slots=True)
class RunsFile:
    """The usable runs, and how many were left out by reason."""

    runs: list[Run] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_runs(path: Path, mapping: Mapping[str, str] | None = None) -> RunsFile:
    """Read a file of runs; `mapping` is {column of ours: column of the file}.

    Raises:
        RunsFileError: it is missing, not a table, lacks a column, or a cell is no number.
    """
    table = _table(path)
    names = {name: (mapping or {}).get(name, name) for name in (*REQUIRED, *OPTIONAL)}
    for name in REQUIRED:
        if names[name] not in table.column_names:
            raise RunsFileError(
                f"{path.name} has no column {names[name]}; it has {', '.join(table.column_names)}"
            )
    kept = {name: given for name, given in names.items() if given in table.column_names}
    rows = {name: table[given].to_pylist() for name, given in kept.items()}
    found = RunsFile()
    for number in range(table.num_rows):
        row = {name: cells[number] for name, cells in rows.items()}
        run, reason = _run(row, f"{path.name}, row {number + 1}")
        if run:
            found.runs.append(run)
        else:
            found.left_out[reason] += 1
    return found


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise RunsFileError(f"{path} is not a file")
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else pcsv.read_csv(path)
    except (pa.ArrowException, OSError) as err:
        raise RunsFileError(f"{path.name} cannot be read: {err}") from err


def _run(row: Mapping[str, Any], place: str) -> tuple[Run | None, str]:
    """A run, or None and why it is of no use."""
    numbers = {name: _number(row, name, place) for name in (*REQUIRED[3:], *OPTIONAL[2:5])}
    try:
        gpu_type, shape = gpu_type_of(str(row["system"])), shape_of(str(row["model_path"]))
    except (UnknownGpuType, UnknownModel) as err:
        return None, str(err)
    precision = str(row.get("precision") or PUBLISHED_PRECISION)
    if reason := _useless(row, numbers, gpu_type, precision):
        return None, reason
    setup = Setup(
        model=shape.family,
        gpu_type=gpu_type,
        backend=str(row["backend"]),
        precision=precision,
        gpus=int(numbers["gpus"]),
        input_tokens=numbers["isl"],
        output_tokens=numbers["osl"],
        concurrency=numbers["concurrency"],
        tensor_parallel=max(1.0, numbers["tp_size"]),
        data_parallel=max(1.0, numbers["attention_dp_size"]),
        expert_parallel=max(1.0, numbers["moe_ep_size"]),
    )
    curve = str(row.get("curve_id") or _curve(setup))
    return Run(setup, curve, ttft_ms=numbers["ttft_ms"], tpot_ms=numbers["tpot_ms"]), ""


def _useless(
    row: Mapping[str, Any], numbers: Mapping[str, float], gpu_type: str, precision: str
) -> str:
    """Why the row tells nothing about one server, or an empty string."""
    reasons = {
        "prefill and decode on separate servers": row.get("mode") not in {None, "", "agg"},
        "number of GPUs not stated": numbers["gpus"] < 1,
        "no positive times, load or lengths": numbers["osl"] < 2
        or min(numbers[name] for name in REQUIRED[3:]) <= 0,
        "rack-scale server, probably prefill and decode apart": gpu_type in RACK_SYSTEMS
        and numbers["gpus"] >= RACK_GPUS,
        f"precision {precision} is not known": precision not in BYTES_PER_WEIGHT,
    }
    return next((reason for reason, true in reasons.items() if true), "")


def _number(row: Mapping[str, Any], name: str, place: str) -> float:
    """A cell as a number; zero where it is empty or absent."""
    cell = row.get(name)
    if cell is None or cell == "":
        return 0.0
    try:
        return float(cell)
    except (TypeError, ValueError) as err:
        raise RunsFileError(f"{place}, column {name}: {cell!r} is no number") from err


def _curve(setup: Setup) -> str:
    """Runs that differ in load alone are one curve."""
    return "/".join(
        str(part)
        for part in (
            setup.model, setup.gpu_type, setup.backend, setup.precision, setup.gpus,
            setup.input_tokens, setup.output_tokens, setup.tensor_parallel, setup.data_parallel,
            setup.expert_parallel,
        )
    )  # fmt: skip
