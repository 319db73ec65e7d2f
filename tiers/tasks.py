"""Thin doors for the workers."""

import logging
from typing import Any

from celery import shared_task
from django.utils import timezone

from infra_console.cluster.errors import ClusterError
from tiers import cycle, queries, services
from tiers.adopting import keep_inventory
from tiers.core.forecast.errors import TooLittleHistory
from tiers.errors import CycleRunning, NoFleet, NothingToLookAt
from tiers.looking import Looked, look
from tiers.retention import prune

log = logging.getLogger(__name__)


@shared_task(name="tiers.run_cycle")
def run_cycle(
    requested_by: str = services.SYSTEM_AUTHOR, chosen: dict[str, Any] | None = None
) -> None:
    from tiers.training import load_active_model  # noqa: PLC0415  torch, see train

    try:
        cycle.run_cycle(
            by=requested_by, now=timezone.now(), load_model=load_active_model, chosen=chosen
        )
    except (CycleRunning, NoFleet) as err:
        log.info("No cycle: %s", err)


@shared_task(name="tiers.observe")
def observe() -> None:
    try:
        cycle.observe(now=timezone.now())
        services.request_first_cycle()
    except NoFleet as err:
        log.info("Nothing to observe: %s", err)


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
    # torch takes seconds to import and only this task trains.
    import torch  # noqa: PLC0415

    from tiers.training import train_forecaster  # noqa: PLC0415

    torch.set_num_threads(1)  # the other core belongs to the workers that serve people
    if not queries.training_is_due(now=timezone.now()):
        return
    try:
        train_forecaster(timezone.now(), seed=1)
    except (NoFleet, TooLittleHistory) as err:
        log.info("Nothing trained: %s", err)
