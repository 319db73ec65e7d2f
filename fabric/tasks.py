"""Thin doors for the workers."""

import logging

from celery import shared_task
from django.utils import timezone

from fabric.auditing import audit_collection
from fabric.building import tend_builds
from fabric.demo import seed_demo
from fabric.models import Collection

log = logging.getLogger(__name__)


@shared_task(name="fabric.build")
def build() -> None:
    for said in tend_builds(now=timezone.now()):
        log.info("%s", said)


@shared_task(name="fabric.seed_demo")
def seed() -> None:
    log.info("demo's collection: %s", seed_demo())


@shared_task(name="fabric.audit")
def audit() -> None:
    for collection in Collection.objects.filter(state=Collection.State.READY):
        found = audit_collection(collection, seed=int(timezone.now().timestamp()))
        if found is not None:
            log.info("%s: recall %.4f, at least %.4f on %d questions",
                     collection.name, found.recall, found.recall_lower, found.queries)  # fmt: skip
