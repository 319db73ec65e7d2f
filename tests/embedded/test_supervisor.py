"""Children that are started, watched, restarted and stopped; every one here is a real process."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra_console.embedded import child as children
from infra_console.embedded.child import Child
from infra_console.embedded.errors import ChildFailed, DiskFull
from infra_console.embedded.supervisor import Supervisor


def python_child(name, code, *, ready=lambda: True, timeout_s=10.0):
    return Child(
        name=name, command=(sys.executable, "-S", "-c", code), is_ready=ready,
        start_timeout_s=timeout_s,
    )  # fmt: skip


@pytest.fixture
def lines():
    return []


@pytest.fixture
def supervisor(tmp_path, lines):
    with Supervisor(
        log_dir=tmp_path / "log", grace_s=1.0, report=lines.append, first_pause_s=0.01
    ) as it:
        yield it


def check_until(supervisor, condition, *, patience_s=10.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        supervisor.check()
        time.sleep(0.01)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_is_killed_is_started_again(supervisor, lines):
    supervisor.start_group([python_child("sleeper", "import time; time.sleep(60)")])
    first = supervisor.groups[0][0].process
    first.kill()
    check_until(supervisor, lambda: supervisor.groups[0][0].process.pid != first.pid)
    assert is_alive(supervisor.groups[0][0].process.pid)
    assert lines == ["sleeper ended with -9; starting it again in 0.01 s"]


def test_a_child_that_keeps_ending_is_reported_with_its_last_words(supervisor, lines):
    supervisor.start_group([python_child("broken", "print('no such table'); raise SystemExit(3)")])
    check_until(supervisor, lambda: any("keeps ending" in line for line in lines))
    report = next(line for line in lines if "keeps ending" in line)
    assert "5 times in a row" in report
    assert "no such table" in report
    pauses = [line.rpartition(" in ")[2] for line in lines if "starting it again" in line]
    assert pauses == ["0.01 s", "0.02 s", "0.04 s", "0.08 s", "0.16 s"]


def test_a_group_that_cannot_start_names_the_child_and_its_last_line(supervisor):
    broken = python_child("web", "print('port taken'); raise SystemExit(1)", ready=lambda: False)
    with pytest.raises(ChildFailed, match=r"web ended with 1: port taken \(log: .*web\.log\)"):
        supervisor.start_group([broken])


def test_a_child_that_never_gets_ready_is_given_up(supervisor):
    slow = python_child(
        "slow", "import time; time.sleep(60)", ready=lambda: False, timeout_s=0.1
    )  # fmt: skip
    with pytest.raises(ChildFailed, match="slow was not ready after"):
        supervisor.start_group([slow])


def test_a_disk_that_fills_up_at_start_is_named(supervisor):
    words = "PANIC: could not write: No space left on device"
    full = python_child("postgres", f"raise SystemExit({words!r})", ready=lambda: False)
    with pytest.raises(DiskFull, match="The disk is full: postgres cannot start"):
        supervisor.start_group([full])


def test_a_log_that_cannot_be_written_means_a_full_disk(supervisor, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(children, "start", no_room)
    with pytest.raises(DiskFull):
        supervisor.start_group([python_child("web", "pass")])


def test_a_long_log_is_put_aside_at_the_next_start(supervisor, monkeypatch):
    monkeypatch.setattr(children, "LONG_LOG_BYTES", 10)
    supervisor.log_dir.mkdir()
    (supervisor.log_dir / "web.log").write_text("much to read\n")
    supervisor.start_group([python_child("web", "print('new')")])
    supervisor.groups[0][0].process.wait()
    assert (supervisor.log_dir / "web.log.1").read_text() == "much to read\n"
    assert (supervisor.log_dir / "web.log").read_text() == "new\n"


def test_groups_stop_in_reverse_order(supervisor, tmp_path):
    told = tmp_path / "order"
    for name in ("first", "second"):
        code = (
            "import signal, sys, time\n"
            "def end(*_):\n"
            f"    open({str(told)!r}, 'a').write({name!r} + ' '); sys.exit()\n"
            "signal.signal(signal.SIGTERM, end)\n"
            f"open({str(tmp_path / name)!r}, 'w').close()\n"
            "time.sleep(60)"
        )
        supervisor.start_group([python_child(name, code, ready=(tmp_path / name).exists)])
    supervisor.stop()
    assert told.read_text() == "second first "


def test_a_stop_ends_where_a_signal_left_the_lock_of_a_child_taken(supervisor):
    """The signal's exception may leave `Popen.poll` between taking its lock and the `try`."""
    supervisor.start_group([python_child("web", "import time; time.sleep(60)")])
    process = supervisor.groups[0][0].process
    process._waitpid_lock.acquire()
    supervisor.stop()
    assert not is_alive(process.pid)
    process._waitpid_lock.release()
    assert process.wait() == -signal.SIGTERM


def test_a_child_that_ignores_the_stop_is_killed_with_what_it_started(supervisor, tmp_path):
    pid_file = tmp_path / "grandchild"
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    stubborn = python_child(
        "stubborn", code, ready=lambda: pid_file.exists() and bool(pid_file.read_text())
    )
    supervisor.start_group([stubborn])
    process, grandchild = supervisor.groups[0][0].process, int(pid_file.read_text())
    supervisor.stop()
    assert process.returncode == -signal.SIGKILL
    check_until(supervisor, lambda: not is_alive(grandchild))


SUPERVISED = """
import os, sys, time
from pathlib import Path
from infra_console.embedded.child import Child
from infra_console.embedded.supervisor import Supervisor
folder = Path(sys.argv[1])
supervisor = Supervisor(log_dir=folder)
sleeper = Child(name="sleeper", command=("sleep", "60"), is_ready=lambda: True)
with supervisor.signals():
    supervisor.start_group([sleeper])
    (folder / "pid.new").write_text(str(supervisor.groups[0][0].process.pid))
    (folder / "pid.new").rename(folder / "pid")
    supervisor.watch()
print("orderly")
"""


@pytest.fixture
def supervised(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process, int((tmp_path / "pid").read_text())
    process.kill()
    process.communicate()


def wait_dead(pid):
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, "the child outlived its supervisor"
        time.sleep(0.02)


def test_children_die_with_a_supervisor_that_is_killed(supervised):
    process, child_pid = supervised
    assert is_alive(child_pid)
    process.kill()
    process.wait()
    wait_dead(child_pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order(supervised, number):
    process, child_pid = supervised
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert output.splitlines() == [f"stopping ({number.name})", "orderly"]
    wait_dead(child_pid)
