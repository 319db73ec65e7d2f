"""`manage.py check_invariants`: replay what was written down against the eight promises."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from infra_console.fleet.queries import list_clusters
from infra_console.plans.invariants.api_log import LogUnreadable, read_requests
from infra_console.plans.invariants.checker import as_json, check
from infra_console.plans.invariants.history import Request
from infra_console.plans.invariants.reading import read_history

SKEW_S = 2.0  # between the console's clock and an API server's, both under NTP


class Command(BaseCommand):
    help = "Check that executions kept what the console promises; exit code 1 when one did not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--apiserver-audit",
            action="append",
            metavar="[CLUSTER=]FILE",
            help="a kube-apiserver audit log, once a cluster; what needs it is not checked without",
        )
        parser.add_argument(
            "--nodes",
            action="append",
            default=[],
            metavar="[CLUSTER=]FILE",
            help="`kubectl get nodes -o json` from before the log begins, to replay floors",
        )
        parser.add_argument("--skew-s", type=float, default=SKEW_S, help="clocks may differ by")
        parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        history = read_history(
            requests=_requests(options["apiserver_audit"]),
            nodes=_nodes(options["nodes"]),
            skew_s=options["skew_s"],
        )
        answer = as_json(check(history))
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=2))
        else:
            self._tell(answer)
        if answer["ok"] is False:
            sys.exit(1)

    def _tell(self, answer: dict[str, Any]) -> None:
        for name, verdict in answer.items():
            if not name.startswith("I"):
                continue
            word = {True: "holds", False: "BROKEN", None: "not checked"}[verdict["ok"]]
            why = f" ({verdict['not_checked']})" if verdict["not_checked"] else ""
            self.stdout.write(f"{name} {word}{why}: {verdict['statement']}")
            for violation in verdict["violations"]:
                self.stdout.write(f"   {violation}")


def _requests(named: list[str] | None) -> list[Request] | None:
    if not named:
        return None
    found: list[Request] = []
    for cluster, path in map(_split, named):
        try:
            with path.open(encoding="utf-8") as lines:
                found += read_requests(lines, cluster=cluster)
        except (OSError, LogUnreadable) as err:
            raise CommandError(f"{path}: {err}") from err
    return found


def _nodes(named: list[str]) -> dict[str, list[dict[str, Any]]] | None:
    if not named:
        return None
    try:
        return {
            cluster: json.loads(path.read_text())["items"] for cluster, path in map(_split, named)
        }
    except (OSError, ValueError, KeyError) as err:
        raise CommandError(f"a file of nodes cannot be read: {err}") from err


def _split(named: str) -> tuple[str, Path]:
    """The cluster and the file; a fleet of one cluster needs no name."""
    cluster, said, path = named.rpartition("=")
    if said:
        return cluster, Path(path)
    known = list_clusters()
    return (known[0].id if len(known) == 1 else ""), Path(path)
