"""Several stores' candidates as one answer: each document once, by its exact distance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document of the fused answer and the stores that found it."""

    id: int
    distance: float
    stores: tuple[str, ...]


def fuse(
    found: Mapping[str, Sequence[int]], distances: Mapping[int, float], k: int
) -> list[Ranked]:
    """The k nearest of all candidates.

    Args:
        found: ids by store.
        distances: exact distance by id, of documents within the rights; an id that is missing
            here is dropped, whichever store claims it.
    """
    stores: dict[int, list[str]] = {}
    for store, ids in found.items():
        for candidate in dict.fromkeys(ids):
            stores.setdefault(candidate, []).append(store)
    kept = sorted((distances[i], i) for i in stores if i in distances)
    return [Ranked(i, distance, tuple(stores[i])) for distance, i in kept[:k]]


def candidates(found: Iterable[Sequence[int]]) -> list[int]:
    """Every id that any store returned, once."""
    return sorted({i for ids in found for i in ids})
