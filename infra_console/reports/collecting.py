"""Asking every contribution for its section. One that fails says so in its own place; the report
is made all the same."""

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from infra_console.reports.sections import Contribution, Document, Period, Section

log = logging.getLogger(__name__)


def collect(
    period: Period, *, time_zone: str, now: datetime, late_s: float | None = None
) -> Document:
    """The report of a period, with every section that settings name, in order."""
    return Document(
        kind=period.kind,
        period=period,
        time_zone=time_zone,
        made_at=now,
        late_s=late_s,
        sections=tuple(_section(path, period) for path in settings.REPORT_SECTIONS),
    )


def _section(path: str, period: Period) -> Section:
    try:
        build: Contribution = import_string(path)
        with transaction.atomic():  # a failed query must not take the next section with it
            return Section.model_validate(build(period))
    except Exception:  # whatever one section meets, the others are owed
        log.exception("The report's section %s failed", path)
        name = path.rpartition(".")[2].replace("_", " ")
        return Section(
            key=path,
            title=name.capitalize(),
            sentences=("This part could not be made.",),
            missing=(f"“{name}”: it failed while it was made; the worker's log says how",),
        )
