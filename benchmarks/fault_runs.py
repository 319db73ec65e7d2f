"""Every kind of fault over every seed, each on a bench of its own, and the figures of them all."""

import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Measured:
    """One line of the table, what was violated, and the seconds of each resumption."""

    row: Mapping[str, Any]
    violated: Sequence[str]
    resumed: Sequence[float]


def measured_kind(kind: str, seeds: Sequence[int], helpers: Helpers) -> Measured:
    """One kind of fault over every seed."""
    began = time.monotonic()
    benches = [survive(kind, seed, helpers) for seed in seeds]
    violated = [words for bench in benches for words in bench.violations]
    row = {
        "fault": kind, "seeds": len(seeds), "runs": sum(bench.runs for bench in benches),
        "violations": len(violated), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    print(json.dumps(row), *violated, sep="\n", file=sys.stderr, flush=True)
    return Measured(row, violated, [seconds for bench in benches for seconds in bench.resumed])


def table(seeds: Sequence[int], measured: Sequence[Measured]) -> dict[str, Any]:
    """The table of faults, and its sums."""
    violated = [words for kind in measured for words in kind.violated]
    return {
        "runs": sum(kind.row["runs"] for kind in measured),
        "violations": len(violated),
        "resume_seconds_max": round(max((s for k in measured for s in k.resumed), default=0.0), 2),
        "seeds": list(seeds),
        "faults": [kind.row for kind in measured],
        "violated": violated,
    }


def survive(kind: str, seed: int, helpers: Helpers) -> Bench:
    """One kind of fault with one seed; the bench remembers what came of it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Bench(Path(folder), seed, name=kind, helpers=helpers) as bench,
    ):
        try:
            FAULTS[kind](bench)
        except Exception:  # noqa: BLE001  a run that cannot go on is a finding, not the end of all
            bench.expect(False, traceback.format_exc(limit=-4))
    return bench
