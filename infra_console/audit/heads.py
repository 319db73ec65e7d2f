"""The chain's signed head, which leaves the database every minute.

Whoever owns the database can rewrite the whole chain so that it is sound again; they cannot make it
agree with a head that stands in a log elsewhere, nor sign another without the key. Tampering is
therefore found up to the last exported head. The file itself can lose its last lines: ship it, or
the log lines that say the same, to a machine that the database's owner does not administer.
"""

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TAIL_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ended at a time: the last row's sequence and hash, under our signature."""

    seq: int
    hash: str
    at: str  # ISO 8601 in UTC
    signature: str

    def line(self) -> str:
        fields = {"seq": self.seq, "hash": self.hash, "at": self.at, "signature": self.signature}
        return json.dumps(fields, separators=(",", ":"))


class HeadsUnreadable(Exception):
    """The file of heads holds a line that this console did not sign, or that is no head."""


def sign_head(seq: int, row_hash: str, at: datetime, *, key: str) -> Head:
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    return Head(seq, row_hash, moment, _signature(seq, row_hash, moment, key))


def read_heads(path: Path, *, key: str) -> list[Head]:
    """Every exported head, in the order of the file; none when there is no file yet.

    Raises:
        HeadsUnreadable: a line was changed, or was signed with another key.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_head(line, number, key) for number, line in enumerate(lines, start=1)]


def append_head(path: Path, head: Head) -> bool:
    """Add a line, on disk before this returns; False when the last line is of the same row."""
    if _last_seq(path) == head.seq:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(opened, f"{head.line()}\n".encode())  # one write: two workers never mix lines
        os.fsync(opened)
    finally:
        os.close(opened)
    return True


def _head(line: str, number: int, key: str) -> Head:
    try:
        head = Head(**json.loads(line))
    except (ValueError, TypeError) as err:
        raise HeadsUnreadable(f"line {number} of the exported heads is no head") from err
    expected = _signature(head.seq, head.hash, head.at, key)
    if not hmac.compare_digest(expected, str(head.signature)):
        raise HeadsUnreadable(f"line {number} of the exported heads is not signed by our key")
    return head


def _signature(seq: int, row_hash: str, at: str, key: str) -> str:
    text = f"infra-console audit head\n{seq}\n{row_hash}\n{at}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _last_seq(path: Path) -> int | None:
    """The sequence on the last line; None when there is none that can be read."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().splitlines()
    try:
        return int(json.loads(lines[-1])["seq"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None
