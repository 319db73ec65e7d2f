"""How a row's hash is made: SHA-256 over the canonical JSON of its fields and the hash before."""

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64


def plain_json(value: Any) -> Any:
    """A copy of `value` that PostgreSQL's jsonb gives back unchanged.

    jsonb keeps numbers, not their spelling: whole floats become integers, NaN and infinities null.
    It cannot hold a NUL character. Anything JSON has no type for becomes its text.
    """
    match value:
        case None | bool() | int():
            return value
        case float():
            if not math.isfinite(value):
                return None
            return int(value) if value.is_integer() else value
        case dict():
            return {plain_json(str(k)): plain_json(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain_json(v) for v in value]
        case _:
            return str(value).replace("\x00", "\ufffd")


def row_hash(
    *,
    seq: int,
    at: datetime,
    actor: str,
    action: str,
    object_kind: str,
    object_id: str,
    detail: Any,
    prev_hash: str,
) -> str:
    """The hash of one row, 64 hexadecimal digits. `detail` is already plain JSON."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [seq, moment, actor, action, object_kind, object_id, detail, prev_hash]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
