"""`manage.py twin …`: make, run, and disturb the simulated fleet."""

import asyncio
import json
import logging
import signal
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tiers.twin import fault_commands, files
from tiers.twin.agents import add_agent_verbs
from tiers.twin.control import ask
from tiers.twin.errors import TwinError
from tiers.twin.exporter_commands import add_exporter_verbs
from tiers.twin.exporters.catalogue import markdown
from tiers.twin.history import history_times, past_series, write_openmetrics
from tiers.twin.load_test import UNITS_PER_GROUP, measure_units_per_group
from tiers.twin.profile import INFERENCE
from tiers.twin.serve import running
from tiers.twin.start import start_world

EVENT_WORDS = ("region", "model", "factor", "minutes", "cluster", "node")


class Command(BaseCommand):
    help = "The simulated fleet: init, run, history, load-test, status, and things that go wrong."
    # The twin needs neither the database nor the pages that the checks look at.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)

        def verb(name: str, text: str, run: Callable[..., None]) -> ArgumentParser:
            sub = verbs.add_parser(name, help=text)
            sub.set_defaults(run=run)
            return sub

        sub = verb("init", "write certificates, kubeconfigs, fleet file and targets", self._init)
        sub.add_argument("--demand", type=Path, help="a demand trace: CSV, gzip or Parquet")
        sub.add_argument("--time-factor", type=_positive, help="shortens drain and load delays")
        sub.add_argument("--seed", type=int)
        sub.add_argument("--size", type=_whole, help="times the fleet of 168 nodes")
        verb("run", "serve the fleet until stopped", self._run)
        sub = verb("history", "write the weeks before now as OpenMetrics", self._history)
        sub.add_argument("--days", type=_positive, default=28.0)
        sub.add_argument("--out", type=Path, required=True)
        verb("load-test", "measure what one group serves within its objective", self._load_test)
        verb("status", "how the running twin stands, as JSON", self._status).add_argument(
            "--json", action="store_true", help="the default; kept for symmetry"
        )
        verb("metrics", "the table of docs/twin-metrics.md", self._metrics)
        self._add_events(verb)

    def _add_events(self, verb: Callable[..., ArgumentParser]) -> None:
        sub = verb("surge", "multiply demand for a while", self._send("surge"))
        sub.add_argument("--region")
        sub.add_argument("--model")
        sub.add_argument("--factor", type=_positive, default=2.0)
        sub.add_argument("--minutes", type=_positive, default=30.0)
        for name, text in (("fail-node", "kill a node"), ("heal-node", "bring a node back")):
            sub = verb(name, text, self._send(name))
            sub.add_argument("cluster")
            sub.add_argument("node")
        for name, text in (("fail-region", "turn a region dark"), ("heal-region", "light it")):
            verb(name, text, self._send(name)).add_argument("region")
        sub = verb("prometheus-down", "make exporters unreachable", self._send("prometheus-down"))
        sub.add_argument("--minutes", type=float, help="0 ends it; without it, until then")
        add_exporter_verbs(verb, self._send)
        add_agent_verbs(verb, self._send)
        fault_commands.add_arguments(verb, self._send)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            options["run"](Namespace(**options))
        except TwinError as err:
            raise CommandError(str(err)) from err
        except OSError as err:
            raise CommandError(f"The twin cannot go on: {err}.") from err

    @property
    def _paths(self) -> files.TwinPaths:
        return files.TwinPaths(django_settings.STATE_DIR)

    def _init(self, words: Namespace) -> None:
        made = files.init(
            self._paths,
            demand=words.demand,
            time_factor=words.time_factor,
            seed=words.seed,
            size=words.size,
        )
        for note in files.load_demand(made).notes:
            self.stdout.write(note)
        self.stdout.write(
            f"Twin ready: {len(made.api_ports)} clusters, drain and load delays "
            f"shortened {made.time_factor:g} times, fleet file {self._paths.fleet}."
        )

    def _run(self, words: Namespace) -> None:
        # The API writes its own request log; scrapes need none.
        logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
        made = files.load_settings(self._paths)
        world = start_world(self._paths, made, files.load_demand(made), now_s=time.time())
        asyncio.run(self._serve(world))

    async def _serve(self, world: Any) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with running(world, self._paths) as servers:
            self.stdout.write(
                f"Twin runs: {len(servers.ports)} clusters, demand {world.demand.description}, "
                f"delays shortened {world.settings.time_factor:g} times, metrics on port "
                f"{world.settings.metrics_port}."
            )
            self.stdout.flush()
            await stop.wait()

    def _history(self, words: Namespace) -> None:
        began = time.monotonic()
        made = files.load_settings(self._paths)
        times = history_times(time.time(), words.days)
        series = past_series(files.load_demand(made), seed=made.seed, t_s=times, size=made.size)
        with words.out.open("w", encoding="utf-8") as out:
            samples = write_openmetrics(series, times, out)
        took = time.monotonic() - began
        self.stdout.write(f"{samples:,} samples of {words.days:g} days in {took:.1f} s.")

    def _load_test(self, words: Namespace) -> None:
        for workload in INFERENCE:
            measured = measure_units_per_group(workload)
            self.stdout.write(
                f"{workload.id}: {measured:g} requests/s per group "
                f"(kept: {UNITS_PER_GROUP[workload.id]:g})"
            )

    def _metrics(self, _: Namespace) -> None:
        self.stdout.write(markdown(), ending="")

    def _status(self, words: Namespace) -> None:
        self._print(ask(files.load_settings(self._paths), "status"))

    def _send(
        self, command: str, names: Sequence[str] = EVENT_WORDS
    ) -> Callable[[Namespace], None]:
        def send(words: Namespace) -> None:
            given = {name: getattr(words, name, None) for name in names}
            told = {name: value for name, value in given.items() if value is not None}
            self._print(ask(files.load_settings(self._paths), command, told))

        return send

    def _print(self, answer: Any) -> None:
        self.stdout.write(json.dumps(answer, indent=2))


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError
    return value
