"""Finding Prometheus, or fetching Debian's package into the cache folder without root.

No Python or Node package carries Prometheus. Debian's needs nothing but the C library, so its
files run from wherever they are unpacked.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra_console.embedded.cache import cache_dir
from infra_console.embedded.errors import BinaryMissing

VARIABLE = "INFRA_CONSOLE_PROMETHEUS"
HOW = (
    f"Install Prometheus (`apt-get install prometheus`), or set {VARIABLE} to its program (with "
    "promtool beside it), or set INFRA_CONSOLE_PROMETHEUS_URL to a server of your own."
)


def find_prometheus(*, fetch: bool = True) -> Path:
    """The prometheus program, with promtool beside it.

    Looks at INFRA_CONSOLE_PROMETHEUS, PATH, the cache folder; then, if `fetch`, downloads.
    Raises BinaryMissing, which says how to provide it.
    """
    if named := os.environ.get(VARIABLE, ""):
        if is_prometheus(Path(named)):
            return Path(named)
        raise BinaryMissing(f"{VARIABLE}={named} is not a Prometheus that runs. {HOW}")
    on_path = shutil.which("prometheus")
    if on_path and is_prometheus(Path(on_path)):
        return Path(on_path)
    cached = cache_dir() / "prometheus" / "usr" / "bin" / "prometheus"
    if is_prometheus(cached):
        return cached
    if not fetch:
        raise BinaryMissing(f"No Prometheus on this machine. {HOW}")
    _fetch_debian_package(cache_dir() / "prometheus")
    if not is_prometheus(cached):
        raise BinaryMissing(f"Debian's Prometheus does not run on this machine. {HOW}")
    return cached


def is_prometheus(program: Path) -> bool:
    """Whether both the program and promtool beside it run and say they are Prometheus's."""
    return all(_says(path, path.name) for path in (program, program.with_name("promtool")))


def _says(program: Path, name: str) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return (done.stdout + done.stderr).startswith(f"{name}, version")


def _fetch_debian_package(target: Path) -> None:
    """Download the package and unpack it to `target`; complete or absent, never half."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise BinaryMissing(f"No Prometheus on this machine, nor apt-get to fetch it with. {HOW}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="prometheus-", dir=target.parent) as name:
        work = Path(name)
        if not _download(work, []):
            private = _private_lists(work)
            _run(["apt-get", *private, "update"], work)
            if not _download(work, private):
                raise BinaryMissing(f"No Prometheus here, and apt-get cannot download it. {HOW}")
        package = next(work.glob("prometheus_*.deb"))
        if not _run(["dpkg", "-x", str(package), str(work / "unpacked")], work):
            raise BinaryMissing(f"{package.name} cannot be unpacked. {HOW}")
        shutil.rmtree(target, ignore_errors=True)
        (work / "unpacked").rename(target)


def _download(work: Path, options: list[str]) -> bool:
    done = _run(["apt-get", *options, "download", "prometheus"], work)
    return done and any(work.glob("prometheus_*.deb"))


def _private_lists(work: Path) -> list[str]:
    """apt-get options that keep package lists in our folder: a fresh machine has none, and an
    ordinary user may not write the system's."""
    lists, cache = work / "lists", work / "apt-cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    values = {
        "Dir::State::Lists": lists,
        "Dir::Cache": cache,
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
    }
    return [word for key, value in values.items() for word in ("-o", f"{key}={value}")]


def _run(command: list[str], work: Path) -> bool:
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


if __name__ == "__main__":  # `make test` fetches it here: the tests themselves have no network
    try:
        sys.stderr.write(f"Prometheus: {find_prometheus()}\n")
    except BinaryMissing as err:
        sys.stderr.write(f"{err}\n")
