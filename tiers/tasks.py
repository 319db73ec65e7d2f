"""Thin doors for the workers."""

import logging
from typing import Any

from celery import shared_task
from django.utils import timezone

from infra_console.cluster.errors import ClusterError
from tiers import cycle, fast_pass, services, training_runs
from tiers.adopting import keep_inventory
from tiers.core.forecast.run import Predictor
from tiers.errors import CycleRunning, NoFleet, NothingToLookAt, ObservationRunning
from tiers.looking import Looked, look
from tiers.retention import prune

log = logging.getLogger(__name__)


@shared_task(name="tiers.run_cycle")
def run_cycle(
    requested_by: str = services.SYSTEM_AUTHOR, chosen: dict[str, Any] | None = None
) -> None:
    try:
        cycle.run_cycle(by=requested_by, now=timezone.now(), load_model=_load_model, chosen=chosen)
    except (CycleRunning, NoFleet) as err:
        log.info("No cycle: %s", err)


@shared_task(name="tiers.observe")
def observe() -> None:
    try:
        cycle.observe(now=timezone.now())
        services.request_first_cycle()
    except (NoFleet, ObservationRunning) as err:
        log.info("Nothing to observe: %s", err)


@shared_task(name="tiers.correct_demand")
def correct_demand() -> None:
    try:
        for words in fast_pass.correct_demand(now=timezone.now()):
            log.info("Demand: %s", words)
    except NoFleet as err:
        log.info("Nothing to correct: %s", err)


@shared_task(name="tiers.look")
def look_again(by: str = services.SYSTEM_AUTHOR) -> None:
    try:
        keep_inventory(look(Looked(), now=timezone.now()), by=by)
    except (NothingToLookAt, ClusterError) as err:
        log.info("No look: %s", err)


@shared_task(name="tiers.prune")
def prune_stored() -> None:
    log.info("Pruned: %s", prune(now=timezone.now()))


@shared_task(name="tiers.train")
def train() -> None:
    training_runs.work(now=timezone.now(), load_trainer=_trainer)


def _trainer() -> training_runs.Trainer:
    # torch takes seconds to import and only this task trains.
    import torch  # noqa: PLC0415

    from tiers.training import train_forecaster  # noqa: PLC0415

    torch.set_num_threads(1)  # the other core belongs to the workers that serve people
    return train_forecaster


def _load_model() -> tuple[Predictor | None, str]:
    """The newest usable network, or None and why: without torch the naive models forecast."""
    try:
        from tiers.training import load_active_model  # noqa: PLC0415  torch, see _trainer
    except (ImportError, OSError) as err:
        log.warning("The network cannot be loaded", exc_info=True)
        return None, f"torch cannot be loaded: {err}"
    return load_active_model()
