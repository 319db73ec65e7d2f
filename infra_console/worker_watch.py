"""A worker that takes no message any more ends itself; what supervises it starts it anew.

While the broker hangs, a task's acknowledgement can be lost, and with it one of the few messages
that a worker may hold at once: when all are gone it stays connected and idle for ever. So each
worker sends itself a message through the queue that is its own (`worker_direct`), which comes by
the same connection and the same limit as every other. It is judged only while it has no work and
the broker takes messages. Nothing is lost by ending: tasks are acknowledged late, executions hold
a lease.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

from celery import Celery, bootsteps, shared_task, signals
from celery.utils.nodenames import worker_direct
from celery.worker import state
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

ASK_EVERY_S = 20.0
SILENCES = 3  # one is a slow machine
EXIT_DEAF = 70  # EX_SOFTWARE of sysexits.h
HEARD = "worker.heard"
LOGS_OF_TASKS = ("celery.worker.strategy", "celery.app.trace")


@dataclass
class Hearing:
    """How often in a row a worker heard nothing of what it was sent."""

    silences: int = 0

    def deaf(self, *, sent: bool, heard: bool, busy: bool) -> bool:
        """Whether the worker must end, after one more look.

        Args:
            sent: whether the broker took the message; else nothing can be heard.
            heard: whether any message came since the last look.
            busy: whether tasks are held, whose messages may use up the limit.
        """
        self.silences = 0 if heard or busy or not sent else self.silences + 1
        return self.silences >= SILENCES


@shared_task(name=HEARD)  # type: ignore[untyped-decorator]  # celery has no types
def heard() -> None:
    """Nothing: that it was received is all."""


def not_of_own(record: logging.LogRecord) -> bool:
    """Whether a line of the log tells of work: two lines every 20 s of our own would bury it."""
    return not (isinstance(record.args, dict) and record.args.get("name") == HEARD)


class Watch(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """The bootstep that asks and listens, in a thread of its own."""

    def __init__(self, worker: Any, **options: Any) -> None:
        self._ended = threading.Event()
        self._received_at = 0.0
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        for name in LOGS_OF_TASKS:
            logging.getLogger(name).addFilter(not_of_own)
        signals.task_received.connect(self._note, weak=False)
        threading.Thread(
            target=self._run, args=(worker.app, worker.hostname), name="watch", daemon=True
        ).start()

    def stop(self, worker: Any) -> None:
        self._ended.set()

    def _note(self, **_: Any) -> None:
        self._received_at = time.monotonic()

    def _run(self, app: Celery, hostname: str) -> None:
        hearing = Hearing()
        while not self._ended.is_set():
            asked_at = time.monotonic()
            sent = _ask(app, hostname)
            if self._ended.wait(ASK_EVERY_S):
                return
            if hearing.deaf(sent=sent, heard=self._received_at >= asked_at, busy=_busy()):
                log.critical("This worker takes no messages any more: it ends, to be started anew")
                os._exit(EXIT_DEAF)


def _busy() -> bool:
    return bool(state.reserved_requests or state.active_requests)


def _ask(app: Celery, hostname: str) -> bool:
    try:
        app.send_task(
            HEARD, queue=worker_direct(hostname), expires=ASK_EVERY_S * SILENCES, retry=False
        )
    except (OperationalError, OSError) as err:  # then nothing can be judged
        log.warning("The broker takes no messages: %s", err)
        return False
    return True
