"""Every request to the API, in order: a ring in memory and, when a path is given, JSON lines.

What the checkers of later nights replay, so refused requests are in it too.
"""

import json
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

ROTATE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class LoggedRequest:
    """One request as the server saw it; `at` is ISO 8601 in UTC, `code` the HTTP status."""

    at: str
    cluster: str
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    user: str
    user_agent: str
    field_manager: str
    dry_run: bool
    code: int


class RequestLog:
    """The last `keep` requests in memory; the file keeps one older generation of 32 MiB."""

    def __init__(self, path: Path | None = None, *, keep: int = 10_000) -> None:
        self.recent: deque[LoggedRequest] = deque(maxlen=keep)
        self._path = path
        self._file: TextIO | None = None

    def append(self, request: LoggedRequest) -> None:
        self.recent.append(request)
        if self._path is None:
            return
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._file.write(json.dumps(asdict(request), separators=(",", ":")) + "\n")
        if self._file.tell() > ROTATE_BYTES:
            self.close()
            self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
