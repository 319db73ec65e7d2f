"""What one GPU serves of a model, and where that number comes from.

Three origins, best first: measured where replicas were saturated, a calibrated profile, and what
the fleet file says. A replica that is not saturated says nothing of what it could do, so only those
count that had a queue for all of five minutes (`saturated` in the telemetry catalogue): an idle
replica does not make throughput look small, and one that stands still is left out.

Throughput counts prompt and output tokens alike, at the mix of the time when it was found; where
the mix moves towards longer answers the figure flatters, until it is measured again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Origin = Literal["measured", "profile", "fleet file"]

# At saturation queues grow without end. The objective is met up to 1 of the load at which
# it stops being stable at 1.2 (docs/frontier.md, the default curve), so five sixths of it count.
SLO_SHARE = 1 / 1.2
KEEP_MEASURED = timedelta(days=7)  # longer ago it was another release, or another mix
# Further from what the fleet file says than this factor, a fault is likelier than a finding.
PLAUSIBLE = 4.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one GPU serves at the objective.

    `tokens_per_s` is None where the origin knows requests alone; `at` is None where the origin has
    no date; `words` say more, and what was not believed.
    """

    requests_per_s: float | None
    tokens_per_s: float | None
    origin: Origin
    at: datetime | None = None
    words: str = ""

    def rps(self, tokens_per_request: float | None) -> float | None:
        """Requests/s that one GPU serves of this mean length; None when that cannot be said."""
        if self.tokens_per_s is not None and tokens_per_request:
            return self.tokens_per_s / tokens_per_request
        return self.requests_per_s

    def age_s(self, now: datetime) -> float | None:
        return (now - self.at).total_seconds() if self.at else None


@dataclass(frozen=True, slots=True)
class Saturated:
    """What the saturated replicas of one model in one cluster did, together; rates per second."""

    tokens_per_s: float
    requests_per_s: float
    running: float
    replicas: int
    gpus_per_replica: int

    @property
    def gpus(self) -> int:
        return self.replicas * self.gpus_per_replica


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """One load of a profile; `tokens_per_s_per_gpu` are output tokens, `ttft_ms` a mean."""

    concurrency: int
    ttft_ms: float
    tokens_per_s_per_gpu: float


@dataclass(frozen=True, slots=True)
class ServingProfile:
    """One calibrated table (`manage.py calibrate`) of a model on one server layout."""

    model: str
    gpu_type: str
    gpus: int
    precision: str
    input_tokens: int
    output_tokens: int
    points: tuple[ProfilePoint, ...]
    source: str
    made_at: datetime | None = None


def measured(parts: Iterable[Saturated], *, at: datetime) -> Throughput | None:
    """Throughput of the saturated replicas of one model on one GPU type, over all clusters.

    tokens/s per GPU = SLO_SHARE x sum of tokens/s / sum of GPUs, requests likewise. None where no
    replica was saturated.
    """
    known = [p for p in parts if p.gpus and p.tokens_per_s > 0]
    gpus = sum(p.gpus for p in known)
    if not gpus:
        return None
    replicas = sum(p.replicas for p in known)
    running = sum(p.running for p in known) / replicas
    requests = sum(p.requests_per_s for p in known)
    return Throughput(
        requests_per_s=SLO_SHARE * requests / gpus if requests else None,
        tokens_per_s=SLO_SHARE * sum(p.tokens_per_s for p in known) / gpus,
        origin="measured",
        at=at,
        words=f"{replicas} replicas that never were without a queue, {running:.0f} requests each",
    )


def from_profile(
    tables: Sequence[ServingProfile], *, slo_ttft_ms: float | None
) -> Throughput | None:
    """Throughput of the highest load whose mean time to first token is within the objective.

    tokens/s per GPU = SLO_SHARE x output tokens/s x (input + output) / output: a closed loop has no
    queue, open arrivals do. Of several precisions the slowest counts: which one runs is not known.
    """
    found = []
    for table in tables:
        within = [
            p for p in table.points if slo_ttft_ms is None or p.ttft_ms <= slo_ttft_ms
        ] or table.points[:1]
        best = max((p.tokens_per_s_per_gpu for p in within), default=0.0)
        length = table.input_tokens + table.output_tokens
        if best > 0:
            found.append((SLO_SHARE * best * length / table.output_tokens, length, table))
    if not found:
        return None
    tokens, length, table = min(found, key=lambda entry: entry[0])
    words = f"{table.gpus} GPUs, {table.precision}, {table.source}"
    return Throughput(tokens / length, tokens, "profile", table.made_at, words)


def declared(units_per_group: float, group_gpus: int) -> Throughput:
    """What the fleet file says that one group serves at its objective, per GPU."""
    return Throughput(units_per_group / group_gpus, None, "fleet file", None, "never measured here")


def in_force(
    found: Throughput | None,
    profile: Throughput | None,
    default: Throughput,
    *,
    tokens_per_request: float | None,
    now: datetime,
) -> Throughput:
    """The best origin that can be believed; what was not believed stands in its words."""
    if found is None or (found.age_s(now) or 0.0) > KEEP_MEASURED.total_seconds():
        return profile or default
    here, told = found.rps(tokens_per_request), default.requests_per_s
    if here and told and not 1 / PLAUSIBLE <= here / told <= PLAUSIBLE:
        other = profile or default
        why = (
            f"{other.words}; {here:.3g} requests/s a GPU were measured, more likely a fault than "
            f"a finding beside the {told:.3g} of the fleet file"
        )
        return Throughput(other.requests_per_s, other.tokens_per_s, other.origin, other.at, why)
    return found
