"""What workers and commands write for the compute domain: observations, cycles, their plans.

Pages ask for a cycle through services.py and never import this: it needs the Kubernetes client and
the solver, which take seconds to load.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from infra_console.fleet.prices import priced_fleet
from infra_console.fleet.queries import current_fleet
from infra_console.live.services import publish
from tiers.adapters.kubernetes_fleet import KubernetesFleet
from tiers.adapters.prometheus_fleet import PrometheusFleet
from tiers.core.fleet_state import FleetState
from tiers.core.health import with_faults
from tiers.errors import CycleRunning, NoFleet, ObservationRunning
from tiers.extras import read_extras, read_faults
from tiers.facts import FleetFacts, fleet_facts
from tiers.forecasting import ModelLoader
from tiers.ledger_keep import Extras, keep_ledger
from tiers.models import Cycle, CycleState, Observation
from tiers.observation import Metrics, build_observation, read_metrics
from tiers.placement import check_placement
from tiers.policy import Course, course_of
from tiers.ports import FleetReader
from tiers.services import SYSTEM_AUTHOR
from tiers.stages import CycleInputs, run_stages

log = logging.getLogger(__name__)

# One cycle at a time, whichever worker runs it: arbitrary constants for pg_try_advisory_lock. So
# with observations: where one takes longer than beat waits, several would only slow each other.
CYCLE_LOCK = 7_401_001
OBSERVATION_LOCK = 7_401_003
FAILED = "The cycle failed; plans under review stay as they are."
KEEP_OBSERVATIONS = timedelta(hours=6)
KEEP_CYCLES = timedelta(days=3)


def fleet_reader(facts: FleetFacts, *, now: datetime, prometheus_only: bool) -> FleetReader:
    """Kubernetes where this process has a kubeconfig, else the metrics about Kubernetes."""
    if prometheus_only or not settings.KUBECONFIG:
        return PrometheusFleet(facts)
    return KubernetesFleet(facts, now=now)


def observe(*, now: datetime, prometheus_only: bool = False) -> Observation:
    """Look at the whole fleet once and keep what was seen.

    Raises:
        NoFleet: nothing is configured. Clusters or sources that fail do not raise; they are said
            in the document.
        ObservationRunning: another one is at work.
    """
    facts = _facts()
    if not _try_lock(OBSERVATION_LOCK):
        raise ObservationRunning
    try:
        state, extras = _look(facts, now=now, prometheus_only=prometheus_only)
        return _keep_observation(facts, state, read_metrics(), extras, now=now)
    finally:
        _unlock(OBSERVATION_LOCK)


def _look(facts: FleetFacts, *, now: datetime, prometheus_only: bool) -> tuple[FleetState, Extras]:
    reader = fleet_reader(facts, now=now, prometheus_only=prometheus_only)
    state = with_faults(reader.read(facts.cluster_ids), read_faults())
    return state, read_extras(facts, state)


def _keep_observation(
    facts: FleetFacts, state: FleetState, metrics: Metrics, extras: Extras, *, now: datetime
) -> Observation:
    last = Observation.objects.first()
    document = build_observation(
        facts, state, metrics, now=now, previous=last.document if last else None
    )
    with transaction.atomic():
        observation = Observation.objects.create(at=now, document=document)
        Observation.objects.filter(at__lt=now - KEEP_OBSERVATIONS).delete()
        keep_ledger(facts, state, extras, now=now)
        publish("fleet", "observation", observation.pk)
    return observation


def run_cycle(
    *,
    by: str,
    now: datetime,
    load_model: ModelLoader,
    prometheus_only: bool = False,
    chosen: dict[str, Any] | None = None,
) -> Cycle:
    """One pass from telemetry to proposed plans, kept stage by stage.

    It follows the point of the frontier that was `chosen` for it, else the standing policy; who
    chose is an author of its plans.

    Raises:
        NoFleet: nothing is configured.
        CycleRunning: another cycle is at work.
    """
    facts = _facts()
    if not _try_lock(CYCLE_LOCK):
        raise CycleRunning
    try:
        _end_abandoned()
        cycle = Cycle.objects.create(started_at=now, state=CycleState.RUNNING, requested_by=by)
        course = course_of(chosen, by=by)
        return _run(cycle, facts, load_model, course, now=now, prometheus_only=prometheus_only)
    finally:
        _unlock(CYCLE_LOCK)


def _run(
    cycle: Cycle,
    facts: FleetFacts,
    load_model: ModelLoader,
    course: Course | None,
    *,
    now: datetime,
    prometheus_only: bool,
) -> Cycle:
    def at_stage(stage: str) -> None:
        Cycle.objects.filter(pk=cycle.pk).update(stage=stage)
        publish("cycle", str(cycle.pk), 0)

    try:
        state, extras = _look(facts, now=now, prometheus_only=prometheus_only)
        _keep_observation(facts, state, read_metrics(), extras, now=now)
        check_placement(facts, _by_api(state), now=now)
        inputs = CycleInputs(
            facts=facts,
            state=state,
            now=now,
            authors=_authors(cycle.requested_by, course),
            load_model=load_model,
            course=course,
        )
        outcome = run_stages(cycle, inputs, at_stage)
    except Exception:
        _finish(cycle, CycleState.FAILED, FAILED)
        raise
    _finish(cycle, outcome.state, outcome.verdict, outcome.document)
    Cycle.objects.filter(started_at__lt=now - KEEP_CYCLES).delete()
    cycle.refresh_from_db()
    return cycle


def _by_api(state: FleetState) -> list[str]:
    return [c for c, seen in state.clusters.items() if seen.source == "kubernetes"]


def _end_abandoned() -> None:
    """Whoever holds the lock runs alone: a cycle still called running died with its worker."""
    for cycle in Cycle.objects.filter(state=CycleState.RUNNING):
        _finish(cycle, CycleState.FAILED, FAILED)


def _authors(by: str, course: Course | None) -> Sequence[str]:
    """Who asked, and who chose the point that is followed."""
    return list(dict.fromkeys([by or SYSTEM_AUTHOR, *([course.by] if course else [])]))


def _finish(
    cycle: Cycle, state: CycleState, verdict: str, document: dict[str, Any] | None = None
) -> None:
    with transaction.atomic():
        Cycle.objects.filter(pk=cycle.pk).update(
            state=state,
            verdict=verdict,
            stage="done",
            finished_at=timezone.now(),
            document=document or {},
        )
        publish("cycle", str(cycle.pk), 1)


def _facts() -> FleetFacts:
    config = current_fleet()
    if config is None:
        raise NoFleet
    return fleet_facts(priced_fleet(config, on=timezone.now().date()))


def _try_lock(lock: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        return bool(cursor.fetchone()[0])


def _unlock(lock: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])
