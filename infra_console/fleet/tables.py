"""Rows from the CSV and YAML files that operators import: contract lists and price books.

Pure: text in, checked rows out. A file is taken whole or not at all; each mistake names its row.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from infra_console.fleet.errors import TableInvalid

MAX_BYTES = 8 * 2**20
MAX_ROWS = 50_000


def _count(value: Any) -> Any:
    """YAML's `yes` is no number of GPUs."""
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return value


def _moment(value: Any) -> Any:
    """A day alone means its first second, UTC; a time without a zone is UTC."""
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value.strip())
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]
Row = TypeVar("Row", bound=BaseModel)


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:  # YAML can write one, the database cannot
            raise ValueError("it holds a NUL")
        return value


class ReservationRow(_Row):
    id: str = Field(min_length=1, max_length=190)
    start: Moment
    end: Moment
    gpus: Annotated[int, BeforeValidator(_count)] = Field(gt=0, le=10_000_000)
    pool: str = ""
    cluster: str = ""
    gpu_type: str = ""

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "ReservationRow":
        if self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class PriceRow(_Row):
    pool: str = Field(min_length=1, max_length=190)
    usd_per_gpu_hour: Decimal = Field(ge=0, lt=1_000_000, max_digits=10, decimal_places=4)
    valid_from: date
    source: str = Field(min_length=1, max_length=200)


def read_table(data: bytes, *, name: str, row: type[Row]) -> list[Row]:
    """The rows of a CSV (`.csv`, `.csv.gz`) or YAML (`.yaml`, `.yml`: a list of mappings) file.

    Raises:
        TableInvalid: not such a file, too large, or rows that break their schema.
    """
    raw = _raw_rows(data, name)
    found: list[Row] = []
    problems = []
    for number, values in enumerate(raw, start=1):
        try:
            found.append(row.model_validate(values))
        except ValidationError as err:
            problems.append(f"row {number}: {_words(err)}")
        except (ValueError, TypeError) as err:
            problems.append(f"row {number}: {err}")
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise TableInvalid(name, "; ".join(problems[:5]) + more)
    if not found:
        raise TableInvalid(name, "holds no rows")
    return found


def read_csv_rows(data: bytes, *, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file as text, gzip or plain.

    Raises:
        TableInvalid: not such a file, or too large.
    """
    reader = csv.DictReader(io.StringIO(_text(data, name)))
    try:
        columns, rows = reader.fieldnames or [], list(reader)
    except csv.Error as err:
        raise TableInvalid(name, f"is not CSV: {err}") from err
    if repeated := sorted(column for column, times in Counter(columns).items() if times > 1):
        raise TableInvalid(name, f"has the column {repeated[0]!r} more than once")
    if len(columns) == 1 and ";" in columns[0]:
        raise TableInvalid(name, "separates by semicolons: export it with commas")
    if any(None in row or None in row.values() for row in rows):
        raise TableInvalid(name, "has rows with more or fewer columns than its first line")
    return _capped(rows, name)


def _raw_rows(data: bytes, name: str) -> list[Mapping[str, Any]]:
    if not name.endswith((".yaml", ".yml")):
        rows = read_csv_rows(data, name=name)
        # An empty cell is a value that was not given.
        return [{k: v for k, v in row.items() if v != ""} for row in rows]
    try:
        found = yaml.safe_load(_text(data, name))
    # Values that only look like a date raise ValueError.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as err:
        raise TableInvalid(name, f"is not YAML: {str(err).splitlines()[0]}") from err
    if not isinstance(found, list) or not all(isinstance(r, dict) for r in found):
        raise TableInvalid(name, "must be a list of mappings")
    return _capped(found, name)


def _text(data: bytes, name: str) -> str:
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as packed:
                data = packed.read(MAX_BYTES + 1)  # never more than the cap of a gzip bomb
        if len(data) > MAX_BYTES:
            raise TableInvalid(name, f"is larger than {MAX_BYTES // 2**20} MiB")
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as err:
        raise TableInvalid(name, "is no text in UTF-8") from err
    if "\0" in text:
        raise TableInvalid(name, "holds a NUL, which no text does")
    return text


def _capped(rows: Iterable[Any], name: str) -> list[Any]:
    found = list(rows)
    if len(found) > MAX_ROWS:
        raise TableInvalid(name, f"holds more than {MAX_ROWS} rows")
    return found


def _words(err: ValidationError) -> str:
    return ", ".join(
        f"{'.'.join(str(p) for p in e['loc']) or 'row'}: {e['msg']}" for e in err.errors()
    )
