"""What keeps a stack from starting, and the one line it says."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from infra_console.embedded.disk import require_room
from infra_console.embedded.errors import AlreadyRunning, DiskFull, PortBusy, StageFailed
from infra_console.embedded.lock import single_copy
from infra_console.embedded.loopback import free_port, require_free, usable_port
from infra_console.embedded.stack import StackOptions, run_stack

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def taken_port():
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def manage(*words):
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=CHECKOUT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_second_copy_is_refused_and_told_who_runs(tmp_path):
    with single_copy(tmp_path, command="manage.py demo"):
        done = manage("demo", "--state", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"`manage.py demo`, process {os.getpid()}" in done.stderr


def test_the_lock_is_free_again_when_its_holder_has_gone(tmp_path):
    with single_copy(tmp_path, command="first"):
        pass
    with (
        single_copy(tmp_path, command="second"),
        pytest.raises(AlreadyRunning, match="second"),
        single_copy(tmp_path, command="third"),
    ):
        pass


def test_a_lock_file_of_a_dead_process_locks_nobody_out(tmp_path):
    (tmp_path / "running.lock").write_text("`manage.py demo`, process 1, since long ago")
    with single_copy(tmp_path, command="new"):
        assert "`new`" in (tmp_path / "running.lock").read_text()


def test_a_busy_web_port_is_refused_before_anything_starts(tmp_path, taken_port):
    done = manage("demo", "--state", str(tmp_path), "--port", str(taken_port))
    assert done.returncode == 2
    assert f"Port {taken_port}" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "postgres").exists()


def test_a_free_port_is_accepted_and_a_taken_one_is_replaced(taken_port):
    port = free_port()
    require_free(port, purpose="it", option="--port")
    assert usable_port(port) == port
    assert usable_port(taken_port) != taken_port
    assert usable_port(None) > 0
    with pytest.raises(PortBusy):
        require_free(taken_port, purpose="it", option="--port")


def test_a_nearly_full_disk_is_refused_before_anything_starts(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=200 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match=r"Only 200 MiB are free .* 1024 MiB are needed"):
        run_stack(StackOptions(state_dir=tmp_path, demo=True, port=free_port()))
    assert not (tmp_path / "postgres").exists()


def test_enough_room_is_enough_even_for_a_folder_to_come(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    require_room(tmp_path / "not" / "yet" / "there")


def test_up_asks_for_a_fleet_file(tmp_path, monkeypatch):
    monkeypatch.setenv("INFRA_CONSOLE_FLEET_FILE", str(tmp_path / "mine.toml"))
    with pytest.raises(StageFailed, match=r"no fleet file at .*mine\.toml"):
        run_stack(StackOptions(state_dir=tmp_path, demo=False, port=free_port()))
