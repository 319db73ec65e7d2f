"""What a big simulated fleet costs: `python -m benchmarks.twin_scale --size 6`.

Builds the twin's world in this process (no sockets), ticks it every two seconds of its time,
renders every scrape target once, and prints JSON: nodes, series, seconds of one core per tick and
per target, and memory. Size 1 is 168 nodes of 8 GPUs; 6 is 1,008; 30 is 5,040.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tiers.twin.files import TwinPaths, init, load_demand
from tiers.twin.kube.resources import NODES
from tiers.twin.metrics import JOBS, render
from tiers.twin.serve import TICK_S
from tiers.twin.start import start_world
from tiers.twin.world import World

WARM_TICKS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=6, help="times the fleet of 168 nodes")
    parser.add_argument("--ticks", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.size, options.ticks), indent=2))


def measure(folder: Path, size: int, ticks: int) -> dict[str, Any]:
    paths = TwinPaths(folder)
    settings = init(paths, size=size)
    before_mib, began = _peak_mib(), time.process_time()
    world = start_world(paths, settings, load_demand(settings), now_s=time.time())
    built_s = time.process_time() - began
    tick_s = _ticks(world, ticks)
    scrape_s, series = _scrapes(world)
    return {
        "nodes": sum(len(store.all(NODES)) for store in world.stores.values()),
        "clusters": len(world.stores),
        "series": sum(series.values()),
        "series_by_exporter": series,
        "build_core_s": round(built_s, 2),
        "tick_core_s": {"median": round(median(tick_s), 3), "worst": round(max(tick_s), 3)},
        "share_of_one_core": round(median(tick_s) / TICK_S, 3),
        "scrape_core_s": {"median": round(median(scrape_s), 4), "worst": round(max(scrape_s), 4)},
        "memory_mib": round(_peak_mib() - before_mib),
    }


def _ticks(world: World, ticks: int) -> list[float]:
    """Core seconds of each tick, the first few (compilation, caches) left out."""
    start_s, took = world.now_s, []
    for number in range(1, WARM_TICKS + ticks + 1):
        began = time.process_time()
        for _ in world.tick(start_s + TICK_S * number):
            pass
        took.append(time.process_time() - began)
    return took[WARM_TICKS:]


def _scrapes(world: World) -> tuple[list[float], dict[str, int]]:
    took: list[float] = []
    series: dict[str, int] = {}
    for physics in world.physics.values():
        for exporter in JOBS:
            began = time.process_time()
            text = render(exporter, physics)
            took.append(time.process_time() - began)
            lines = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
            series[exporter] = series.get(exporter, 0) + lines
    return took, series


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
