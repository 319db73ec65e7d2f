"""The runs of benchmarks.faults: one killed at each boundary, one refused at random."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.faults_bench import Bench
from infra_console.cluster.errors import ClusterUnavailable, ObjectConflict
from infra_console.plans.fence import Fence
from infra_console.plans.runner import Runner

ERROR_RATE = 0.3


class Killed(BaseException):
    """The worker is gone at this instant."""


class Boundaries:
    """Counts the boundaries of a run and kills the worker at one of them."""

    def __init__(self, kill_at: int = 0) -> None:
        self.passed = 0
        self._kill_at = kill_at

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self._kill_at:
            raise Killed


def measure(seeds: list[int]) -> dict[str, Any]:
    runs, violations, resumed = 0, [], [0.0]
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, Bench(Path(folder), seed) as bench:
            total = _count(bench)
            for number in range(1, total + 1):
                resumed.append(_killed_run(bench, number))
                violations += bench.judge(f"seed {seed}, killed at boundary {number} of {total}")
            _refused_run(bench, random.Random(seed))  # noqa: S311 - a seed, not a secret
            violations += bench.judge(f"seed {seed}, refused at random")
            runs += total + 2
    return {
        "runs": runs,
        "violations": len(violations),
        "resume_seconds_max": round(max(resumed), 2),
        "seeds": seeds,
        "violated": violations,
    }


def _count(bench: Bench) -> int:
    boundaries = Boundaries()
    with _watched(boundaries.pass_one):
        bench.finish(bench.next_plan())
    return boundaries.passed


def _killed_run(bench: Bench, number: int) -> float:
    plan, boundaries = bench.next_plan(), Boundaries(number)
    try:
        with _watched(boundaries.pass_one):
            bench.finish(plan)
    except Killed:
        bench.let_lease_run_out(plan)
    killed_at = time.monotonic()
    bench.finish(plan)
    return time.monotonic() - killed_at


def _refused_run(bench: Bench, rng: random.Random) -> None:
    with _refusing(rng):
        bench.finish(bench.next_plan())


@contextmanager
def _watched(pass_one: Callable[[], None]) -> Iterator[None]:
    """Pass a boundary before and after each write, and before and after each record."""
    audited, record = Fence._audited, Runner._record

    def write(self: Any, step: str, what: str, call: Callable[[], Any]) -> Any:
        def bounded() -> Any:
            pass_one()
            result = call()
            pass_one()
            return result

        return audited(self, step, what, bounded)

    def write_down(self: Any, step: Any, outcome: Any) -> None:
        pass_one()
        record(self, step, outcome)
        pass_one()

    with patch.object(Fence, "_audited", write), patch.object(Runner, "_record", write_down):
        yield


@contextmanager
def _refusing(rng: random.Random) -> Iterator[None]:
    """Answer some writes as a cluster in trouble does, before or after they took effect."""
    audited = Fence._audited
    soon = {"retry_after_s": 0.05}

    def write(self: Any, step: str, what: str, call: Callable[[], Any]) -> Any:
        def troubled() -> Any:
            if rng.random() >= ERROR_RATE:
                return call()
            trouble = rng.choice(["409", "429", "500", "timeout", "lost"])
            if trouble == "409":
                raise ObjectConflict("twin", f"{what}: changed")
            if trouble == "lost":
                call()
            raise ClusterUnavailable("twin", f"{what}: {trouble}", **soon)

        return audited(self, step, what, troubled)

    with patch.object(Fence, "_audited", write):
        yield
