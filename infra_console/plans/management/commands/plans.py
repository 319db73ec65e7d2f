"""`manage.py plans`: list and show plans, and what came of them; approve, reject or roll one back
in somebody's name."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from infra_console.plans import services
from infra_console.plans.approving.quorum import quorum_of
from infra_console.plans.errors import PlanError
from infra_console.plans.looking.policy import policy_checks
from infra_console.plans.models import Plan
from infra_console.plans.queries import (
    find_plan,
    find_user,
    list_plans,
    plan_detail,
    plan_summary,
)
from infra_console.plans.settling.track_record import DAYS, track_record
from infra_console.plans.settling.verification import end_verification
from infra_console.plans.states import PlanState
from infra_console.plans.taking_back.rollback import roll_back

CONTROLS: Mapping[str, Callable[..., Plan]] = {
    "pause": services.pause_execution,
    "resume": services.resume_execution,
    "abort": services.abort_execution,
    "end-verification": end_verification,
    "rollback": roll_back,
}
DECISIONS: Mapping[str, Callable[..., Plan]] = {
    "approve": services.approve_plan,
    "reject": services.reject_plan,
}


class Command(BaseCommand):
    help = "List and show plans; approve, reject or roll one back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        every = verbs.add_parser("list", help="the newest plans")
        every.add_argument("--state", action="append", default=[], choices=PlanState.values)
        every.add_argument("--limit", type=int, default=100)
        show = verbs.add_parser("show", help="one plan whole, as JSON")
        show.add_argument("plan", help="its number or id")
        for verb in ("approve", "reject"):
            decide = verbs.add_parser(verb, help=f"{verb} a plan under review")
            decide.add_argument("plan", help="its number or id")
            decide.add_argument("--as", dest="username", required=True, help="who decides")
            decide.add_argument("--reason", default="")
        for verb in CONTROLS:
            control = verbs.add_parser(verb, help=f"{verb} an execution")
            control.add_argument("plan", help="its number or id")
            control.add_argument("--as", dest="username", required=True, help="who orders it")
            control.add_argument("--reason", required=True)
        record = verbs.add_parser("track-record", help="promised against realised, by mode")
        record.add_argument("--days", type=int, default=DAYS)
        checks = verbs.add_parser("checks", help="the policy checks of a plan, one by one")
        checks.add_argument("plan", help="its number or id")
        for made in verbs.choices.values():
            made.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            self._list(options)
        elif options["verb"] == "show":
            plan = _plan(options["plan"])
            self._print(plan_detail(plan) | {"quorum": quorum_of(plan).as_json()})
        elif options["verb"] == "checks":
            self._checks(options)
        elif options["verb"] == "track-record":
            self._track_record(options)
        else:
            self._decide(options)

    def _list(self, options: dict[str, Any]) -> None:
        plans = list_plans(states=options["state"], limit=options["limit"])
        if options["json"]:
            self._print([plan_summary(p) for p in plans])
            return
        for plan in plans:
            mark = " (held back)" if plan.state == PlanState.PROPOSED and plan.held_back else ""
            self.stdout.write(f"{plan.number:>5} {plan.state:<10} {plan.title}{mark}")

    def _checks(self, options: dict[str, Any]) -> None:
        found = policy_checks(_plan(options["plan"]))
        if options["json"]:
            lines = [asdict(check) for check in found]
            self.stdout.write(json.dumps(lines, indent=2, default=str))
            return
        for check in found:
            word = {True: "passed", False: "failed", None: "unknown"}[check.passed]
            word = "waits" if check.waits else word
            self.stdout.write(f"{word:<8} {check.rule}: {check.words}")

    def _track_record(self, options: dict[str, Any]) -> None:
        record = track_record(days=options["days"])
        if options["json"]:
            self._print(record.as_json())
            return
        for tally in record.by_mode:
            measured = tally.kept + tally.missed
            self.stdout.write(
                f"{tally.name:<9} {tally.plans} plans, {tally.kept} of {measured} promises kept, "
                f"{tally.unknown} unknown"
            )
        shadow = record.shadow
        self.stdout.write(
            f"{shadow.harmful} of {shadow.told} shadows would have hurt; "
            f"of {shadow.untold} more it cannot be told"
        )

    def _decide(self, options: dict[str, Any]) -> None:
        plan, user = _plan(options["plan"]), find_user(options["username"])
        if user is None:
            raise CommandError(f"There is no active user {options['username']!r}.")
        words = {"by": user, "reason": options["reason"]}
        try:
            if act := CONTROLS.get(options["verb"]):
                decided = act(plan.id, **words)
            else:
                decided = DECISIONS[options["verb"]](plan.id, plan_hash=plan.hash, **words)
        except PlanError as err:
            raise CommandError(str(err)) from err
        if options["json"]:
            self._print(plan_summary(decided))
        else:
            waits = decided.state == PlanState.PROPOSED
            missing = f", missing: {quorum_of(decided).words}" if waits else ""
            self.stdout.write(f"Plan {decided.number} is {decided.state}{missing}.")

    def _print(self, document: Any) -> None:
        self.stdout.write(json.dumps(document, indent=2))


def _plan(key: str) -> Plan:
    plan = find_plan(key)
    if plan is None:
        raise CommandError(f"There is no plan {key!r}.")
    return plan
