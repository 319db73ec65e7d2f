"""Who may read what: rights first, then what was asked for. Stores search within a Scope only.

A collection's documents lie in partitions (a tenant, a team, a language: one metadata field chosen
at ingest). Its rights name, for each role, the partitions that role reads; `*` is all of them. A
`Scope` can only be made here, so no search has a way around the rights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fabric.core.errors import FabricInvalid

ALL = "*"
Rights = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Scope:
    """The partitions that one question may touch; never a wildcard, so a new one is not in it."""

    partitions: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.partitions)


def checked_rights(rights: object) -> dict[str, list[str]]:
    """Rights as they came from outside, or FabricInvalid: a slip here would open a collection."""
    good = isinstance(rights, dict) and all(
        isinstance(role, str)
        and isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        for role, names in rights.items()
    )
    if not good or not isinstance(rights, dict):
        raise FabricInvalid("rights", 'must be lists of partitions by role, as {"viewer": ["a"]}')
    return rights


def readable(rights: Rights, roles: Iterable[str], partitions: Iterable[str]) -> Scope:
    """Every partition that one of the roles may read."""
    granted = {name for role in roles for name in rights.get(role, ())}
    existing = frozenset(partitions)
    return Scope(existing if ALL in granted else existing & granted)


def narrowed(scope: Scope, asked: Iterable[str] | None) -> Scope:
    """The scope cut to what was asked for; asking never widens it."""
    return scope if asked is None else Scope(scope.partitions & frozenset(asked))
