"""A repository that a GitOps agent applies: read, changed on a branch of ours, pushed.

The `git` program does the work in a fresh clone that is thrown away: no shell, no hooks, no
prompts, a timeout on every call. Credentials are git's own (an agent, a helper, the URL); they are
cut out of every message. Nothing is pushed by force, and nothing to a branch but ours.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings

from infra_console.plans.errors import FieldUnusable, RepositoryRefused, RepositoryUnavailable

TIMEOUT_S = 20.0
AUTHOR = "infra-console"
SECRET = re.compile(r"(?<=://)[^/@\s]+@")
DENIED = re.compile(
    r"authentication failed|permission denied|could not read (username|password)|access denied"
    r"|not found|does not exist|does not appear to be a git repository",
    re.IGNORECASE,
)
SAFE = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", "-c", "commit.gpgSign=false",
    "-c", "protocol.ext.allow=never", "-c", "core.autocrlf=false",
)  # fmt: skip
PASSED_ON = ("PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Repository:
    """One of settings.GIT_REPOSITORIES: where it is, and the branch that is applied."""

    name: str
    url: str
    branch: str


def repository(name: str) -> Repository:
    """Raises RepositoryRefused: no such repository is configured."""
    url = settings.GIT_REPOSITORIES.get(name)
    if not url:
        raise RepositoryRefused(name, "it is not named in INFRA_CONSOLE_GIT_REPOSITORIES")
    place, _, branch = url.partition("#")
    return Repository(name, place, branch or "main")


def reachable(of: Repository) -> bool:
    """Whether its branch can be read.

    Raises:
        RepositoryUnavailable, RepositoryRefused: see each.
    """
    heads = _git(of.name, ["ls-remote", "--heads", "--", of.url, f"refs/heads/{of.branch}"])
    return bool(heads.strip())


class Clone:
    """A working copy with our branch checked out: as it is pushed, or new from the base."""

    def __init__(self, of: Repository, folder: Path, branch: str) -> None:
        self._of, self._folder, self._branch = of, folder, branch

    def read(self, file: str) -> str:
        """Raises FieldUnusable: no such file."""
        try:
            return self._path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise FieldUnusable(f"{file} cannot be read in {self._of.name}") from err

    def commit(self, file: str, text: str, message: str) -> str:
        """Commit one file; its id."""
        self._path(file).write_text(text, encoding="utf-8", newline="")
        self._git("add", "--", file)
        return self._committed(message)

    def revert(self, commit: str, message: str) -> str:
        """Commit the opposite of a commit; its id.

        Raises:
            RepositoryRefused: later commits are in the way.
        """
        merged = self._git("rev-list", "--parents", "-n", "1", commit).split()
        side = ("-m", "1") if len(merged) > 2 else ()
        try:
            self._git("revert", "--no-commit", *side, commit)
        except RepositoryUnavailable as err:
            raise RepositoryRefused(
                self._of.name, f"{commit[:12]} cannot be reverted: {err.problem}"
            ) from err
        return self._committed(message)

    def push(self, *, dry_run: bool) -> None:
        """Raises RepositoryUnavailable: somebody pushed there meanwhile, or it is out of reach."""
        how = ("--dry-run",) if dry_run else ()
        self._git("push", "--quiet", *how, "origin", f"HEAD:refs/heads/{self._branch}")

    def find(self, *lines: str) -> str:
        """The newest commit whose message holds all these lines; empty when none does."""
        wanted = [f"--grep={line}" for line in lines]
        how = ("--fixed-strings", "--all-match", "--format=%H", "-n", "1")
        return self._git("log", *how, *wanted).strip()

    def _committed(self, message: str) -> str:
        self._git("commit", "--quiet", "-m", message)
        return self._git("rev-parse", "HEAD").strip()

    def _path(self, file: str) -> Path:
        parts = PurePosixPath(file).parts
        outside = PurePosixPath(file).is_absolute() or ".." in parts or parts[:1] == (".git",)
        if not parts or outside or file.startswith("-"):
            raise FieldUnusable(f"{file} is no file of a repository")
        return self._folder / file

    def _git(self, *words: str) -> str:
        return _git(self._of.name, ["-C", str(self._folder), *words])


@contextmanager
def cloned(of: Repository, branch: str) -> Iterator[Clone]:
    """A fresh working copy, removed at the end.

    Raises:
        RepositoryUnavailable, RepositoryRefused: see each.
    """
    with tempfile.TemporaryDirectory(prefix="infra-console-git-") as made:
        folder = Path(made) / "copy"
        _git(of.name, ["clone", "--quiet", "--no-tags", "--branch", of.branch, "--", of.url,
                       str(folder)])  # fmt: skip
        copy = ["-C", str(folder)]
        pushed = _git(of.name, [*copy, "branch", "--remotes", "--list", f"origin/{branch}"])
        start = f"origin/{branch}" if pushed.strip() else f"origin/{of.branch}"
        _git(of.name, [*copy, "checkout", "--quiet", "-B", branch, "--no-track", start])
        yield Clone(of, folder, branch)


def _git(name: str, words: Sequence[str]) -> str:
    program = shutil.which("git")
    if program is None:
        raise RepositoryRefused(name, "there is no git program on this machine")
    try:
        done = subprocess.run(
            [program, *SAFE, *words],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
            text=True,
            errors="replace",
        )
    # Their own words hold the command, and with it the URL: they go no further.
    except subprocess.TimeoutExpired:
        raise RepositoryUnavailable(name, f"git gave no answer in {TIMEOUT_S:g} s") from None
    except subprocess.CalledProcessError as err:
        said = _said(err.stderr)
        if DENIED.search(said):
            raise RepositoryRefused(name, said) from None
        raise RepositoryUnavailable(name, said) from None
    return done.stdout


def _environment() -> Mapping[str, str]:
    """Git's own credentials, and nothing that asks a person or rewrites what we say."""
    kept = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER")
           for part, value in (("NAME", AUTHOR), ("EMAIL", f"{AUTHOR}@localhost"))}  # fmt: skip
    return (
        kept
        | who
        | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "LC_ALL": "C",
        }
    )


def _said(stderr: str) -> str:
    """What git said, on one line, without anybody's credentials."""
    return SECRET.sub("", " ".join(stderr.split()))[:300] or "git failed without a word"
