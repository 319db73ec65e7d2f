"""TLS towards a source: its authority, our certificate, and what is checked."""

import ssl
import tempfile
from functools import lru_cache
from pathlib import Path

import certifi
from pydantic import SecretStr


class TlsUnusable(Exception):
    """A certificate or key is not what it should be; the message never holds the key."""


@lru_cache(maxsize=64)
def tls_context(
    ca_pem: str, client_cert_pem: str, client_key_pem: SecretStr, skip_verify: bool
) -> ssl.SSLContext:
    """A context that trusts `ca_pem` alone, or the machine's and certifi's authorities.

    Raises:
        TlsUnusable: what is given is no certificate, or no key that fits it.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
        if not ca_pem:
            context.load_verify_locations(certifi.where())
    except (ssl.SSLError, ValueError) as err:
        raise TlsUnusable("the authority's certificate cannot be read") from err
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert_pem:
        _load_pair(context, client_cert_pem, client_key_pem)
    return context


def _load_pair(context: ssl.SSLContext, cert_pem: str, key_pem: SecretStr) -> None:
    # ssl reads the pair from files only; this one is ours alone and gone at once.
    with tempfile.TemporaryDirectory(prefix="infra-console-tls-") as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_text(f"{key_pem.get_secret_value().strip()}\n{cert_pem.strip()}\n")
        try:
            context.load_cert_chain(pair, password="")
        except (ssl.SSLError, ValueError, OSError):
            raise TlsUnusable("the client certificate and its key do not fit") from None
