"""A requests session with the limits that the Prometheus client does not set by itself.

No redirects (they would carry credentials elsewhere and count as an answer), no retries behind the
caller's back, one deadline for the whole answer rather than for each read, and a cap on its size.
"""

import time
from typing import Any

import requests

CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class AnswerTooLarge(Exception):
    """The body passed the cap; it was not read to its end."""


class BoundedSession(requests.Session):
    """One conversation with one source; `answer` is the last response, read whole."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        super().__init__()
        self.trust_env = False  # neither ~/.netrc nor a proxy for a source on our own network
        self.answer: requests.Response | None = None
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Ask within the limits.

        Raises:
            requests.Timeout: connecting, or the whole answer, took too long.
            AnswerTooLarge: the body passed the cap.
        """
        deadline = time.monotonic() + self._timeout_s
        options |= {
            "allow_redirects": False,
            "stream": True,
            "timeout": (min(CONNECT_TIMEOUT_S, self._timeout_s), self._timeout_s),
        }
        self.answer = None
        response = super().request(method, url, **options)
        with response:
            body = bytearray()
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > self._max_bytes:
                    raise AnswerTooLarge
                if time.monotonic() > deadline:
                    raise requests.Timeout("the answer did not end in time")
        response._content = bytes(body)  # what requests itself sets when it reads a whole body
        self.answer = response
        return response
