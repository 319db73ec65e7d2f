"""Where a worker can die: before and after every write, and before and after every record."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from infra_console.plans.executing.runner import Runner
from infra_console.plans.holding.fence import Fence

Strike = Callable[[], None]


class Killed(BaseException):
    """The worker is gone at this instant; nothing of the product catches it."""


def die() -> None:
    """The thread's end, as the database sees it: an open transaction is rolled back."""
    raise Killed


def kill_process() -> None:
    """The whole process's end, with nothing said to anybody."""
    os.kill(os.getpid(), signal.SIGKILL)


class Boundaries:
    """Counts the boundaries of a run, and lets something happen at one of them."""

    def __init__(self, strike_at: int = 0, strike: Strike = die) -> None:
        self.passed = 0
        self._strike_at = strike_at
        self._strike = strike

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self._strike_at:
            self._strike()


@contextmanager
def watched(boundaries: Boundaries) -> Iterator[None]:
    """Every write and every record of this process passes the boundaries."""
    audited, record = Fence._audited, Runner._record
    pass_one = boundaries.pass_one

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
