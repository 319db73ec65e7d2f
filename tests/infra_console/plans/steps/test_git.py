"""Fields that git owns, changed through a real repository and applied by a GitOps agent."""

import subprocess
from datetime import UTC, datetime

import pytest
import yaml

from infra_console.plans import services
from infra_console.plans.doctor import check_repositories
from infra_console.plans.errors import FieldUnusable, RepositoryRefused, RepositoryUnavailable
from infra_console.plans.executing import runner
from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.repositories import repository as repositories
from infra_console.plans.repositories.repository import Clone, cloned, repository
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.targets import BOUNDARIES, plan_of, ref, step, survive, until, work
from tiers.twin.controllers import gitops

FILE, NAME = "apps/chat.yaml", "chat-70b"
TEXT = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: chat-70b, namespace: inference}}
spec:
  replicas: {replicas}  # by hand
"""


def git(*words: str, folder) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def replicas(twin) -> int:
    return twin.deployment(NAME)["spec"]["replicas"]


@pytest.fixture
def origin(tmp_path, settings, replicas):
    """A repository with one manifest, and somebody's working copy of it."""
    bare, copy = tmp_path / "fleet.git", tmp_path / "copy"
    git("init", "--quiet", "--bare", "-b", "main", str(bare), folder=tmp_path)
    git("clone", "--quiet", str(bare), str(copy), folder=tmp_path)
    (copy / "apps").mkdir()
    (copy / FILE).write_text(TEXT.format(replicas=replicas))
    git("checkout", "-q", "-b", "main", folder=copy)
    git("add", ".", folder=copy)
    git("commit", "-q", "-m", "begin", folder=copy)
    git("push", "-q", "origin", "main", folder=copy)
    settings.GIT_REPOSITORIES = {"fleet": f"{bare}#main"}
    return bare


def change(before: int, after: int, **more):
    given = {"repository": "fleet", "file": FILE, "field": ["spec", "replicas"], "fact": "replicas"}
    target = ref("Deployment", NAME)
    return step("git.change", target, **given, **{"from": before, "to": after}, **more)


def branch_of(plan) -> str:
    return f"infra-console/plan-{plan.number}"


def on(origin, plan) -> str:
    """What the file says on the plan's branch."""
    return git("show", f"{branch_of(plan)}:{FILE}", folder=origin)


def commits(origin, plan) -> list[str]:
    return git("log", "--format=%s", f"main..{branch_of(plan)}", folder=origin).splitlines()


def sync(twin, origin, plan) -> None:
    """The agent applies what the branch says, as after its merge."""
    manifest = yaml.safe_load(on(origin, plan))
    twin.call(gitops.own, twin.store, manifest, datetime.now(UTC))
    wanted = manifest["spec"]["replicas"]
    until(lambda: twin.deployment(NAME)["status"].get("readyReplicas", 0) >= wanted)


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch):
    monkeypatch.setattr(runner, "WORK_S", 0.3)


@pytest.mark.parametrize("where", BOUNDARIES)
def test_killed_at_any_boundary_a_field_is_changed_once(
    twin, origin, replicas, armed, approved, monkeypatch, where
):
    plan = approved(plan_of(change(replicas, replicas - 1)))
    assert survive(monkeypatch, plan, where, turns=1).state == "executing"
    assert on(origin, plan) == TEXT.format(replicas=replicas - 1)
    assert commits(origin, plan) == [f"{NAME}: replicas {replicas} to {replicas - 1}"]
    assert twin.mutations() == []


def test_a_field_is_done_when_synced_and_reverted_once_though_a_worker_died(
    twin, origin, replicas, armed, approved, operator, monkeypatch
):
    plan = approved(plan_of(change(replicas, replicas - 1)))
    assert work(plan, turns=1).state == "executing"
    sync(twin, origin, plan)
    assert work(plan).state == "verified", plan.state_reason
    (back,) = objects_back(plan)
    assert (back.now, back.then) == (
        f"replicas {replicas - 1}", f"replicas {replicas}, by its repository",
    )  # fmt: skip
    roll_back(plan.id, by=operator, reason="slower")
    assert survive(monkeypatch, plan, "after the write", turns=1).state == "rolling_back"
    assert on(origin, plan) == TEXT.format(replicas=replicas)
    sync(twin, origin, plan)
    assert work(plan).state == "rolled_back", plan.state_reason
    assert commits(origin, plan) == [
        f"Revert: {NAME} back to {replicas}",
        f"{NAME}: replicas {replicas} to {replicas - 1}",
    ]
    said = git("log", "--format=%an %ae%n%b", branch_of(plan), folder=origin)
    assert f"Infra-Console-Plan: {plan.id}" in said
    assert "infra-console infra-console@localhost" in said
    assert git("show", f"main:{FILE}", folder=origin) == TEXT.format(replicas=replicas)
    assert twin.mutations() == []


