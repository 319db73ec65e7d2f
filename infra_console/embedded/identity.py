"""The user that servers run as when the console was started by root.

PostgreSQL refuses to run as root, so its processes run as `nobody`. Whether that user can reach a
file depends on every folder above it, on mount options and on security modules, so it is found
out by really doing it as that user, never by reading mode bits.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.errors import NotReachable

UNPRIVILEGED_USER = "nobody"
SHARED_ROOT = Path("/var/lib/infra-console")


@dataclass(frozen=True)
class Identity:
    """A user and group by number; children of root are started under it."""

    name: str
    uid: int
    gid: int


def unprivileged_identity() -> Identity | None:
    """The identity for servers that refuse root, or None when we are not root ourselves.

    Raises NotReachable when root has no such user on this machine.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as err:
        raise NotReachable(
            f"PostgreSQL cannot run as root and this machine has no user {UNPRIVILEGED_USER!r}. "
            "Start the console as an ordinary user."
        ) from err
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run_as(
    identity: Identity | None,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    text_input: str | None = None,
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as `identity` (None: as we are) and return what it said."""
    return subprocess.run(
        [str(word) for word in command],
        env=env,
        input=text_input,
        timeout=timeout_s,
        text=True,
        capture_output=True,
        cwd="/",
        check=False,
        user=identity.uid if identity else None,
        group=identity.gid if identity else None,
        extra_groups=[] if identity else None,
    )


def can_execute(identity: Identity | None, program: Path) -> bool:
    """Whether `program --version` really runs as that user."""
    try:
        return run_as(identity, [program, "--version"]).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def can_write(identity: Identity | None, folder: Path) -> bool:
    """Whether that user can reach the folder and write in it."""
    return run_as(identity, ["test", "-w", folder]).returncode == 0


def give(path: Path, identity: Identity | None) -> None:
    """Make `identity` the owner of one file or folder; nothing to do when we are not root."""
    if identity is not None:
        os.chown(path, identity.uid, identity.gid)


def copy_readable(source: Path, target: Path) -> None:
    """Copy a tree so that everybody may read and run it; complete or absent, never half.

    Raises NotReachable when the target cannot be written.
    """
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, partial, symlinks=True)
        for entry in [partial, *partial.rglob("*")]:
            if not entry.is_symlink():
                entry.chmod(entry.stat().st_mode | (0o055 if entry.is_dir() else 0o044))
                if entry.stat().st_mode & 0o100:
                    entry.chmod(entry.stat().st_mode | 0o011)
        partial.rename(target)
    except OSError as err:
        shutil.rmtree(partial, ignore_errors=True)
        if not target.is_dir():
            raise NotReachable(f"Could not copy {source} to {target}: {err.strerror}.") from err
