"""Prometheus text exposition, format 0.0.4."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Row = tuple[str, float]
"""Labels as rendered by `labels`, and a value."""


@dataclass(frozen=True)
class Described:
    """A metric family in words: what the catalogue prints of it."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]
    source: str


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labels(pairs: Mapping[str, str]) -> str:
    """`name="value",…` without braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs.items())


def joined(*parts: str) -> str:
    """Rendered labels side by side; empty ones leave no comma behind."""
    return ",".join(part for part in parts if part)


def number(value: float) -> str:
    """Whole numbers without a point, as most exporters print them."""
    return str(int(value)) if value == int(value) else repr(float(value))


def head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def family(name: str, kind: str, text: str, rows: Iterable[Row]) -> list[str]:
    """Lines of one metric family; none when it has no rows."""
    lines = [f"{name}{{{pairs}}} {number(value)}" for pairs, value in rows]
    return [*head(name, kind, text), *lines] if lines else []


def document(families: Iterable[list[str]]) -> str:
    lines = [line for family_lines in families for line in family_lines]
    return "\n".join(lines) + "\n" if lines else ""
