"""A Prometheus-compatible source (Prometheus, Thanos, Mimir, VictoriaMetrics) over HTTP.

Wraps `prometheus_api_client.PrometheusConnect`, whose `check_prometheus_connection` is not used:
it fetches `/`, which fails on builds without the web interface.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from infra_console.telemetry.adapters.http import (
    MAX_ANSWER_BYTES,
    TIMEOUT_S,
    AnswerTooLarge,
    BoundedSession,
)
from infra_console.telemetry.errors import (
    SourceAnswerInvalid,
    SourceAnswerTooLarge,
    SourceError,
    SourceRefused,
    SourceUnreachable,
)
from infra_console.telemetry.series import Answer, Array, RawSeries, as_value, merge_parts

MAX_SERIES = 50_000
# Prometheus refuses range queries of more than 11,000 points a series.
MAX_POINTS = 11_000
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


class PrometheusSource:
    """One source at one address. Each call uses a connection of its own: safe in threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        max_bytes: int = MAX_ANSWER_BYTES,
        max_series: int = MAX_SERIES,
        max_points: int = MAX_POINTS,
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._max_series = max_series
        self._max_points = max_points

    def instant(self, promql: str, *, at: datetime) -> Answer:
        """See `MetricSource.instant`."""
        time_s = {"time": f"{at.timestamp():.3f}"}
        return self._ask(lambda client: client.custom_query(promql, params=time_s))

    def window(self, selector: str, *, at: datetime, window_s: float) -> Answer:
        """See `MetricSource.window`."""
        return self.instant(f"{selector}[{math.ceil(window_s)}s]", at=at)

    def range(self, promql: str, *, start: datetime, end: datetime, step_s: float) -> Answer:
        """See `MetricSource.range`; long ranges are asked for in parts."""
        parts = []
        first_s, end_s = start.timestamp(), end.timestamp()
        while first_s <= end_s:
            last_s = min(end_s, first_s + (self._max_points - 1) * step_s)
            parts.append(self._range_part(promql, first_s, last_s, step_s))
            first_s += self._max_points * step_s
        return merge_parts(parts)

    def _range_part(self, promql: str, first_s: float, last_s: float, step_s: float) -> Answer:
        start, end = datetime.fromtimestamp(first_s, UTC), datetime.fromtimestamp(last_s, UTC)
        return self._ask(
            lambda client: client.custom_query_range(promql, start, end, f"{step_s:g}s")
        )

    def _ask(self, query: Callable[[PrometheusConnect], Any]) -> Answer:
        with BoundedSession(timeout_s=self._timeout_s, max_bytes=self._max_bytes) as session:
            client = PrometheusConnect(url=self._url, session=session, retry=Retry(0, read=False))
            try:
                return self._read(query(client), session)
            except PrometheusApiClientException as err:
                raise self._refusal(session) from err
            except AnswerTooLarge as err:
                limit_mib = self._max_bytes // 2**20
                raise SourceAnswerTooLarge(
                    self._name, f"the answer passes {limit_mib} MiB; ask for less"
                ) from err
            # Before RequestException: requests' JSON error is both.
            except (ValueError, KeyError, TypeError, IndexError) as err:
                raise SourceAnswerInvalid(
                    self._name, "the answer is not that of the Prometheus HTTP API"
                ) from err
            except requests.RequestException as err:
                raise SourceUnreachable(self._name, _plainly(err, self._timeout_s)) from err

    def _read(self, result: Any, session: BoundedSession) -> Answer:
        if not isinstance(result, list):
            raise TypeError("result is not a list")
        if len(result) > self._max_series:
            raise SourceAnswerTooLarge(
                self._name, f"{len(result)} series, more than {self._max_series}; ask for less"
            )
        # A scalar or string answer is a bare pair; its parts have no "metric" and raise here.
        return Answer(tuple(_read_series(entry) for entry in result), _warnings(session))

    def _refusal(self, session: BoundedSession) -> SourceError:
        answer = session.answer
        status = answer.status_code if answer is not None else 0
        said = _said(answer)
        if 300 <= status < 400:
            return SourceRefused(self._name, f"redirects (HTTP {status}); name its final address")
        if status in _BUSY:
            return SourceUnreachable(self._name, f"cannot answer now (HTTP {status}){said}")
        return SourceRefused(self._name, f"refused the query (HTTP {status}){said}")

    @property
    def _name(self) -> str:
        """The address without the credentials that it may hold."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"


def _read_series(entry: dict[str, Any]) -> RawSeries:
    pairs = entry["values"] if "values" in entry else [entry["value"]]
    times: Array = np.array([float(time_s) for time_s, _ in pairs], dtype=np.float64)
    values: Array = np.array([as_value(text) for _, text in pairs], dtype=np.float64)
    labels = {str(name): str(value) for name, value in entry["metric"].items()}
    return RawSeries(labels=labels, times=times, values=values)


def _warnings(session: BoundedSession) -> tuple[str, ...]:
    """What the source said beside its answer, such as Thanos on a store that is away."""
    answer = session.answer
    if answer is None or b'"warnings"' not in answer.content:
        return ()
    found = answer.json().get("warnings") or []
    return tuple(str(warning) for warning in found)


def _said(answer: requests.Response | None) -> str:
    """The source's own words about a refusal, shortened; empty when it gave none."""
    try:
        said = answer.json()["error"] if answer is not None else ""
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {str(said)[:200]}" if said else ""


def _plainly(err: requests.RequestException, timeout_s: float) -> str:
    if isinstance(err, requests.Timeout):
        return f"no whole answer within {timeout_s:g} s"
    if isinstance(err, requests.exceptions.SSLError):
        return "its TLS certificate is not trusted"
    return "does not answer"
