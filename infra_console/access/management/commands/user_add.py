"""`manage.py user_add`: a person with roles, or other roles for one that there is."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

from infra_console.access.roles import ROLES
from infra_console.access.services import save_user


class Command(BaseCommand):
    help = "Give a person exactly these roles. A new person's password is printed, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", action="append", required=True, choices=list(ROLES))

    def handle(self, *_: Any, username: str, role: list[str], **options: Any) -> None:
        is_new = not User.objects.filter(username=username).exists()
        password = secrets.token_urlsafe(18) if is_new else ""
        save_user(username, roles=role, by="shell:user_add", password=password)
        self.stdout.write(password or f"{username} now is {', '.join(sorted(set(role)))}.")
