"""The steps of one wave tried at once, a bounded number of them, each thread with its connection.

What one of them raises is raised here once the others have ended their try; none begins after it,
nor after a step that stops the plan.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from django.db import connection

from infra_console.plans.lease import LeaseLost
from infra_console.plans.models import Step
from infra_console.plans.steps.base import Blocked, Failed, Outcome

WIDTH = 8  # as many as the cluster's client keeps connections


def try_all(steps: Sequence[Step], attempt: Callable[[Step], Outcome]) -> list[Outcome]:
    """The outcomes of the steps that were tried.

    Raises: what an attempt raised, a lost lease before all else.
    """
    crew = _Crew(steps, attempt)
    # Threads cannot share a caller's open transaction.
    if len(steps) < 2 or connection.in_atomic_block:
        crew.work()
    else:
        crew.work_at_once(min(WIDTH, len(steps)))
    if crew.raised:
        raise next((err for err in crew.raised if isinstance(err, LeaseLost)), crew.raised[0])
    return crew.outcomes


class _Crew:
    def __init__(self, steps: Sequence[Step], attempt: Callable[[Step], Outcome]) -> None:
        self._left = deque(steps)
        self._attempt = attempt
        self.outcomes: list[Outcome] = []
        self.raised: list[BaseException] = []

    def work(self) -> None:
        """Try one step after the other, until none is left or the plan is to stop."""
        while not self._stops():
            try:
                step = self._left.popleft()
            except IndexError:
                return
            try:
                self.outcomes.append(self._attempt(step))
            except BaseException as err:  # noqa: BLE001  told to whoever waits for all
                self.raised.append(err)

    def work_at_once(self, width: int) -> None:
        threads = [threading.Thread(target=self._work_apart) for _ in range(width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work_apart(self) -> None:
        try:
            self.work()
        finally:
            connection.close()

    def _stops(self) -> bool:
        return bool(self.raised) or any(isinstance(o, Blocked | Failed) for o in self.outcomes)
