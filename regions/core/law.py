"""Where a request may be served at all.

Everything that chooses takes its regions from `lawful`, so a choice outside the law cannot be
written down: there is no way from a request to a region that goes around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Said, never assumed: a request whose residency is not known has no lawful region.
ANYWHERE: Final = "anywhere"
Residency = frozenset[str] | str


def residency_from(text: str) -> Residency:
    """As people write it: jurisdictions by commas, or `anywhere`; empty where it does not say."""
    if text.strip() == ANYWHERE:
        return ANYWHERE
    return frozenset(filter(None, (part.strip() for part in text.split(","))))


@dataclass(frozen=True, slots=True)
class Region:
    """A region as the law and the model owner see it."""

    id: str
    jurisdiction: str
    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request has no region. `code` is for programs, `reason` for people."""

    code: str
    reason: str
    retry_after_s: float | None = None  # None: waiting does not help


def lawful(
    regions: Sequence[Region], *, model: str, residency: Residency
) -> tuple[int, ...] | Refusal:
    """Places in `regions` that host the model and lie where the request may be served.

    Args:
        residency: the jurisdictions that may serve it, or ANYWHERE.
    """
    hosting = [i for i, region in enumerate(regions) if model in region.models]
    if not hosting:
        return Refusal("no-such-model", f"no region hosts {model}")
    if residency == ANYWHERE:
        return tuple(hosting)
    if isinstance(residency, str) or not residency:
        return Refusal("residency-unknown", "the request does not say where it may be served")
    allowed = tuple(i for i in hosting if regions[i].jurisdiction in residency)
    if not allowed:
        held = ", ".join(sorted({regions[i].jurisdiction for i in hosting}))
        return Refusal(
            "no-lawful-region",
            f"{model} is hosted in {held} only, and the request may be served in "
            f"{', '.join(sorted(residency))} only",
        )
    return allowed
