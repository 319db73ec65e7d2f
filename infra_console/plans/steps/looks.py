"""What an object says now beside what a step wants of it: for verification and for previews.

A step kind that can tell has `look`; nodes and Deployments are looked at by those pages themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from infra_console.plans.spec import ObjectRef


@dataclass(frozen=True, slots=True)
class Look:
    """How it stands and how it would; `problem` says how it differs, empty when it is as wanted.

    `leaves` are the pods that would go, `stops` why the step would pause as things are.
    """

    now: str
    then: str
    problem: str = ""
    leaves: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()


@runtime_checkable
class Looks(Protocol):
    """A step kind that can say how its object stands. Raises ClusterError."""

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look: ...
