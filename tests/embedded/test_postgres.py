"""The embedded PostgreSQL: who it runs as, where it lives, and what a restart finds."""

import os
import pwd
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from infra_console.embedded import child as children
from infra_console.embedded import identity as identities
from infra_console.embedded import postgres as embedded
from infra_console.embedded.errors import DiskFull, StageFailed
from infra_console.embedded.postgres import clear_stale_pid_file, prepare_postgres

FAST = ("fsync=off", "full_page_writes=off")
IS_ROOT = os.geteuid() == 0


@contextmanager
def running(server, log_dir):
    child = server.child()
    process = children.start(child, log_dir / "postgres.log")
    try:
        assert children.wait_ready(child, process), (log_dir / "postgres.log").read_text()
        yield process
    finally:
        children.stop(child, process)


def owner_of(pid):
    return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


def test_it_runs_unprivileged_private_and_keeps_its_data(open_dir):
    server = prepare_postgres(open_dir, options=FAST)
    with running(server, open_dir) as process:
        expected = "nobody" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
        assert owner_of(process.pid) == expected
        assert server.data_dir.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (42)")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url.replace(server.password, "guess"))
    assert process.returncode == 0  # a clean stop needs no recovery
    kept = open_dir / "postgres" / "server.json"
    assert server.password in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    assert not (server.data_dir.parent / "owner-password").exists()

    again = prepare_postgres(open_dir, options=FAST)
    assert (again.port, again.password) == (server.port, server.password)
    with running(again, open_dir), psycopg.connect(again.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]
        assert connection.execute(
            "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone() == (False, True)  # fmt: skip


def test_a_kill_and_a_stale_pid_file_do_no_harm(open_dir):
    server = prepare_postgres(open_dir, options=FAST)
    with running(server, open_dir) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    pid_file = server.data_dir / "postmaster.pid"
    assert pid_file.exists()
    # The number has meanwhile been given to another program: to us.
    pid_file.write_text(pid_file.read_text().replace(str(process.pid), str(os.getpid()), 1))
    again = prepare_postgres(open_dir, options=FAST)
    assert not pid_file.exists()
    with running(again, open_dir):
        pass


def test_a_server_that_lost_its_supervisor_is_stopped(open_dir):
    server = prepare_postgres(open_dir, options=FAST)
    with running(server, open_dir) as process:
        clear_stale_pid_file(server.data_dir)
        assert process.wait(5) == 0


def test_data_whose_password_is_lost_is_never_thrown_away(open_dir):
    server = prepare_postgres(open_dir)
    (open_dir / "postgres" / "server.json").unlink()
    with pytest.raises(StageFailed, match="its password is gone"):
        prepare_postgres(open_dir)
    assert (server.data_dir / "PG_VERSION").exists()


def test_a_first_start_that_broke_off_begins_again(open_dir):
    half = open_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    server = prepare_postgres(open_dir)
    assert (server.data_dir / "global").is_dir()
    assert not half.exists()


@pytest.mark.parametrize(
    ("said", "error"),
    [("FATAL: No space left on device", DiskFull), ("initdb: error: no locale", StageFailed)],
)
def test_an_initialisation_that_fails_says_why_and_leaves_no_data(
    open_dir, monkeypatch, said, error
):
    real = identities.run_as

    def fail_initdb(identity, command, **options):
        if Path(command[0]).name == "initdb":
            command = ["sh", "-c", f"echo '{said}' >&2; exit 1"]
        return real(identity, command, **options)

    monkeypatch.setattr(embedded, "run_as", fail_initdb)
    with pytest.raises(error, match="initialised"):
        prepare_postgres(open_dir)
    assert not (open_dir / "postgres" / "data").exists()


if IS_ROOT:  # an ordinary user has no second user to hide things from: nothing to test, not a skip

    def test_folders_closed_to_the_server_user_are_replaced_by_open_ones(tmp_path, open_dir):
        tmp_path.chmod(0o700)
        shared = open_dir / "shared"
        server = prepare_postgres(tmp_path / "state", options=FAST, shared_root=shared)
        assert server.data_dir.is_relative_to(shared)
        with running(server, tmp_path) as process:
            assert owner_of(process.pid) == "nobody"
        again = prepare_postgres(tmp_path / "state", shared_root=shared)
        assert again.data_dir == server.data_dir

    def test_programs_closed_to_the_server_user_are_copied(open_dir, monkeypatch):
        real = embedded.can_execute

        def only_copies(identity, program):
            return program.is_relative_to(open_dir) and real(identity, program)

        monkeypatch.setattr(embedded, "can_execute", only_copies)
        server = prepare_postgres(open_dir / "state", shared_root=open_dir / "shared")
        assert server.bin_dir.is_relative_to(open_dir / "shared")
        with running(server, open_dir), psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        shutil.rmtree(open_dir / "shared")
