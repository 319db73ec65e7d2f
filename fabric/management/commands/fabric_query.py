"""`manage.py fabric_query NAME TEXT`: ask a collection, with the reasons of the answer."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fabric.asking import ask
from fabric.core.errors import FabricInvalid
from fabric.errors import EmbedderLost, UnknownCollection


class Command(BaseCommand):
    help = "Ask a collection as a role would; the question is not logged for the audit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("collection")
        parser.add_argument("text")
        parser.add_argument("--role", default="viewer")
        parser.add_argument("--partition", action="append", dest="partitions")
        parser.add_argument("-k", type=int, default=10)

    def handle(self, *args: Any, collection: str, text: str, **options: Any) -> None:
        try:
            answer = ask(
                collection, text, roles=[options["role"]], k=options["k"],
                partitions=options["partitions"], keep=False,
            )  # fmt: skip
        except (UnknownCollection, FabricInvalid, EmbedderLost) as err:
            raise CommandError(str(err)) from err
        for hit in answer.hits:
            title = hit.document.title or hit.document.text[:70]
            self.stdout.write(f"{hit.ranked.distance:.4f}  {hit.document.key}  {title}")
        for line in (*answer.route.reasons, *(f"{n}: {p}" for n, p in answer.problems.items())):
            self.stdout.write(f"- {line}")
        self.stdout.write(f"{answer.ms:.1f} ms{', partial' if answer.partial else ''}")
