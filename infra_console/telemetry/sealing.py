"""Credentials at rest: sealed with Fernet (AES-128-CBC with HMAC-SHA256) under keys of their own.

The keys come from settings.SECRETS_KEY, never from the database: a copy of the database opens
nothing. The first key seals, all of them open, so that a key can be changed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from infra_console.telemetry.errors import SecretsUnreadable


def seal(secrets: Mapping[str, object]) -> str:
    """The secrets as one opaque text; empty for none."""
    return _box().encrypt(json.dumps(secrets).encode()).decode() if secrets else ""


def unseal(text: str) -> dict[str, object]:
    """What was sealed.

    Raises:
        SecretsUnreadable: none of the keys opens it.
    """
    if not text:
        return {}
    try:
        opened: dict[str, object] = json.loads(_box().decrypt(text.encode()))
    except InvalidToken:
        raise SecretsUnreadable from None
    return opened


def _box() -> MultiFernet:
    # The keys are random texts of any length; Fernet wants 32 bytes of each.
    keys = filter(None, map(str.strip, settings.SECRETS_KEY.split(",")))
    digests = (hashlib.sha256(b"infra-console/secrets/" + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
