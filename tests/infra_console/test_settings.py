"""What the settings make of their variables."""

import pytest
from django.conf import settings
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from infra_console.celery import app
from infra_console.settings import _database


def test_the_query_of_a_database_url_is_passed_on():
    found = _database("postgresql://me:s%40cret@db.example:6432/console?sslmode=require")
    assert found["OPTIONS"] == {"connect_timeout": 5, "sslmode": "require"}
    assert (found["PASSWORD"], found["PORT"]) == ("s@cret", "6432")


@pytest.mark.django_db
@pytest.mark.parametrize("name", settings.CELERY_BEAT_SCHEDULE)
def test_a_task_that_nobody_took_is_gone_when_the_next_is_due(name):
    entry = settings.CELERY_BEAT_SCHEDULE[name]
    ModelEntry.from_entry(name, app=app, **entry)
    assert PeriodicTask.objects.get(name=name).expire_seconds == int(entry["schedule"])
