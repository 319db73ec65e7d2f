"""At start: every section that settings name must lead to a function."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string


@register
def check_report_sections(**_: Any) -> list[CheckMessage]:
    """One error per path that cannot be resolved."""
    problems: list[CheckMessage] = []
    for path in settings.REPORT_SECTIONS:
        try:
            found = import_string(path)
        except ImportError as err:
            problems.append(Error(f"Report section {path}: {err}", id="reports.E001"))
            continue
        if not callable(found):
            hint = "see infra_console/reports/sections.py"
            problems.append(
                Error(f"Report section {path} is no function", hint=hint, id="reports.E002")
            )
    return problems
