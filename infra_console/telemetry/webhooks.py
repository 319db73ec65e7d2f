"""Telling somebody else's program something: one POST within the limits of metric sources.

No redirects, no proxies, one deadline, and no other address than the one that was checked.
"""

from collections.abc import Mapping
from typing import Any

import requests
from django.conf import settings

from infra_console.telemetry.adapters.addresses import AddressRefused
from infra_console.telemetry.adapters.http import AnswerTooLarge, BoundedSession
from infra_console.telemetry.connection import Connection

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024


class WebhookFailed(Exception):
    """It was not told, or did not say that it was; it may have heard all the same."""


def post_json(url: str, body: Mapping[str, Any]) -> None:
    """Post once; any 2xx is an answer.

    Raises:
        WebhookFailed: no such answer came in time.
    """
    connection = Connection(url=url, networks=settings.SOURCE_NETWORKS)
    session = BoundedSession(connection, timeout_s=TIMEOUT_S, max_bytes=MAX_ANSWER_BYTES)
    try:
        with session:
            status = session.request("POST", url, json=dict(body)).status_code
    except AddressRefused as err:
        raise WebhookFailed(str(err)) from err
    except AnswerTooLarge as err:
        raise WebhookFailed("its answer has no end") from err
    except requests.Timeout as err:
        raise WebhookFailed(f"no answer within {TIMEOUT_S:g} s") from err
    except requests.RequestException as err:
        raise WebhookFailed("it does not answer") from err
    if not 200 <= status < 300:
        raise WebhookFailed(f"it answered {status}")
