"""Probes from each region to each other, under blackbox_exporter's names.

The round trip is the light's way through fibre there and back:

    rtt = stretch x 2 x great-circle distance / (2/3 c)  +  0.6 ms

Great circle by the haversine formula on a sphere of 6371 km. Light in fibre of refractive index
1.468 does 0.68 c; 2/3 c is the usual round figure. `STRETCH` is taken from a measurement: over the
132 directed pairs of IBM Cloud's regions (its published mean round trips, December 2025), measured
over ideal has the median 1.6, with 1.36 and 2.46 as tenth and ninetieth percentiles. So a region
without a straight cable (Europe to Japan) is too fast here. Jitter is seeded: a slow drift of some
percent, and a fresh exponential of about a millisecond each probe.

A dark region does not answer: the probe fails at its time limit, which is reported and not waited
for. Names and phases: blackbox_exporter's `prober/http.go` and `prober/icmp.go`.
"""

import math
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np

from tiers.twin.exporters.text import Described, document, family
from tiers.twin.noise import smooth_noise, stream, uniform_at
from tiers.twin.profile import REGIONS

EARTH_KM = 6371.0
FIBRE_KM_PER_S = 299_792.458 * 2.0 / 3.0
STRETCH = 1.6
EDGE_S = 0.0006
DRIFT = 0.02
DRIFT_PERIOD_S = 900.0
JITTER_S = 0.001
# The exporter takes half a second off the scrape's own ten.
TIME_LIMIT_S = 9.5
SERVER_S = 0.004
PROBE_EVERY_S = 60
MODULES = ("http_2xx", "icmp")
_BY_ID = {region.id: region for region in REGIONS}
_CERTIFICATE_S = 90 * 86_400.0

_PHYSICS = "physics: round trip between the regions"
_BOTH = "constant"
FAMILIES: tuple[Described, ...] = (
    Described("probe_dns_lookup_time_seconds", "gauge", "Time of the DNS lookup.", (),
              "approximated: about a millisecond, from a cache"),
    Described("probe_duration_seconds", "gauge", "Time of the whole probe.", (), _PHYSICS),
    Described("probe_failed_due_to_regex", "gauge", "Whether a pattern failed.", (), "constant 0"),
    Described("probe_http_content_length", "gauge", "Length of the answer.", (), _BOTH),
    Described("probe_http_duration_seconds", "gauge", "Time of the request, by phase.",
              ("phase",), f"{_PHYSICS}; connect and tls take one each"),
    Described("probe_http_redirects", "gauge", "Redirects followed.", (), "constant 0"),
    Described("probe_http_ssl", "gauge", "Whether TLS was used.", (), _BOTH),
    Described("probe_http_status_code", "gauge", "Status of the answer.", (),
              "200, or 0 of a dark region"),
    Described("probe_http_uncompressed_body_length", "gauge", "Length of the body.", (), _BOTH),
    Described("probe_http_version", "gauge", "HTTP version of the answer.", (), _BOTH),
    Described("probe_icmp_duration_seconds", "gauge", "Time of the ping, by phase (icmp only).",
              ("phase",), _PHYSICS),
    Described("probe_icmp_reply_hop_limit", "gauge", "Hop limit of the reply (icmp only).", (),
              _BOTH),
    Described("probe_ip_addr_hash", "gauge", "Hash of the address.", (), "a hash of the region"),
    Described("probe_ip_protocol", "gauge", "IP version used.", (), _BOTH),
    Described("probe_ssl_earliest_cert_expiry", "gauge", "End of the first certificate.", (),
              "approximated: ninety days from the day's beginning"),
    Described("probe_success", "gauge", "Whether the probe succeeded.", (),
              "1, or 0 of a dark region"),
    Described("probe_tls_version_info", "gauge", "TLS version used.", ("version",), _BOTH),
)  # fmt: skip
_DESCRIBED = {one.name: one for one in FAMILIES}


def probe_url(region: str) -> str:
    """What a probe of a region asks for."""
    return f"https://gateway.{region}.twin.example/healthz"


def probed_region(target: str) -> str:
    """The region behind a probe's target; empty when it is none of the twin's."""
    return next((r.id for r in REGIONS if target in (r.id, probe_url(r.id))), "")


