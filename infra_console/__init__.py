"""infra-console: the ground floor and the wiring."""

from infra_console.celery import app as celery_app

__all__ = ["celery_app"]
