"""How an index is built, in whole numbers by name: what a store takes, and what was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

from fabric.core.errors import FabricInvalid

Parameters = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one parameter may be, and what it is where nobody says."""

    low: int
    high: int
    usual: int


def usual(bounds: Mapping[str, Bounds]) -> dict[str, int]:
    return {name: one.usual for name, one in bounds.items()}


def checked_parameters(bounds: Mapping[str, Bounds], given: Parameters) -> dict[str, int]:
    """Every parameter of a store, the usual value where none is given.

    Raises:
        FabricInvalid: a name that the store does not know, or a value that it does not take.
    """
    if unknown := sorted(set(given) - set(bounds)):
        known = ", ".join(bounds) or "none"
        raise FabricInvalid(", ".join(unknown), f"not a parameter of this store; it has {known}")
    found = usual(bounds) | dict(given)
    for name, value in found.items():
        if not bounds[name].low <= value <= bounds[name].high:
            raise FabricInvalid(name, f"between {bounds[name].low} and {bounds[name].high}")
    if found.get("ef_construction", 0) < 2 * found.get("m", 0):
        raise FabricInvalid("ef_construction", "at least twice m, or the graph lacks neighbours")
    return found


def parameter_words(parameters: Parameters) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items()) or "as it comes"
