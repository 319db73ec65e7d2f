"""A world of two objects in memory, with clocks that can be put on, for random orders of events.

The database's clock is put on by functions of the same names in a schema that is searched first:
the product asks as it always does.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.db import connection

from benchmarks.fault_model import NAMES
from infra_console.plans import clock
from infra_console.plans.facts import drift
from infra_console.plans.holding import fence
from infra_console.plans.invariants.history import Request
from infra_console.plans.settling import verification
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import Done, Outcome, StepContext, Undo
from tests.infra_console.kube import CLUSTER

KIND = "machine.set"
LATER = """
CREATE SCHEMA IF NOT EXISTS later;
CREATE OR REPLACE FUNCTION later.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT pg_catalog.statement_timestamp() + current_setting('later.by')::interval $$;
CREATE OR REPLACE FUNCTION later.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS $$ SELECT pg_catalog.clock_timestamp() + current_setting('later.by')::interval $$;
"""


class World:
    """What the steps write to and rely on, and the log of its writes."""

    objects: dict[str, int]
    replicas: dict[str, int]
    log: list[Request]
    later: timedelta

    @classmethod
    def begin(cls) -> None:
        cls.objects, cls.replicas = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 1)
        cls.log, cls.later = [], timedelta(0)

    @classmethod
    def put_clock(cls, later: timedelta) -> None:
        """Every clock of this process and of its database session is so much ahead."""
        cls.later = later
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path = later, public, pg_catalog")
            cursor.execute("SELECT set_config('later.by', %s, true)", [f"{later.total_seconds()}s"])

    @classmethod
    def write(cls, name: str, to: int) -> None:
        cls.objects[name] = to
        cls.log.append(
            Request(
                at=clock.now(), cluster=CLUSTER, verb="update", resource="deployments",
                namespace="inference", name=name, subresource="scale",
                body={"spec": {"replicas": to}}, took_effect=True, ours=True,
            )
        )  # fmt: skip


class SetObject:
    """A step that sets one object in memory."""

    def run(self, step: StepContext) -> Outcome:
        name, to = step.target.name, int(step.params["to"])
        if World.objects[name] == to:
            return Done("stands")
        step.keep_prior({"was": World.objects[name]})
        step.write(f"set {name}", lambda: World.write(name, to))
        return Done("set")

    def rehearse(self, step: StepContext) -> Outcome:
        return Done("would be set")

    def undo(self, step: StepSpec) -> tuple[Undo, ...]:
        return ()


@contextmanager
def world_in_memory() -> Iterator[None]:
    """The executor's eyes and hands on objects of this process, and clocks that are put on."""

    def facts(target: Any, nodes: Any, *, tier_key: str) -> dict[str, Any]:
        return {"replicas": World.replicas[target.name]}

    def now() -> datetime:
        return datetime.now(UTC) + World.later

    kinds = {**settings.PLAN_STEP_KINDS, KIND: f"{__name__}.SetObject"}
    with ExitStack() as changed:
        for module, name, value in (
            (settings, "PLAN_STEP_KINDS", kinds),
            (drift, "facts_of", facts),
            (fence, "hold", lambda cluster: None),
            # A sixth of all queries; the database is on this machine and has the same clock.
            (clock, "now", now),
            (verification, "_cluster_problems", lambda *_: []),
        ):
            changed.enter_context(patch.object(module, name, value))
        changed.enter_context(patch("django.utils.timezone.now", now))
        with connection.cursor() as cursor:
            cursor.execute(LATER)
        yield
