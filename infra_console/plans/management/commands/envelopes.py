"""`manage.py envelopes`: list envelopes; propose, approve, reject or revoke one in somebody's
name."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime, time
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from infra_console.plans import clock
from infra_console.plans.approving import envelopes
from infra_console.plans.approving.in_advance import revoke_envelope
from infra_console.plans.errors import PlanError
from infra_console.plans.models.envelopes import Envelope
from infra_console.plans.queries import find_user

DECISIONS = {
    "approve": envelopes.approve_envelope,
    "reject": envelopes.reject_envelope,
    "revoke": revoke_envelope,
}


class Command(BaseCommand):
    help = "List envelopes; propose, approve, reject or revoke one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="the newest envelopes")
        propose = verbs.add_parser("propose", help="write one down for somebody else to approve")
        propose.add_argument("title")
        for name in ("cluster", "tier", "step-kind"):
            propose.add_argument(
                f"--{name}", action="append", required=True, help="may be repeated"
            )
        propose.add_argument("--plan-gpus", type=int, required=True)
        propose.add_argument("--total-gpus", type=int, required=True)
        propose.add_argument("--until", type=_time, required=True, help="ISO 8601, UTC unless said")
        propose.add_argument("--opens", type=time.fromisoformat, default=time(0), help="HH:MM")
        propose.add_argument("--closes", type=time.fromisoformat, default=time(0), help="HH:MM")
        propose.add_argument("--time-zone", default="UTC")
        for verb in DECISIONS:
            verbs.add_parser(verb).add_argument("envelope", type=int, help="its number")
        for verb in ("propose", *DECISIONS):
            verbs.choices[verb].add_argument("--as", dest="username", required=True)
            verbs.choices[verb].add_argument("--reason", required=True)
        for made in verbs.choices.values():
            made.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = list(Envelope.objects.all()[:100]) if options["verb"] == "list" else [_act(options)]
        if options["json"]:
            lines = [_line(row) for row in rows]
            self.stdout.write(
                json.dumps(lines if options["verb"] == "list" else lines[0], indent=2)
            )
            return
        for row in rows:
            state = envelopes.state_now(row, at=clock.now())
            used = f"{row.used_gpus} of {row.total_gpus} GPUs"
            self.stdout.write(f"{row.pk:>5} {state:<9} {used}  {row.title}")


def _act(options: dict[str, Any]) -> Envelope:
    user = find_user(options["username"])
    if user is None:
        raise CommandError(f"There is no active user {options['username']!r}.")
    try:
        if options["verb"] == "propose":
            return _propose(options, by=user)
        return DECISIONS[options["verb"]](options["envelope"], by=user, reason=options["reason"])
    except PlanError as err:
        raise CommandError(str(err)) from err


def _propose(options: dict[str, Any], *, by: User) -> Envelope:
    draft = envelopes.Draft(
        title=options["title"],
        clusters=options["cluster"],
        tiers=options["tier"],
        step_kinds=options["step_kind"],
        plan_gpus=options["plan_gpus"],
        total_gpus=options["total_gpus"],
        expires_at=options["until"],
        opens=options["opens"],
        closes=options["closes"],
        time_zone=options["time_zone"],
        reason=options["reason"],
    )
    return envelopes.propose_envelope(draft, by=by)


def _line(row: Envelope) -> dict[str, Any]:
    people = ("author", "approved_by", "ended_by", "reason", "approve_reason", "end_reason")
    return {
        "id": row.pk,
        "state": envelopes.state_now(row, at=clock.now()),
        **envelopes.bounds_of(row),
        **{name: getattr(row, name) for name in people},
    }


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
