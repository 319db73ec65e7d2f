"""How a metric family of kube-state-metrics is written down: a name and what one object adds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from tiers.twin.exporters.text import Row
from tiers.twin.kube.resources import Obj, Resource

Kind = Literal["gauge", "counter"]


@dataclass(frozen=True)
class Family:
    """One family. `rows` gives what an object adds: labels beyond the object's own, and values."""

    name: str
    rows: Callable[[Obj], Iterable[Row]]
    labels: tuple[str, ...] = ()
    kind: Kind = "gauge"
    stability: str = "STABLE"

    @property
    def text(self) -> str:
        """The help line: its stability, and its name in words."""
        words = self.name.removeprefix("kube_").replace("_", " ")
        return f"[{self.stability}] {words[0].upper()}{words[1:]}."


@dataclass(frozen=True)
class Group:
    """The families of one kind of object; `identify` renders the labels that they all carry."""

    resource: Resource
    labels: tuple[str, ...]
    identify: Callable[[Obj], str]
    families: tuple[Family, ...]


def value(name: str, read: Callable[[Obj], float | None], *, stability: str = "STABLE") -> Family:
    """A family of one value an object, without labels of its own; None is no series."""

    def rows(obj: Obj) -> Iterable[Row]:
        found = read(obj)
        return () if found is None else (("", float(found)),)

    return Family(name, rows, stability=stability)