def test_a_change_that_was_never_merged_is_reverted_without_a_wait(
    twin, origin, replicas, armed, approved, operator
):
    plan = work(approved(plan_of(change(replicas, replicas - 1))), turns=1)
    services.pause_execution(plan.id, by=operator, reason="not merged")
    roll_back(plan.id, by=operator, reason="not wanted")
    assert work(plan).state == "rolled_back"
    assert on(origin, plan) == TEXT.format(replicas=replicas)


def test_a_file_that_says_something_else_stops_the_plan(twin, origin, replicas, armed, approved):
    plan = work(approved(plan_of(change(replicas + 3, replicas))))
    assert plan.state == "failed"
    assert f"{FILE} says {replicas} for {NAME}" in plan.state_reason
    assert "infra-console/" not in git("branch", "--list", folder=origin)


def test_unarmed_nothing_is_pushed(twin, origin, replicas, approved):
    assert work(approved(plan_of(change(replicas, replicas - 1)))).state == "rehearsed"
    assert "infra-console/" not in git("branch", "--list", folder=origin)


def test_it_is_off_until_a_repository_is_named(twin, replicas, armed, approved):
    plan = work(approved(plan_of(change(replicas, replicas - 1))))
    assert plan.state == "paused"
    assert "not named in INFRA_CONSOLE_GIT_REPOSITORIES" in plan.state_reason


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", ".git/config", "a/../../b", "-x", ""])
def test_only_files_of_the_repository_are_touched(settings, tmp_path, file):
    settings.GIT_REPOSITORIES = {"fleet": "/nowhere"}
    copy = Clone(repository("fleet"), tmp_path, "infra-console/plan-1")
    with pytest.raises(FieldUnusable, match="is no file of a repository"):
        copy.read(file)


def test_a_push_by_somebody_else_is_never_overwritten(origin, tmp_path):
    of, branch = repository("fleet"), "infra-console/plan-1"
    with cloned(of, branch) as first, cloned(of, branch) as second:
        for number, copy in enumerate((first, second)):
            copy.commit(FILE, TEXT.format(replicas=90 + number), "change")
        first.push(dry_run=False)
        with pytest.raises(RepositoryUnavailable):
            second.push(dry_run=False)
    assert git("show", f"{branch}:{FILE}", folder=origin) == TEXT.format(replicas=90)


def test_errors_name_no_credentials_and_know_a_refusal(settings):
    settings.GIT_REPOSITORIES = {"fleet": "file://robot:s3cret@/nowhere/fleet.git"}
    with (
        pytest.raises((RepositoryRefused, RepositoryUnavailable)) as caught,
        cloned(repository("fleet"), "infra-console/plan-1"),
    ):
        pass
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in str(caught.value.__cause__)
    assert repositories._said("fatal: https://robot:s3cret@example.com/x denied") == (
        "fatal: https://example.com/x denied"
    )


def test_a_git_that_hangs_is_given_up(settings, tmp_path, monkeypatch):
    settings.GIT_REPOSITORIES = {"fleet": "/nowhere"}
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nsleep 5\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(repositories, "TIMEOUT_S", 0.1)
    with (
        pytest.raises(RepositoryUnavailable, match="no answer in"),
        cloned(repository("fleet"), "infra-console/plan-1"),
    ):
        pass


def test_the_doctor_says_which_repository_can_be_read(origin, settings):
    assert [(c.ok, c.detail) for c in check_repositories()] == [(True, "branch main can be read")]
    settings.GIT_REPOSITORIES = {"fleet": f"{origin}#gone", "other": "/nowhere"}
    gone, other = check_repositories()
    assert (gone.ok, gone.detail) == (False, "there is no branch gone")
    assert "/nowhere" in other.detail
    settings.GIT_REPOSITORIES = {}
    assert check_repositories() == []