@cache
def distance_km(origin: str, target: str) -> float:
    """Great-circle distance between two regions (haversine)."""
    a, b = _BY_ID[origin], _BY_ID[target]
    low, high = math.radians(a.latitude), math.radians(b.latitude)
    across = math.radians(b.longitude - a.longitude)
    h = math.sin((high - low) / 2) ** 2
    h += math.cos(low) * math.cos(high) * math.sin(across / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(h))


@cache
def ideal_rtt_s(origin: str, target: str) -> float:
    """The mean round trip between two regions, in seconds."""
    return STRETCH * 2 * distance_km(origin, target) / FIBRE_KM_PER_S + EDGE_S


def rtt_s(origin: str, target: str, *, seed: int, now_s: float) -> float:
    """The round trip at a Unix time; the same in both directions but for the jitter."""
    way = "/".join(sorted((origin, target)))
    drift = smooth_noise(stream(seed, "rtt", way), np.array([now_s]), DRIFT_PERIOD_S)[0]
    fresh = uniform_at(stream(seed, "jitter", origin, target), np.array([int(now_s)]))[0]
    # Congestion only ever adds: the drift's lower half is cut.
    slow = 1.0 + DRIFT * max(0.0, float(drift))
    return ideal_rtt_s(origin, target) * slow - JITTER_S * math.log(float(fresh))


def render_probe(
    origin: str, target: str, *, module: str, seed: int, now_s: float, dark: bool
) -> str:
    """What the blackbox exporter of `origin` answers for a probe of `target`'s gateway."""
    lookup_s = 0.0008 + 0.0006 * float(
        uniform_at(stream(seed, "dns", origin), np.array([int(now_s)]))[0]
    )
    trip_s = rtt_s(origin, target, seed=seed, now_s=now_s)
    rows = _icmp if module == "icmp" else _http
    values = dict(rows(lookup_s, trip_s, now_s, dark=dark))
    spent_s = sum(v for name, v in values.items() if "_duration_seconds{" in name)
    values["probe_dns_lookup_time_seconds"] = lookup_s
    values["probe_duration_seconds"] = TIME_LIMIT_S if dark else spent_s
    values["probe_success"] = float(not dark)
    values["probe_ip_protocol"] = 4.0
    values["probe_ip_addr_hash"] = float(zlib.crc32(target.encode()))
    return _document(values)


def _http(
    lookup_s: float, trip_s: float, now_s: float, *, dark: bool
) -> Iterator[tuple[str, float]]:
    phases = {
        "resolve": lookup_s, "connect": trip_s, "tls": trip_s, "processing": trip_s + SERVER_S,
        "transfer": 0.0001,
    }  # fmt: skip
    for phase, took_s in phases.items():
        answered = not dark or phase == "resolve"
        yield f'probe_http_duration_seconds{{phase="{phase}"}}', took_s if answered else 0.0
    up = float(not dark)
    yield "probe_failed_due_to_regex", 0.0
    yield "probe_http_redirects", 0.0
    yield "probe_http_ssl", up
    yield "probe_http_status_code", 200.0 * up
    yield "probe_http_version", 2.0 * up
    yield "probe_http_content_length", 2.0 * up
    yield "probe_http_uncompressed_body_length", 2.0 * up
    if not dark:
        yield 'probe_tls_version_info{version="TLS 1.3"}', 1.0
        midnight = now_s // 86_400 * 86_400
        yield "probe_ssl_earliest_cert_expiry", midnight + _CERTIFICATE_S


def _icmp(lookup_s: float, trip_s: float, _: float, *, dark: bool) -> Iterator[tuple[str, float]]:
    phases = {"resolve": lookup_s, "setup": 0.0001, "rtt": 0.0 if dark else trip_s}
    for phase, took_s in phases.items():
        yield f'probe_icmp_duration_seconds{{phase="{phase}"}}', took_s
    if not dark:
        yield "probe_icmp_reply_hop_limit", 52.0


def _document(values: dict[str, float]) -> str:
    """The values by name, with or without labels, family by family."""
    rows: dict[str, list[tuple[str, float]]] = {}
    for series, value in values.items():
        name, _, pairs = series.partition("{")
        rows.setdefault(name, []).append((pairs.removesuffix("}"), value))
    return document(
        family(name, _DESCRIBED[name].kind, _DESCRIBED[name].text, rows[name])
        for name in sorted(rows)
    )
