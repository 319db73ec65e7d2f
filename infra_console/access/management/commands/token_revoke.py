"""`manage.py token_revoke ID`: end a token now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from infra_console.access.services import revoke_token


class Command(BaseCommand):
    help = "End an API token now; `token_list` shows the ids."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *_: Any, **options: Any) -> None:
        if not revoke_token(options["id"], by="shell:token_revoke"):
            raise CommandError(f"No live token has the id {options['id']}; see token_list.")
        self.stdout.write(f"Token {options['id']} is revoked.")
