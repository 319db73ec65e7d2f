"""Three boundaries with production's clocks: the lease of 30 s and the sweep of 5 s as they are.

A Celery worker kills itself with SIGKILL at the boundary; another worker and the beat are there,
as in life. Measured is the time from the kill to the plan's end.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.fault_processes import Processes
from benchmarks.faults_bench import Bench, Helpers

BOUNDARIES = (2, 6, 10)
LIMIT_S = 90.0
END_S = 180.0


def real_timers(
    environment: Mapping[str, str], seed: int, boundaries: tuple[int, ...] = BOUNDARIES
) -> dict[str, Any]:
    """Seconds from each kill to the plan's end, and what was violated."""
    resumed, violated = [], list[str]()
    real = {**environment, "FAULT_REAL_TIMERS": "1"}
    with tempfile.TemporaryDirectory() as folder, Processes(real, Path(folder), "beat") as there:
        for number in boundaries:
            seconds, found = _killed_at(number, there, seed)
            resumed.append(seconds)
            violated += found
    return {
        "runs": len(boundaries), "boundaries": list(boundaries), "violations": len(violated),
        "resume_seconds": resumed, "resume_seconds_max": max(resumed), "violated": violated,
        "seeds": [seed],
    }  # fmt: skip


def _killed_at(number: int, there: Processes, seed: int) -> tuple[float, list[str]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Bench(
            Path(folder), seed, name="real timers", helpers=Helpers(processes=there),
            real_timers=True,
        ) as bench,
    ):  # fmt: skip
        doomed, heir = f"worker-dies-{number}", f"worker-{number}"
        there.start(doomed, FAULT_KILL_AT=str(number))
        plan = bench.next_plan()
        bench.expect(there.ended(doomed, within_s=END_S), "the worker was not killed")
        killed_at = time.monotonic()
        there.forget(doomed)
        there.start(heir)
        there.wait(lambda: bench.is_over(plan), within_s=END_S)
        seconds = round(time.monotonic() - killed_at, 1)
        bench.expect(seconds <= LIMIT_S, f"killed at boundary {number}: resumed in {seconds} s")
        bench.judge(plan, what=f"killed at boundary {number}")
        there.kill(heir, for_good=True)
    return seconds, bench.violations
