"""A document as HTML, as text and as CSV: the same numbers three times."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string

from infra_console.reports.figures import as_table
from infra_console.reports.sections import Cell, Column, Document, Format, Section, Table

UNKNOWN = "unknown"
SHORT = 20  # characters that are never broken: ids of regions, models, times
WIDEST = 44  # characters of a column in the text
# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


# After the point, of formats that have a number of their own.
DIGITS: Mapping[Format, int] = {"usd": 2, "count": 0, "ms": 0, "ratio": 4}


def shown(value: Cell, form: Format) -> str:
    """A cell in words; what is not known says so."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    if form == "percent":
        return f"{100 * value:.1f} %"
    if form in DIGITS:
        return f"{value:,.{DIGITS[form]}f}"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,d}"


def heading(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def subject_of(document: Document) -> str:
    """`infra-console daily report, 2026-03-29 07:00 Europe/Berlin`."""
    at = local(document.period.end, document.time_zone)
    late = ", late" if document.late_s else ""
    return f"infra-console {document.kind} report, {at} {document.time_zone}{late}"


def local(at: datetime, time_zone: str) -> str:
    return at.astimezone(ZoneInfo(time_zone)).strftime("%Y-%m-%d %H:%M")


def late_words(late_s: float) -> str:
    """How late, in minutes below two hours, else in hours."""
    minutes = late_s / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


# --- HTML -----------------------------------------------------------------------------------


def as_html(document: Document, *, drawn: Mapping[str, str], problem: str = "") -> str:
    """The mail's HTML. Pictures that were drawn are named by cid, the others are tables."""
    return render_to_string(
        "reports/mail.html",
        _frame(document) | {
            "sections": [_html_section(section, drawn) for section in document.sections],
            "picture_problem": problem,
        },
    )  # fmt: skip


def with_data_uris(html: str, pictures: Mapping[str, str]) -> str:
    """The mail's HTML for a browser, which knows no cid."""
    for name, png in pictures.items():
        html = html.replace(f'src="cid:{cid_of(name)}"', f'src="data:image/png;base64,{png}"')
    return html


def cid_of(name: str) -> str:
    """A picture's Content-ID; names are our own words."""
    return f"{name}@infra-console"


def _frame(document: Document) -> dict[str, object]:
    zone = document.time_zone
    return {
        "document": document,
        "subject": subject_of(document),
        "start": local(document.period.start, zone),
        "end": local(document.period.end, zone),
        "made": local(document.made_at, zone),
        "late": late_words(document.late_s) if document.late_s else "",
        "link": settings.PUBLIC_URL,
    }


def _html_section(section: Section, drawn: Mapping[str, str]) -> dict[str, object]:
    return {
        "section": section,
        "pictures": [(p, f"cid:{cid_of(p.name)}") for p in section.pictures if p.name in drawn],
        "tables": [_html_table(t) for t in _tables(section, drawn)],
    }


def _tables(section: Section, drawn: Mapping[str, str]) -> list[Table]:
    """The section's tables, then those that stand for pictures that were not drawn."""
    return [*section.tables, *(as_table(p) for p in section.pictures if p.name not in drawn)]


def _html_table(table: Table) -> dict[str, object]:
    return {
        "table": table,
        "heads": [(heading(c), _side(c)) for c in table.columns],
        "rows": [
            [_html_cell(value, column) for value, column in _pairs(row, table)]
            for row in table.rows
        ],
    }


def _html_cell(value: Cell, column: Column) -> tuple[str, str, bool, bool]:
    """Its words, its side, whether it is unknown, and whether it stands on one line."""
    text = shown(value, column.format)
    return text, _side(column), value is None, len(text) <= SHORT


def _pairs(row: tuple[Cell, ...], table: Table) -> Iterator[tuple[Cell, Column]]:
    return zip(row, table.columns, strict=True)


def _side(column: Column) -> str:
    return "left" if column.format in {"text", "time"} else "right"


# --- text -----------------------------------------------------------------------------------


def as_text(document: Document, *, drawn: Mapping[str, str], problem: str = "") -> str:
    """The mail for those who read text; its numbers are those of the HTML."""
    frame = _frame(document)
    parts = [
        str(frame["subject"]),
        f"{frame['start']} to {frame['end']} {document.time_zone}; made {frame['made']}",
    ]
    if frame["late"]:
        parts.append(f"LATE by {frame['late']}: nothing could make it at its time.")
    if problem:
        parts.append(f"Pictures are tables here: {problem}.")
    if frame["link"]:
        parts.append(str(frame["link"]))
    for section in document.sections:
        parts += ["", section.title.upper(), "=" * len(section.title), *section.sentences]
        for table in _tables(section, drawn):
            parts += ["", *_text_table(table)]
        parts += [f"Picture: {p.alt}" for p in section.pictures if p.name in drawn]
        parts += [f"! Missing: {text}" for text in section.missing]
    return "\n".join(_one_line(part) for part in parts) + "\n"


def _text_table(table: Table) -> list[str]:
    if not table.rows:
        return [table.title, f"  {table.empty}"]
    grid = [[heading(c) for c in table.columns]]
    grid += [[shown(v, c.format) for v, c in _pairs(row, table)] for row in table.rows]
    grid = [[_one_line(cell)[:WIDEST] for cell in row] for row in grid]
    widths = [max(len(row[i]) for row in grid) for i in range(len(table.columns))]
    sides = ["<" if _side(c) == "left" else ">" for c in table.columns]
    rows = [
        "  " + "  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)).rstrip()
        for row in grid
    ]
    rows.insert(1, "  " + "  ".join("-" * w for w in widths))
    more = [f"  and {table.more} more"] if table.more else []
    return [table.title, *rows, *more]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


# --- CSV ------------------------------------------------------------------------------------


def as_csv(document: Document) -> str:
    """Every table and every picture's numbers in long form, raw: no rounding, empty is unknown."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["section", "table", "row", "column", "unit", "value"])
    for section in document.sections:
        for table in _tables(section, {}):
            for number, row in enumerate(table.rows, 1):
                for value, column in _pairs(row, table):
                    writer.writerow(
                        harmless(cell)
                        for cell in (
                            section.title, table.title, number, column.title, _unit(column), value,
                        )
                    )  # fmt: skip
    return out.getvalue()


def _unit(column: Column) -> str:
    return column.unit or {"percent": "share of 1", "usd": "USD", "ms": "ms"}.get(column.format, "")


def harmless(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA):
        return "'" + cell
    return cell
