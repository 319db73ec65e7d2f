"""At start: every store that settings name must lead to a class with every verb of a store.

A package that a store stands on may be missing on this machine: that is a state of the store.
"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

VERBS = ("create", "add", "build", "search", "exact", "health", "drop", "close")


@register
def check_fabric_stores(**_: Any) -> list[CheckMessage]:
    """One error a name that leads nowhere."""
    problems: list[CheckMessage] = []
    for name, path in settings.FABRIC_STORES.items():
        try:
            made = import_string(path)
        except ModuleNotFoundError as err:
            if err.name and path.startswith(err.name):
                problems.append(Error(f"Store {name}: {err}", id="fabric.E001"))
            continue
        except ImportError as err:
            problems.append(Error(f"Store {name}: {err}", id="fabric.E001"))
            continue
        if missing := [verb for verb in VERBS if not callable(getattr(made, verb, None))]:
            words = f"Store {name}: {path} has no {', '.join(missing)}"
            problems.append(Error(words, hint="see fabric/ports.py", id="fabric.E002"))
    return problems
