"""Which network addresses a source may have. A name is resolved once: what is checked is dialled.

Kinds follow the registries of IANA; clouds keep metadata and credentials on link-local addresses
and on a few others, which count as such.
"""

import ipaddress
import socket

from infra_console.telemetry.connection import LINK_LOCAL, LOOPBACK, PRIVATE

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
PUBLIC, REFUSED = "public", "reserved"


class AddressRefused(Exception):
    """A source's name leads to a kind of address that is not allowed."""

    def __init__(self, address: str, kind: str) -> None:
        super().__init__(f"its address {address} is {kind}, which is not allowed")


def kind_of(address: Address) -> str:
    """public, private, loopback, link-local, or reserved (never dialled)."""
    address = _plain(address)
    if address in _METADATA or address.is_link_local:
        return LINK_LOCAL
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    if address.is_multicast or (address.is_reserved and address.version == 4):
        return REFUSED
    return PUBLIC if address.is_global else PRIVATE


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def allowed_addresses(host: str, port: int, networks: frozenset[str]) -> list[str]:
    """The addresses of a name, in the resolver's order, when every one of them is allowed.

    Raises:
        AddressRefused: one is of a kind that is neither public nor among `networks`.
        OSError: the name has no address.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in texts:
        kind = kind_of(ipaddress.ip_address(text.partition("%")[0]))
        if kind != PUBLIC and kind not in networks:
            raise AddressRefused(text, kind)
    return texts
