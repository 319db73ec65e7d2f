"""`manage.py take_over CLUSTER KIND MANAGER --by NAME --reason WHY`: an admin's act when arming."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from infra_console.cluster.takeovers import (
    FIELDS,
    TakeOverRefused,
    allow_take_over,
    forbid_take_over,
)


class Command(BaseCommand):
    help = "Let the executor write a mapped field that another field manager owns in a cluster."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("kind", choices=sorted(FIELDS))
        parser.add_argument("manager", help="as the step names it: kubectl, argocd-controller")
        parser.add_argument("--by", required=True, help="the admin who answers for it")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--off", action="store_true", help="take the permission back")

    def handle(self, *_: Any, **words: Any) -> None:
        by = User.objects.filter(username=words["by"]).first()
        if by is None:
            raise CommandError(f"there is nobody called {words['by']!r}")
        act = forbid_take_over if words["off"] else allow_take_over
        try:
            act(
                words["cluster"],
                words["kind"],
                manager=words["manager"],
                by=by,
                reason=words["reason"],
            )
        except TakeOverRefused as err:
            raise CommandError(str(err)) from err
        verb = "may no longer be" if words["off"] else "may be"
        self.stdout.write(
            f"{words['cluster']}: {FIELDS[words['kind']]} of a {words['kind']} {verb} taken from "
            f"{words['manager']}"
        )
