"""The telemetry's periodic work: a thin door to health.py."""

from celery import shared_task
from django.utils import timezone

from infra_console.telemetry import health


@shared_task(name="telemetry.watch_sources", ignore_result=True)
def watch_sources() -> None:
    """Remember which sources answer, and since when."""
    health.watch_sources(now=timezone.now())
