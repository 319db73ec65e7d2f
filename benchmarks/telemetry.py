"""What reading a big fleet costs: `python -m benchmarks.telemetry --json`.

The twin's exporters at about 1,000 nodes of 8 GPUs become the raw series of a real Prometheus with
our recording rules; a process of its own reads them into demand, the way a cycle does. Beside it:
the same from raw series without the rules, a fleet of a sixth of the size, four weeks of history,
and, with `--exporter-file`, a Prometheus that scrapes a plain file of somebody else's exporter.
Takes about four minutes and 3 GB of disk in a temporary folder.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.telemetry_data import Fleet, make_fleet, make_history, scrape_file

WAYS = ("with_rules", "raw_queries")
SIZES = (1, 6)  # times the default fleet of 168 nodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="only the figures, on one line")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--history-step", type=int, default=60, help="seconds between samples")
    parser.add_argument("--no-history", action="store_true")
    parser.add_argument("--exporter-file", type=Path, help="exposition text to serve and scrape")
    options = parser.parse_args()
    found = run(options)
    print(json.dumps(found, indent=None if options.json else 2))


def run(options: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    found: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="minutes"),
                             "machine": _machine(), "fleets": []}  # fmt: skip
    for size in options.sizes:
        with _folder() as folder:
            found["fleets"].append(_fleet(make_fleet(folder, size)))
    if len(found["fleets"]) > 1:
        found["growth"] = _growth(found["fleets"][0], found["fleets"][-1])
    if not options.no_history:
        with _folder() as folder, make_history(folder, step_s=options.history_step) as url:
            found["history"] = _child("history", url)
    if options.exporter_file:
        with _folder() as folder, scrape_file(folder, options.exporter_file) as url:
            found["exporter_file"] = _child("exporter", url)
    found["peak_mib"] = max(
        [fleet[way]["peak_mib"] for fleet in found["fleets"] for way in WAYS]
        + [found["history"]["peak_mib"]] * ("history" in found)
    )
    found["seconds"] = round(time.monotonic() - began, 1)
    return found


def _machine() -> dict[str, Any]:
    """What the figures depend on: the load of the last minute tells who else was at work."""
    return {"cores": os.cpu_count(), "kind": platform.machine(), "load_1m": os.getloadavg()[0]}


def _fleet(fleet: Fleet) -> dict[str, Any]:
    with fleet.with_rules() as url:
        ruled = _child("demand", url, str(fleet.fleet_file))
    with fleet.without_rules() as url:
        raw = _child("demand", url, str(fleet.fleet_file))
    return {
        "nodes": fleet.nodes,
        "gpus": fleet.gpus,
        "raw_series": fleet.series,
        "with_rules": ruled,
        "raw_queries": raw,
    }


def _growth(small: dict[str, Any], big: dict[str, Any]) -> dict[str, float | None]:
    """How many times as long, or as much memory, it takes by node, beside how many times as many
    nodes: 1 is linear, below it less. None where a way read nothing: failing is quick."""
    nodes = big["nodes"] / small["nodes"]
    return {"nodes": round(nodes, 2)} | {
        f"{way}_{part}": round(big[way][part] / small[way][part] / nodes, 2)
        if all(any(fleet[way]["numbers"].values()) for fleet in (small, big))
        else None
        for way in WAYS
        for part in ("demand_s", "fleet_s", "peak_mib")
        if small[way][part]
    }


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="telemetry-") as folder:
        yield Path(folder)


def _child(part: str, *words: str) -> dict[str, Any]:
    """A reading in a process of its own, whose memory is nothing but the console's."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.telemetry_read", part, *words],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
