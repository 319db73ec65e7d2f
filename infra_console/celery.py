"""The Celery application; settings name its queues, docs/operate.md what each is for."""

import os

from celery import Celery

from infra_console.worker_watch import Watch

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "infra_console.settings")

app = Celery("infra_console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(Watch)
