"""What the console measures itself, by name: a promise may ask for it as for a metric.

A domain adds a reading by naming its function in settings.PLAN_READINGS; it answers for the labels
of a promise with what held from `start` to `end`: moments and values, oldest first, the one that
held at `start` included.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from infra_console.plans.spec import Promise

Values = Sequence[tuple[datetime, float]]
Reader = Callable[[Mapping[str, Any], datetime, datetime], Values]


def is_reading(query: str) -> bool:
    return query in settings.PLAN_READINGS


def need_metrics(promises: Iterable[Promise]) -> bool:
    """Whether there is anything that only a metric source can tell, or nothing at all to tell."""
    asked = [is_reading(promise.query) for promise in promises]
    return not asked or not all(asked)


def read_own(query: str, labels: Mapping[str, Any], *, start: datetime, end: datetime) -> Values:
    read: Reader = import_string(settings.PLAN_READINGS[query])
    return read(labels, start, end)
