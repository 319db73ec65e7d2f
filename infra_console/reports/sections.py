"""What a report is made of, as plain values: the faces that packages contribute through.

A contribution is a function from a Period to a Section, named in settings.REPORT_SECTIONS. Unknown
is None, never zero; what a section lacked it names in `missing`. Texts come from clusters and
people alike, so they are cut, and every renderer escapes them.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

LONGEST_TEXT = 300
MOST_ROWS = 60


class Kind(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"


def plain(value: Any) -> Any:
    """A value that JSON, HTML and mail can hold: no NaN, no NUL, no half of a character."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()[:LONGEST_TEXT]
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


Text = Annotated[str, BeforeValidator(plain)]
Cell = Annotated[int | float | str | None, BeforeValidator(plain)]
Format = Literal["text", "count", "number", "percent", "ratio", "usd", "ms", "time"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Period(_Part):
    """What a report is about: from `start` until `end`, its slot."""

    kind: Kind
    start: datetime
    end: datetime

    @property
    def step_s(self) -> float:
        """Of a reading over the whole period: 96 points a day, 168 a week."""
        return 900.0 if self.end - self.start <= timedelta(days=2) else 3600.0

    @property
    def hours(self) -> float:
        return (self.end - self.start).total_seconds() / 3600


class Column(_Part):
    """`unit` stands beside the title; a percent is given as a share of one."""

    title: Text
    format: Format = "text"
    unit: Text = ""


class Table(_Part):
    """`more` is how many rows were left out."""

    title: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    more: int = 0
    empty: Text = "Nothing in this period."


class Picture(_Part):
    """A plain Plotly document, and what it shows for those who do not see it."""

    name: Text
    title: Text
    alt: Text
    figure: Annotated[dict[str, Any], BeforeValidator(plain)]


class Section(_Part):
    key: Text
    title: Text
    sentences: tuple[Text, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    missing: tuple[Text, ...] = ()


class Document(_Part):
    """A whole report. `late_s` is None where it was not late."""

    kind: Kind
    period: Period
    time_zone: str
    made_at: datetime
    late_s: float | None
    sections: tuple[Section, ...]

    @property
    def missing(self) -> list[tuple[str, str]]:
        """What was missing, with the title of the section that lacked it."""
        return [(section.title, text) for section in self.sections for text in section.missing]


Contribution = Callable[[Period], Section]


def counted(number: int, noun: str) -> str:
    """`1 plan`, `2 plans`."""
    return f"{number:,d} {noun}" if number == 1 else f"{number:,d} {noun}s"


def table(
    title: str, columns: tuple[Column, ...], rows: list[tuple[Any, ...]], **words: str
) -> Table:
    """A table cut to MOST_ROWS."""
    kept = tuple(tuple(row) for row in rows[:MOST_ROWS])
    return Table(
        title=title, columns=columns, rows=kept, more=max(0, len(rows) - MOST_ROWS), **words
    )
