"""`manage.py token_issue`: a bearer token for the HTTP API."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from infra_console.access.errors import AccessError
from infra_console.access.services import issue_token


class Command(BaseCommand):
    help = "Issue an API token that acts for a user within the given scopes; printed once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="what the token is for")
        parser.add_argument("--scope", action="append", default=[], help="a right, e.g. view")
        parser.add_argument("--days", type=int, default=90, help="until it expires")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            user = User.objects.get(username=options["username"])
            _token, text = issue_token(
                user=user,
                name=options["name"],
                scopes=options["scope"] or ["view"],
                by=f"shell:{user.get_username()}",
                days=options["days"],
            )
        except User.DoesNotExist as err:
            raise CommandError(f"no user is called {options['username']}") from err
        except AccessError as err:
            raise CommandError(str(err)) from err
        self.stdout.write(text)
