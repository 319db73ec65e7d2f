"""Every kind of fault over every seed, each on a bench of its own, and the figures of them all."""

import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import fault_api, fault_servers, fault_time, fault_workers, fault_world
from benchmarks.faults_bench import Bench, Helpers

FAULTS: Mapping[str, Callable[[Bench], None]] = {
    **fault_workers.FAULTS,
    **fault_api.FAULTS,
    **fault_world.FAULTS,
    **fault_time.FAULTS,
    **fault_servers.FAULTS,
}


def measure(seeds: Sequence[int], kinds: Iterable[str], helpers: Helpers) -> dict[str, Any]:
    """The table of faults, and its sums."""
    rows, violated, resumed = [], list[str](), [0.0]
    for kind in kinds:
        row = {"fault": kind, "seeds": len(seeds), "runs": 0, "violations": 0, "seconds": 0.0}
        began = time.monotonic()
        for seed in seeds:
            bench = survive(kind, seed, helpers)
            row["runs"] += bench.runs
            row["violations"] += len(bench.violations)
            violated += bench.violations
            resumed += bench.resumed
        row["seconds"] = round(time.monotonic() - began, 1)
        rows.append(row)
    return {
        "runs": sum(row["runs"] for row in rows),
        "violations": len(violated),
        "resume_seconds_max": round(max(resumed), 2),
        "seeds": list(seeds),
        "faults": rows,
        "violated": violated,
    }


def survive(kind: str, seed: int, helpers: Helpers) -> Bench:
    """One kind of fault with one seed; the bench remembers what came of it."""
    if kind not in fault_servers.FAULTS:
        helpers = replace(helpers, processes=None)
    with (
        tempfile.TemporaryDirectory() as folder,
        Bench(Path(folder), seed, name=kind, helpers=helpers) as bench,
    ):
        try:
            FAULTS[kind](bench)
        except Exception:  # noqa: BLE001  a run that cannot go on is a finding, not the end of all
            bench.expect(False, traceback.format_exc(limit=-4))
    return bench
