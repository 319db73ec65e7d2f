"""Where one request would be served now, and why not elsewhere. Nothing is carried out.

Asked where there is no kubeconfig: which regions are lost is known from the newest look at the
routes, and is said with its age.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from infra_console.fleet.queries import list_regions
from regions.core.errors import UnknownRegion
from regions.core.law import Refusal, Residency
from regions.core.router import Candidate, Choice, Request
from regions.queries import drained, region_loads
from regions.route_queries import last_look
from regions.routers import RULES, router_now


class UnknownModel(KeyError):
    """No region is known to host the model."""

    def __str__(self) -> str:
        return f"nothing is known of who hosts {self.args[0]!r}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the router answers, its reasons by region, and what it did not know.

    `lost_seen_at` is the look by which regions count as lost; None where nobody has looked.
    """

    answer: Choice | Refusal
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    lost_seen_at: datetime | None


def decide(
    origin: str, model: str, residency: Residency, *,
    prompt_tokens: int = RULES.prompt_tokens, now: datetime | None = None,
) -> Decision:  # fmt: skip
    """The router's answer to one request of a new conversation, with nothing cached.

    Raises:
        UnknownRegion: the request cannot enter there. UnknownModel: nobody hosts it.
    """
    at, loads = now or datetime.now(UTC), region_loads()
    if origin not in {region.id for region in list_regions()}:
        raise UnknownRegion(origin)
    if model not in {load.model for load in loads}:
        raise UnknownModel(model)
    seen_at, lost = last_look()
    router, notes = router_now(loads, dict.fromkeys(lost, "lost"), drained(), at)
    request = Request(origin, model, residency, prompt_tokens)
    reasons = router.explain(request, at.timestamp())
    answer = router.decide(request, at.timestamp())
    return Decision(answer, tuple(reasons), tuple(notes), seen_at)
