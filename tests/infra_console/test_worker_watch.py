"""A worker that takes no message any more ends, and one that works or waits goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from django.conf import settings

from infra_console.worker_watch import EXIT_DEAF, HEARD, SILENCES, Hearing
from tests.servers import SERVERS

CREDIT = 2  # messages that the worker may hold at once
WORKER = """
import sys, time
from infra_console import worker_watch
worker_watch.ASK_EVERY_S = 0.5
from infra_console.celery import app
@app.task(name="test.nap")
def nap(seconds):
    print("fell asleep", flush=True)
    time.sleep(seconds)
app.start(["worker", "-Q", "naps", "--pool", "solo", "-c", "2", "-n", "nap@%h",
           "--without-gossip", "--without-mingle", "--loglevel", "INFO"])
"""


def test_only_an_idle_worker_that_was_sent_something_is_deaf():
    hearing = Hearing()
    for _ in range(SILENCES - 1):
        assert not hearing.deaf(sent=True, heard=False, busy=False)
    assert not hearing.deaf(sent=True, heard=True, busy=False)
    for look in ({"sent": False, "busy": False}, {"sent": True, "busy": True}):
        assert not any(hearing.deaf(heard=False, **look) for _ in range(3 * SILENCES))
    looks = [hearing.deaf(sent=True, heard=False, busy=False) for _ in range(SILENCES)]
    assert looks == [False] * (SILENCES - 1) + [True]


@pytest.mark.usefixtures("broker_url")
def test_a_worker_whose_acknowledgement_was_lost_ends_to_be_started_anew(tmp_path):
    log = tmp_path / "worker.log"
    with worker(log) as process:
        wait_for(log, " ready.")
        time.sleep(2.0)  # four looks at a worker that waits
        for held in range(1, CREDIT + 1):
            nap_for(1.0)
            wait_for(log, "fell asleep", times=held)
            with halted("valkey"):
                wait_for(log, "Couldn't ack", times=held)
        assert process.wait(timeout=30) == EXIT_DEAF
        assert "takes no messages any more" in log.read_text()
        assert "Task test.nap" in log.read_text()
        assert f"Task {HEARD}" not in log.read_text()  # its log tells of work alone


def nap_for(seconds: float) -> None:
    from infra_console.celery import app

    app.send_task("test.nap", args=[seconds], queue="naps")


@contextmanager
def worker(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", WORKER], stdout=out, stderr=out)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        redis.from_url(settings.BROKER_URL).delete("naps")


@contextmanager
def halted(name: str) -> Iterator[None]:
    """The server's sockets take what comes and answer nothing."""
    _, process = SERVERS.running[name]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def wait_for(log: Path, words: str, *, times: int = 1, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while log.read_text().count(words) < times:
        assert time.monotonic() < deadline, f"{words!r} not in:\n{log.read_text()}"
        time.sleep(0.1)
