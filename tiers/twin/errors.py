"""What can go wrong in the twin, in words for whoever runs it."""

from collections.abc import Iterable
from pathlib import Path


class TwinError(Exception):
    """Base of the twin's errors; its message is one line for the terminal."""


class TraceInvalid(TwinError):
    """A demand trace that cannot be used; nothing has been changed."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"Demand trace {path.name} {problem}.")


class TwinAway(TwinError):
    """No twin answers at its control address."""


class TwinRefused(TwinError):
    """The twin answered a command with a refusal."""


class NoSuchThing(TwinError):
    """A command names a region, model, cluster or node that the twin does not have."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no {kind} {name!r} here; there are {', '.join(known)}.")


class NotInitialised(TwinError):
    """The twin's files are not there yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing: run `manage.py twin init` first.")


class PortBusy(TwinError):
    """Another process listens on a port that the twin was given."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is taken; free it or run `manage.py twin init` again.")
