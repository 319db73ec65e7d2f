"""What can go wrong between us and a Kubernetes API, in our own words.

Every error names the cluster, and what holds afterwards: a refused read or write changed nothing;
after `ClusterUnavailable` on a write the effect is unknown until the object is read again.
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException

FORBIDDEN = frozenset({401, 403})


class ClusterError(Exception):
    """Base of all. `retryable` says whether the same call may succeed later."""

    retryable = False

    def __init__(self, cluster: str, problem: str) -> None:
        super().__init__(f"{cluster}: {problem}")
        self.cluster = cluster
        self.problem = problem


class ClusterNotConfigured(ClusterError):
    """No kubeconfig, no such context, or a cluster that the fleet does not name."""


class ClusterUnavailable(ClusterError):
    """No usable answer. A write may or may not have taken effect: read before writing again.

    `retry_after_s` is what the server asked for; 0 when it said nothing.
    """

    def __init__(
        self, cluster: str, problem: str, *, retryable: bool = True, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(cluster, problem)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ClusterForbidden(ClusterError):
    """The API knows us and says no, or does not know us."""


class ObjectMissing(ClusterError):
    """The object, or the kind of object, is not there."""


class ObjectConflict(ClusterError):
    """The object changed since it was read: read it again and decide anew."""

    retryable = True


class FieldOwned(ClusterError):
    """Another manager owns a field that was to be applied; nothing was written, nothing is forced.

    `owners` are their names, as `managedFields` has them.
    """

    def __init__(self, cluster: str, problem: str, *, owners: tuple[str, ...]) -> None:
        super().__init__(cluster, problem)
        self.owners = owners


class EvictionBlocked(ClusterError):
    """A disruption budget keeps the pod for now; `cause` is the server's own reason."""

    retryable = True

    def __init__(self, cluster: str, problem: str, *, retry_after_s: float, cause: str) -> None:
        super().__init__(cluster, problem)
        self.retry_after_s = retry_after_s
        self.cause = cause


class InvalidRequest(ClusterError):
    """The API refuses what we asked for; asking again will not help."""


@contextmanager
def translated(cluster: str, what: str) -> Iterator[None]:
    """Turn the client's and the transport's failures during `what` into ours."""
    try:
        yield
    except ApiException as err:
        raise from_status(cluster, what, err) from err
    except (ssl.SSLError, urllib3.exceptions.SSLError) as err:
        raise ClusterUnavailable(cluster, f"{what}: TLS failed: {err}", retryable=False) from err
    except (urllib3.exceptions.HTTPError, OSError) as err:
        raise ClusterUnavailable(cluster, f"{what}: {_short(err)}") from err
    except ValueError as err:
        raise ClusterUnavailable(cluster, f"{what}: not a Kubernetes answer: {err}") from err


def from_status(cluster: str, what: str, err: ApiException) -> ClusterError:
    """Our error for one HTTP status of the API."""
    problem = f"{what}: {status_message(err)}"
    code = err.status or 0
    if code in FORBIDDEN:
        return ClusterForbidden(cluster, problem)
    if code == 404:
        return ObjectMissing(cluster, problem)
    if code == 410:  # the token of a list has expired: nothing is gone, read it again
        return ClusterUnavailable(cluster, problem, retry_after_s=retry_after_s(err))
    if code == 409:
        return ObjectConflict(cluster, problem)
    if code == 429 or code >= 500:
        return ClusterUnavailable(cluster, problem, retry_after_s=retry_after_s(err))
    return InvalidRequest(cluster, problem)


def status_body(err: ApiException) -> dict[str, Any]:
    """The Status object of a refusal; empty when the body is something else."""
    try:
        body = json.loads(err.body or "")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def status_message(err: ApiException) -> str:
    return str(status_body(err).get("message") or f"HTTP {err.status} {err.reason}")


def retry_after_s(err: ApiException, *, default_s: float = 0.0) -> float:
    """Seconds that the server asks us to wait, from the header or the Status details."""
    told = (err.headers or {}).get("Retry-After")
    if told is None:
        told = (status_body(err).get("details") or {}).get("retryAfterSeconds")
    try:
        return max(0.0, float(told)) if told is not None else default_s
    except ValueError:
        return default_s


def _short(err: Exception) -> str:
    """The innermost reason: urllib3 wraps the socket's error several times."""
    reason = getattr(err, "reason", None) or err
    return f"{type(reason).__name__}: {reason}"
