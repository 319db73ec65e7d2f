"""The twin's part of a state folder: made once, with the options it then keeps."""

import sys
from pathlib import Path

import pytest

from infra_console.embedded.child import Child
from infra_console.embedded.errors import DiskFull, StageFailed
from infra_console.embedded.prometheus import prepare_prometheus
from infra_console.embedded.stage import Stage
from infra_console.embedded.twin_files import TwinFiles

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
# In the place of manage.py: notes its arguments, and writes one sample where history is wanted.
PROGRAM = """
import sys, time
with open({calls!r}, "a") as file:
    print(*sys.argv[1:], file=file)
if "--out" in sys.argv:
    with open(sys.argv[sys.argv.index("--out") + 1], "w") as file:
        print("level:x:sum 1", int(time.time()) - 86400, file=file)
        print("# EOF", file=file)
"""


def python(code, *words):
    return Child(
        name="stage", command=(sys.executable, "-S", "-c", code, *words), is_ready=lambda: True
    )


class Recorder:
    """Stands in for the builder of our processes."""

    def __init__(self, calls):
        self.calls = calls

    def manage(self, name, *words):
        return python(PROGRAM.format(calls=str(self.calls)), *words)


@pytest.fixture
def calls(tmp_path):
    return tmp_path / "calls"


@pytest.fixture
def files(tmp_path, calls):
    (tmp_path / "twin").mkdir()
    return TwinFiles(state_dir=tmp_path, processes=Recorder(calls), log_dir=tmp_path / "log")


def test_files_are_made_once_with_the_options_given(files, calls, tmp_path):
    trace = tmp_path / "trace.csv"
    files.init(demand=trace, time_factor=20.0, size=2)
    files.init(demand=trace, time_factor=20.0, size=2)
    files.init()
    assert calls.read_text() == f"twin init --demand {trace} --time-factor 20.0 --size 2\n"


def test_a_state_folder_keeps_to_its_demand(files, calls, tmp_path):
    files.init(demand=None, time_factor=None)
    with pytest.raises(StageFailed, match="made with other options"):
        files.init(demand=tmp_path / "other.csv", time_factor=None)
    assert calls.read_text() == "twin init\n"


def test_history_is_written_before_the_first_start_only(files, calls, tmp_path, prometheus_program):
    server = prepare_prometheus(tmp_path, rules_dir=RULES, program=prometheus_program)
    files.begin_history(server).finish()
    assert server.has_blocks()
    samples = tmp_path / "twin" / "history.om"
    assert not samples.exists()
    assert files.begin_history(server) is None
    assert calls.read_text() == f"twin history --days 28 --out {samples}\n"


def test_history_goes_back_as_far_as_was_asked(files, calls, tmp_path, prometheus_program):
    server = prepare_prometheus(tmp_path, rules_dir=RULES, program=prometheus_program)
    files.begin_history(server, days=8).finish()
    assert calls.read_text().startswith("twin history --days 8 --out ")


def test_a_stage_that_fails_ends_with_its_last_line(tmp_path):
    stage = Stage("tables", python("raise SystemExit('no such role')"), tmp_path / "stage.log")
    with pytest.raises(StageFailed, match=r"tables failed: no such role \(log: .*stage\.log\)"):
        stage.run()


def test_a_stage_that_runs_out_of_disk_says_so(tmp_path):
    code = "raise OSError(28, 'No space left on device')"
    with pytest.raises(DiskFull, match="The disk is full: history failed"):
        Stage("history", python(code), tmp_path / "stage.log").run()


def test_an_abandoned_stage_runs_no_longer(tmp_path):
    stage = Stage("long", python("import time; time.sleep(60)"), tmp_path / "stage.log").begin()
    stage.abandon()
    with pytest.raises(StageFailed):
        stage.finish()
