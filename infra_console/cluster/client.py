"""The one factory of Kubernetes clients: a timeout on every call, no hidden retries, our name.

The official client has no default timeout and passes an explicit None on to the socket, so a
half-open connection would hang a worker for ever. Its APIs are named as `kubernetes.CoreV1Api`:
the package imports each, with hundreds of models, at first use, and the web process uses none.
"""

import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_kube_config

from infra_console.cluster.errors import ClusterNotConfigured
from infra_console.fleet.models import Cluster

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
USER_AGENT = "infra-console"
FIELD_MANAGER = "infra-console"
POOL_CONNECTIONS = 8

_clients: dict[tuple[str, int, str], ApiClient] = {}
_making = threading.Lock()


class TimedClient(ApiClient):
    """The official client, with timeouts where none (or None) is given."""

    def call_api(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("_request_timeout") is None:
            kwargs["_request_timeout"] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        return super().call_api(*args, **kwargs)


def client_for(cluster_id: str) -> ApiClient:
    """The client of one cluster, made once per kubeconfig version.

    Raises:
        ClusterNotConfigured: no kubeconfig, an unreadable one, or no context for this cluster.
    """
    path = kubeconfig_path(cluster_id)
    key = (str(path), path.stat().st_mtime_ns, context_of(cluster_id))
    with _making:
        if key not in _clients:
            _clients[key] = _make_client(cluster_id, path, key[2])
        return _clients[key]


def close_clients() -> None:
    """Close every connection; the next call opens new ones."""
    with _making:
        while _clients:
            _, made = _clients.popitem()
            made.close()  # type: ignore[no-untyped-call]


def kubeconfig_path(cluster_id: str) -> Path:
    """The file that settings.KUBECONFIG names.

    Raises:
        ClusterNotConfigured: it is not set, or not there.
    """
    if not settings.KUBECONFIG:
        raise ClusterNotConfigured(cluster_id, "no kubeconfig: INFRA_CONSOLE_KUBECONFIG is not set")
    path = Path(settings.KUBECONFIG)
    if not path.is_file():
        raise ClusterNotConfigured(cluster_id, "the kubeconfig file is not there")
    return path


def context_of(cluster_id: str) -> str:
    """The kubeconfig context of a cluster of the fleet.

    Raises:
        ClusterNotConfigured: the fleet names no such cluster.
    """
    opened_here = connection.connection is None  # a reader's thread: leave no connection behind
    try:
        context = Cluster.objects.filter(id=cluster_id).values_list("context", flat=True).first()
    finally:
        if opened_here:
            connection.close()
    if context is None:
        raise ClusterNotConfigured(cluster_id, "the fleet file names no such cluster")
    return context


def _make_client(cluster_id: str, path: Path, context: str) -> ApiClient:
    configuration = Configuration()
    # urllib3 would repeat a failed connection and follow redirects behind our back.
    configuration.retries = False
    configuration.connection_pool_maxsize = POOL_CONNECTIONS
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(path),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except ConfigException as err:
        raise ClusterNotConfigured(cluster_id, f"context {context!r}: {err}") from err
    made = TimedClient(configuration=configuration)
    made.user_agent = USER_AGENT
    return made
