"""Columns of tables, and how their cells are read; `kind_columns` says which each kind has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiers.twin.kube.resources import Obj
from tiers.twin.kube.selectors import selector_text
from tiers.twin.kube.times import parse_time

Cell = str | int | None
Reader = Callable[[Obj, datetime], Cell]
NONE, UNKNOWN = "<none>", "<unknown>"


@dataclass(frozen=True)
class Column:
    """One column; those of priority 1 are for wide tables."""

    name: str
    read: Reader
    kind: str = "string"
    priority: int = 0

    def definition(self) -> Obj:
        form = "name" if self.name == "Name" else ""
        return {"name": self.name, "type": self.kind, "format": form,
                "description": self.name, "priority": self.priority}  # fmt: skip


def at(obj: Any, path: str) -> Any:
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def since(text: str | None, now: datetime) -> str:
    """A time ago in one or two units, as `kubectl` shows ages."""
    if not text:
        return UNKNOWN
    return duration(int((now - parse_time(text)).total_seconds()))


def duration(seconds: int) -> str:
    if seconds < 0:
        return "0s" if seconds >= -2 else "<invalid>"
    for limit, unit, name, lower, lower_name in (
        (120, 1, "s", 0, ""), (600, 60, "m", 1, "s"), (3 * 3600, 60, "m", 0, ""),
        (8 * 3600, 3600, "h", 60, "m"), (48 * 3600, 3600, "h", 0, ""),
        (192 * 3600, 86400, "d", 3600, "h"), (2 * 365 * 86400, 86400, "d", 0, ""),
        (8 * 365 * 86400, 365 * 86400, "y", 86400, "d"),
    ):  # fmt: skip
        if seconds < limit:
            whole, rest = divmod(seconds, unit)
            part = rest // lower if lower else 0
            return f"{whole}{name}" + (f"{part}{lower_name}" if part else "")
    return f"{seconds // (365 * 86400)}y"


def text(name: str, path: str, empty: str = NONE, priority: int = 0) -> Column:
    def read(obj: Obj, now: datetime) -> Cell:
        value = at(obj, path)
        return empty if value in (None, "") else str(value)

    return Column(name, read, priority=priority)


def number(name: str, path: str, empty: Cell = 0, priority: int = 0) -> Column:
    def read(obj: Obj, now: datetime) -> Cell:
        value = at(obj, path)
        return empty if value is None else int(value)

    return Column(name, read, "integer", priority)


def condition(name: str, kind: str) -> Column:
    def read(obj: Obj, now: datetime) -> Cell:
        found = at(obj, "status.conditions") or ()
        return next((str(c["status"]) for c in found if c["type"] == kind), "")

    return Column(name, read)


def ratio(name: str, done: str, wanted: str, default: int = 0) -> Column:
    def read(obj: Obj, now: datetime) -> Cell:
        most = at(obj, wanted)
        return f"{at(obj, done) or 0}/{default if most is None else most}"

    return Column(name, read)


NAME = Column("Name", lambda obj, now: str(obj["metadata"]["name"]))
AGE = Column("Age", lambda obj, now: since(obj["metadata"].get("creationTimestamp"), now))


def _joined(template: str, field: str) -> Reader:
    def read(obj: Obj, now: datetime) -> Cell:
        return ",".join(str(c.get(field, "")) for c in at(obj, f"{template}.containers") or ())

    return read


CONTAINERS = Column("Containers", _joined("spec.template.spec", "name"), priority=1)
IMAGES = Column("Images", _joined("spec.template.spec", "image"), priority=1)
SELECTOR = Column(
    "Selector", lambda obj, now: selector_text(at(obj, "spec.selector") or {}) or NONE, priority=1
)
