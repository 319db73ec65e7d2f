"""A Prometheus-compatible source (Prometheus, Thanos, Mimir, VictoriaMetrics) over HTTP.

Wraps `prometheus_api_client.PrometheusConnect`, whose `check_prometheus_connection` is not used:
it fetches `/`, which fails on builds without the web interface.
"""

import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from infra_console.telemetry.adapters.addresses import AddressRefused
from infra_console.telemetry.adapters.gate import Gate
from infra_console.telemetry.adapters.http import AnswerTooLarge, BoundedSession
from infra_console.telemetry.adapters.tls import TlsUnusable
from infra_console.telemetry.connection import Connection, Limits, shown_url
from infra_console.telemetry.errors import (
    SourceAnswerInvalid,
    SourceAnswerTooLarge,
    SourceError,
    SourceRefused,
    SourceUnreachable,
)
from infra_console.telemetry.pace import Pace
from infra_console.telemetry.ports import Rules, rule_name
from infra_console.telemetry.series import Answer, Array, RawSeries, as_value, merge_parts

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
# What reading an answer of another shape raises; OverflowError of a whole number beyond floats.
_ODD = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
_LAST_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_Found = TypeVar("_Found")
Query = Callable[[PrometheusConnect], Any]


class PrometheusSource:
    """One source at one address. Each call uses a connection of its own: safe in threads."""

    def __init__(
        self,
        where: str | Connection,
        *,
        gate: Gate | None = None,
        pace: Pace | None = None,
        limits: Limits | None = None,
        **changed: float,
    ) -> None:
        self._connection = Connection(url=where) if isinstance(where, str) else where
        self._url = self._connection.url.rstrip("/")
        self._name = shown_url(self._url)
        self._limits = limits or Limits(**changed)  # type: ignore[arg-type]
        self._gate = gate or Gate(rest_s=0.0)
        self._pace = pace or Pace()

    def ready(self) -> datetime:
        """Ask for `1`; the answer carries the source's own time.

        Raises:
            SourceError: it does not answer as a Prometheus does.
        """
        stamp = self._ask(lambda client: client.custom_query("1"), self._read_scalar)
        return datetime.fromtimestamp(stamp, UTC)

    def instant(self, promql: str, *, at: datetime) -> Answer:
        """See `MetricSource.instant`."""
        time_s = {"time": f"{at.timestamp():.3f}"}
        return self._ask(lambda client: client.custom_query(promql, params=time_s), self._read)

    def window(self, selector: str, *, at: datetime, window_s: float) -> Answer:
        """See `MetricSource.window`."""
        return self.instant(f"{selector}[{math.ceil(window_s)}s]", at=at)

    def range(self, promql: str, *, start: datetime, end: datetime, step_s: float) -> Answer:
        """See `MetricSource.range`; long ranges are asked for in parts."""
        parts = []
        first_s, end_s = start.timestamp(), end.timestamp()
        while first_s <= end_s:
            last_s = min(end_s, first_s + (self._limits.max_points - 1) * step_s)
            parts.append(self._range_part(promql, first_s, last_s, step_s))
            first_s += self._limits.max_points * step_s
        return merge_parts(parts)

    def rules(self) -> Rules:
        """See `MetricSource.rules`."""
        return self._ask(_fetch_rules, lambda groups, _: _read_rules(groups))

    def _range_part(self, promql: str, first_s: float, last_s: float, step_s: float) -> Answer:
        start, end = datetime.fromtimestamp(first_s, UTC), datetime.fromtimestamp(last_s, UTC)
        return self._ask(
            lambda client: client.custom_query_range(promql, start, end, f"{step_s:g}s"),
            self._read,
        )

    def _ask(self, query: Query, read: Callable[[Any, BoundedSession], _Found]) -> _Found:
        """The question, put again while it may help and time is left; all within one timeout."""
        ends_s = time.monotonic() + self._limits.timeout_s
        with self._gate.place(self._name, wait_s=self._limits.timeout_s):
            for number in range(1, self._limits.tries + 1):
                left_s = ends_s - time.monotonic()
                try:
                    answer = self._once(query, read, timeout_s=max(0.001, left_s))
                except SourceError as err:
                    pause_s = self._limits.backoff_s * 2 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311
                    last = number == self._limits.tries
                    if not err.retryable or last or ends_s - time.monotonic() <= pause_s:
                        if err.retryable:
                            self._gate.was_silent(err.problem)
                        raise
                    time.sleep(pause_s)
                else:
                    self._gate.answered()
                    return answer
        raise AssertionError("the last try returns or raises")

    def _once(
        self, query: Query, read: Callable[[Any, BoundedSession], _Found], *, timeout_s: float
    ) -> _Found:
        limits = self._limits
        with BoundedSession(
            self._connection, timeout_s=timeout_s, max_bytes=limits.max_bytes
        ) as session:
            method = "POST" if self._connection.post else "GET"
            client = PrometheusConnect(
                url=self._url, session=session, retry=Retry(0, read=False), method=method
            )
            self._pace.spend(queries=1)
            try:
                found = query(client)
                self._pace.spend(size=len(session.answer.content) if session.answer else 0)
                return read(found, session)
            except PrometheusApiClientException as err:
                raise self._refusal(session) from err
            except AnswerTooLarge as err:
                self._pace.spend(size=limits.max_bytes)
                limit_mib = limits.max_bytes // 2**20
                raise SourceAnswerTooLarge(
                    self._name, f"the answer passes {limit_mib} MiB; ask for less"
                ) from err
            except (AddressRefused, TlsUnusable) as err:
                raise SourceRefused(self._name, str(err)) from err
            # Before RequestException: requests' JSON error is both.
            except _ODD as err:
                raise SourceAnswerInvalid(
                    self._name, "the answer is not that of the Prometheus HTTP API"
                ) from err
            except requests.exceptions.SSLError as err:
                raise SourceRefused(self._name, "its TLS certificate is not trusted") from err
            except requests.RequestException as err:
                raise SourceUnreachable(self._name, _plainly(err, limits.timeout_s)) from err

    def _read(self, result: Any, session: BoundedSession) -> Answer:
        if not isinstance(result, list):
            raise TypeError("result is not a list")
        self._pace.spend(series=len(result))
        if len(result) > self._limits.max_series:
            raise SourceAnswerTooLarge(
                self._name, f"{len(result)} series, more than {self._limits.max_series}; "
                "ask for less"
            )  # fmt: skip
        # A scalar or string answer is a bare pair; its parts have no "metric" and raise here.
        warnings = tuple(self._connection.scrubbed(text) for text in _warnings(session))
        return Answer(tuple(_read_series(entry) for entry in result), warnings)

    def _read_scalar(self, result: Any, _: BoundedSession) -> float:
        stamp, value = result
        if float(value) != 1.0:
            raise ValueError("1 is not 1")
        return float(_moments(np.array([float(stamp)]))[0])

    def _refusal(self, session: BoundedSession) -> SourceError:
        answer = session.answer
        status = answer.status_code if answer is not None else 0
        said = self._connection.scrubbed(_said(answer))
        if 300 <= status < 400:
            return SourceRefused(self._name, f"redirects (HTTP {status}); name its final address")
        if status in _BUSY:
            return SourceUnreachable(self._name, f"cannot answer now (HTTP {status}){said}")
        if status in {401, 403}:
            return SourceRefused(self._name, f"refused us: credentials or tenant (HTTP {status})")
        return SourceRefused(self._name, f"refused the query (HTTP {status}){said}")


