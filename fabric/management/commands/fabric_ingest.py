"""`manage.py fabric_ingest DIR`: take in a collection; run again after a stop, it goes on."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from fabric.adapters.folder import Folder
from fabric.core.errors import FabricInvalid
from fabric.core.scope import checked_rights
from fabric.errors import IngestRunning
from fabric.ingest import ingest_folder
from fabric.models import StoreIndex


class Command(BaseCommand):
    help = "Embed, index and measure the collection in a folder (corpus.jsonl, queries.jsonl)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--name", default="", help="else the folder's name")
        parser.add_argument(
            "--store", action="append", dest="stores", choices=sorted(settings.FABRIC_STORES),
            help="only this store; may be given again",
        )  # fmt: skip
        parser.add_argument(
            "--partition-by", default=None, metavar="FIELD", help="metadata field that rights go by"
        )
        parser.add_argument(
            "--rights", type=json.loads, default=None, metavar="JSON",
            help='partitions by role, as {"viewer": ["public"], "admin": ["*"]}',
        )  # fmt: skip

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            collection = ingest_folder(
                Folder(folder),
                name=options["name"] or folder.resolve().name.replace("_", "-"),
                by="command:fabric_ingest",
                stores=options["stores"] or sorted(settings.FABRIC_STORES),
                rights=None if options["rights"] is None else checked_rights(options["rights"]),
                partition_by=options["partition_by"],
                progress=self._say,
            )
        except (FabricInvalid, IngestRunning, OSError) as err:
            raise CommandError(f"{err}. Run it again: what is there stays.") from err
        for index in StoreIndex.objects.filter(collection=collection):
            self.stdout.write(f"{index.store}: {index.state}, {index.indexed} {index.problem}")
        self.stdout.write(f"{collection.name}: {collection.documents.count()} documents, "
                          f"{collection.skipped} without a word to embed")  # fmt: skip

    def _say(self, stage: str, done: int, total: int) -> None:
        self.stdout.write(f"{stage}: {done} of {total}")
