"""Thin doors for the workers."""

from celery import shared_task

from regions.services import look_at_routes


@shared_task(name="regions.look_routes")
def look_routes(ask_id: int | None = None) -> None:
    """On the clock in nobody's name, or what somebody asked for."""
    look_at_routes(ask_id=ask_id)
