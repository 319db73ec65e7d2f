"""Thin doors for the workers."""

import logging

from celery import shared_task
from django.utils import timezone

from tiers import services
from tiers.errors import CycleRunning, NoFleet

log = logging.getLogger(__name__)


@shared_task(name="tiers.run_cycle")
def run_cycle(requested_by: str = services.SYSTEM_AUTHOR) -> None:
    try:
        services.run_cycle(by=requested_by, now=timezone.now())
    except (CycleRunning, NoFleet) as err:
        log.info("No cycle: %s", err)


@shared_task(name="tiers.observe")
def observe() -> None:
    try:
        services.observe(now=timezone.now())
    except NoFleet as err:
        log.info("Nothing to observe: %s", err)


@shared_task(name="tiers.train")
def train() -> None:
    # torch takes seconds to import and only this task trains.
    from tiers.training import train_forecaster  # noqa: PLC0415

    train_forecaster(timezone.now(), seed=1)
