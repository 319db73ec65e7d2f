"""`manage.py capacity`: propose to buy machines, or to give some back, in somebody's name."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from infra_console.cluster.errors import ClusterError
from infra_console.plans import clock
from infra_console.plans.capacity import Wish, propose_machines
from infra_console.plans.errors import PlanError
from infra_console.plans.queries import find_user
from infra_console.plans.spec import ObjectRef

KINDS = ("MachineDeployment", "NodePool")


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster", help="where the machines are managed")
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("name", help="NAME, or NAMESPACE/NAME")
        parser.add_argument("--to", type=int, required=True, help="how many there shall be")
        parser.add_argument(
            "--tier", required=True, choices=("inference", "training", "operational")
        )
        parser.add_argument("--leave", action="append", default=[], help="a node that goes")
        parser.add_argument("--fallback", default="", help="what to do without capacity")
        parser.add_argument("--as", dest="username", required=True, help="who proposes")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["username"])
        if user is None:
            raise CommandError(f"There is no active user {options['username']!r}.")
        namespace, _, name = options["name"].rpartition("/")
        target = ObjectRef(
            cluster=options["cluster"], kind=options["kind"], namespace=namespace, name=name
        )
        wish = Wish(
            target=target,
            to=options["to"],
            tier=options["tier"],
            leaves=tuple(options["leave"]),
            fallback=options["fallback"],
        )
        try:
            plan = propose_machines(wish, by=user, now=clock.now())
        except (PlanError, ClusterError) as err:
            raise CommandError(str(err)) from err
        self.stdout.write(f"Plan {plan.number} is {plan.state}: {plan.summary}")
