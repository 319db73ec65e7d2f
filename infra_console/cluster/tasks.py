"""Celery's door. It may run twice without harm."""

from celery import shared_task

from infra_console.cluster import owned


@shared_task(name=owned.LOOK_TASK)
def look_owned(cluster_id: str) -> str:
    return owned.look_owned(cluster_id)
