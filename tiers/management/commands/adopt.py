"""`manage.py adopt`: a first look at clusters that know nothing of us. Writes to none of them."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from infra_console.cluster.errors import ClusterError
from tiers.adopting import current_rules, keep_inventory, parse_rules, proposal_of
from tiers.core.adoption import Adoption, adopt
from tiers.core.adoption_rules import AdoptionRules
from tiers.core.query_budget import FleetSize, adoption_budget
from tiers.errors import NothingToLookAt, RulesInvalid
from tiers.looking import MAX_BYTES, MAX_SERIES, Looked, look
from tiers.query_budget import reading_of


class Command(BaseCommand):
    help = (
        "Look at clusters for the first time and say what was found, what no rule places, and "
        "which fleet file would describe it. Nothing is written to a cluster."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prometheus", action="append", default=[], metavar="URL")
        parser.add_argument("--kubeconfig", type=Path)
        parser.add_argument("--context", action="append", default=[], help="only this context")
        parser.add_argument("--rules", type=Path, help="adoption rules (YAML) to try, not to keep")
        parser.add_argument("--nodes", type=int, default=1000, help="GPU nodes to expect")
        parser.add_argument("--clusters", type=int, default=1, help="clusters to expect")
        parser.add_argument("--max-series", type=int, default=MAX_SERIES, help="of one answer")
        parser.add_argument("--max-mib", type=int, default=MAX_BYTES // 2**20, help="of one answer")
        parser.add_argument("--budget-only", action="store_true", help="connect to nothing")
        parser.add_argument("--no-keep", action="store_true", help="leave the page as it is")
        parser.add_argument("--proposal", type=Path, help="write the proposed fleet file here")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        self._say_budget(options)
        if options["budget_only"]:
            return
        try:
            rules = self._rules(options["rules"])
            where = _where(options)
            found = look(where, now=timezone.now())
        except (RulesInvalid, NothingToLookAt, ClusterError, OSError) as err:
            raise CommandError(str(err)) from err
        if options["prometheus"]:
            sys.stderr.write(f"Measured: this look fetched {where.pace.total.words}.\n")
        if not options["no_keep"]:
            keep_inventory(found, by="command:adopt")
        adoption = adopt(found, rules)
        text = proposal_of(found, adoption, rules)
        if options["proposal"]:
            options["proposal"].write_text(text)
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(adoption), "proposal": text}, indent=1))
        else:
            self._tell(adoption)

    def _rules(self, file: Path | None) -> AdoptionRules:
        return parse_rules(file.read_text()) if file else current_rules()

    def _say_budget(self, options: dict[str, Any]) -> None:
        """Before anything is asked, and apart from the answer."""
        size = FleetSize(clusters=options["clusters"], nodes=options["nodes"])
        once = adoption_budget(size)
        every = reading_of(size, by_metrics=not options["kubeconfig"]).total
        sys.stderr.write(
            f"Query budget for {size.nodes} nodes in {size.clusters} clusters: this look asks "
            f"{once.queries} queries once, about {once.series:,} series and "
            f"{once.bytes / 2**20:.1f} MiB; the console then asks {every.queries:,} queries, "
            f"{every.series:,} series and {every.bytes / 2**20:.1f} MiB a minute. "
            f"An answer beyond {options['max_series']:,} series or {options['max_mib']} MiB is "
            "refused and named.\n"
        )

    def _tell(self, adoption: Adoption) -> None:
        for use in adoption.uses:
            self.stdout.write(
                f"{use.cluster or '(no cluster label)'}: {use.gpus} GPUs on {_told(use.nodes)} "
                f"nodes in {use.region or 'an unknown region'}; offered {_told(use.allocatable)}, "
                f"asked for {_told(use.requested)}, without a pod {_told(use.idle_without_pod)}, "
                f"stranded {_told(use.stranded)}"
            )
        for pool in adoption.pools:
            kind = f"{pool.gpu_type or 'unknown type'}, {pool.purchase or 'unknown purchase'}"
            self.stdout.write(f"  pool {pool.id}: {pool.gpus} GPUs, {kind}")
        for missing in adoption.unplaced:
            self.stdout.write(
                f"  not placed, {missing.lacks}: {missing.what} ({missing.gpus} GPUs); "
                f"would be by {missing.rule}"
            )
        for words in adoption.unknown:
            self.stdout.write(f"  unknown: {words}")


def _where(options: dict[str, Any]) -> Looked:
    return Looked(
        prometheus=options["prometheus"],
        kubeconfig=options["kubeconfig"],
        contexts=options["context"],
        max_series=options["max_series"],
        max_bytes=options["max_mib"] * 2**20,
    )


def _told(value: int | None) -> str:
    return "unknown" if value is None else str(value)
