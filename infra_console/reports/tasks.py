"""Celery's door. It may run twice, and twice at once, without harm."""

from celery import shared_task
from django.utils import timezone

from infra_console.reports import delivering, making


@shared_task(name="reports.tick")
def tick() -> None:
    """Take what is due, make it, send it. Each part takes its own time of day: making is slow."""
    making.take_due(now=timezone.now())
    making.make_due(now=timezone.now())
    delivering.flag_lost(now=timezone.now())
    delivering.give_up(now=timezone.now())
    delivering.send_due(now=timezone.now())