def _read_series(entry: dict[str, Any]) -> RawSeries:
    labels = {str(name): str(value) for name, value in entry["metric"].items()}
    pairs = entry["values"] if "values" in entry else [entry["value"]]
    if isinstance(pairs, tuple):  # arrays, see samples.py
        return RawSeries(labels, _moments(pairs[0]), pairs[1])
    times: Array = np.array([float(time_s) for time_s, _ in pairs], dtype=np.float64)
    values: Array = np.array([as_value(text) for _, text in pairs], dtype=np.float64)
    return RawSeries(labels=labels, times=_moments(times), values=values)


def _moments(times: Array) -> Array:
    """These times, when each can be one. Raises ValueError."""
    if not ((times >= 0) & (times < _LAST_S)).all():
        raise ValueError("a sample has no time that can be")
    return times


def _fetch_rules(client: PrometheusConnect) -> Any:
    """The client has no call for it; its session is ours, within the same limits."""
    answer = client._session.get(f"{client.url}/api/v1/rules", params={"type": "record"})
    if answer.status_code != 200:
        raise PrometheusApiClientException(f"HTTP {answer.status_code}")
    return answer.json()["data"]["groups"]


def _read_rules(groups: Any) -> Rules:
    return tuple(
        (rule_name(str(rule["name"]), rule.get("labels") or {}), str(rule["query"]))
        for group in groups
        for rule in group["rules"]
        if rule.get("type") == "recording"
    )


def _warnings(session: BoundedSession) -> tuple[str, ...]:
    """What the source said beside its answer, such as Thanos on a store that is away."""
    answer = session.answer
    if answer is None or not any(
        word in answer.content for word in (b'"warnings"', b'"isPartial"')
    ):
        return ()
    body = answer.json()
    found = [str(warning)[:200] for warning in (body.get("warnings") or [])[:20]]
    if body.get("isPartial") is True:  # VictoriaMetrics' word for a storage node that is away
        found.append("the answer is partial")
    return tuple(found)


def _said(answer: requests.Response | None) -> str:
    """The source's own words about a refusal, shortened; empty when it gave none."""
    try:
        said = answer.json()["error"] if answer is not None else ""
    except _ODD:
        return ""
    return f": {str(said)[:200]}" if said else ""


def _plainly(err: requests.RequestException, timeout_s: float) -> str:
    if isinstance(err, requests.Timeout):
        return f"no whole answer within {timeout_s:g} s"
    return "does not answer"
