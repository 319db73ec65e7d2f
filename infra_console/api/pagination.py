"""Cursor pagination: a page names where the next one starts; rows added meanwhile move nothing."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, TypeVar

from ninja import Query

from infra_console.api.problems import Problem

MAX_LIMIT = 200
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
_Row = TypeVar("_Row")


def read_cursor(cursor: str) -> int | None:
    """The key after which a page starts; None for the first page.

    Raises:
        Problem: 400, the cursor is not one that we gave out.
    """
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
        return int(text.removeprefix("after:"))
    except (ValueError, binascii.Error, UnicodeError) as err:
        detail = "This cursor is not one that the API gave out; start again without one."
        raise Problem(400, "bad-cursor", detail) from err


def cut_page(rows: Sequence[_Row], keys: Sequence[int], limit: int) -> tuple[list[_Row], str]:
    """The page of `limit` rows, and the cursor of the next one (empty at the end).

    Args:
        rows: up to limit + 1 rows in order.
        keys: each row's key, falling.
    """
    page = list(rows[:limit])
    more = len(rows) > limit
    return page, write_cursor(keys[limit - 1]) if more else ""


def write_cursor(key: int) -> str:
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode()
