"""What `manage.py doctor` asks of every dependency, and how each part answers."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency's state. `detail` says what was found, `remedy` what to do when not `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def run_checks(paths: Iterable[str] | None = None) -> list[Check]:
    """Every check named in settings.DOCTOR_CHECKS, in order; a check that breaks is itself bad."""
    found: list[Check] = []
    for path in settings.DOCTOR_CHECKS if paths is None else paths:
        found += _run(path)
    return found


def _run(path: str) -> list[Check]:
    try:
        check: Callable[[], list[Check]] = import_string(path)
        return check()
    except Exception as err:  # one broken check must not hide the others
        log.exception("Doctor check %s failed", path)
        return [
            Check(
                name=path.rpartition(".")[2],
                ok=False,
                detail=f"the check itself failed: {type(err).__name__}: {err}",
                remedy="read the log; the other checks still hold",
            )
        ]
