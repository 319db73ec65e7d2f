"""How the exporters of each cluster look and err now, and the XID errors of its GPUs.

Made by hand (`manage.py twin exporter`, `twin xid`) and kept with what else is made by hand.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tiers.twin.errors import NoSuchThing, TwinError
from tiers.twin.exporters.faults import KINDS, Fault
from tiers.twin.exporters.variants import DEFAULT, VARIANTS, Variant

EXPORTERS = ("dcgm", "vllm", "ksm", "kueue")
_PLAIN = Variant("what the current version serves by default")


class FaultDoesNotFit(TwinError):
    """A fault was asked for where it cannot be."""

    def __init__(self, exporter: str, kind: str, why: str) -> None:
        super().__init__(f"The fault {kind} cannot be laid on {exporter}: {why}.")


@dataclass
class Misbehaviour:
    """Faults, variants by `cluster/exporter`, and XID codes by `cluster/node` and GPU."""

    faults: list[Fault] = field(default_factory=list)
    variants: dict[str, str] = field(default_factory=dict)
    xids: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, data: dict[str, Any]) -> "Misbehaviour":
        faults = [Fault(**fault) for fault in data.get("faults", ())]
        return cls(faults, data.get("variants", {}), data.get("xids", {}))

    def active(self, cluster: str, exporter: str, now_s: float) -> list[Fault]:
        return [
            fault
            for fault in self.faults
            if (fault.cluster, fault.exporter) == (cluster, exporter) and now_s < fault.until_s
        ]

    def variant(self, cluster: str, exporter: str) -> Variant:
        name = self.variants.get(f"{cluster}/{exporter}", DEFAULT)
        return VARIANTS.get(exporter, {}).get(name, _PLAIN)

    def xids_of(self, cluster: str) -> dict[str, dict[int, int]]:
        """XID codes by node and GPU number."""
        return {
            where.partition("/")[2]: {int(gpu): code for gpu, code in codes.items()}
            for where, codes in self.xids.items()
            if where.partition("/")[0] == cluster
        }

    # Changes replace the lists whole: what was saved before can be told from what is now.

    def add(self, fault: Fault, now_s: float) -> None:
        """Lay a fault on an exporter, in place of one of the same kind. Raises TwinError."""
        check_fault(fault)
        kept = [f for f in self.faults if now_s < f.until_s and not _same(f, fault)]
        self.faults = [*kept, fault]

    def clear(self, cluster: str, exporter: str) -> None:
        """Take every fault and the variant from an exporter. Raises NoSuchThing."""
        check_exporter(exporter)
        mine = (cluster, exporter)
        self.faults = [f for f in self.faults if (f.cluster, f.exporter) != mine]
        self.variants = {k: v for k, v in self.variants.items() if k != "/".join(mine)}

    def show(self, cluster: str, exporter: str, variant: str) -> None:
        """Give an exporter the look of a variant. Raises NoSuchThing."""
        check_exporter(exporter)
        known = (DEFAULT, *VARIANTS.get(exporter, {}))
        _check("variant", variant, known)
        rest = {k: v for k, v in self.variants.items() if k != f"{cluster}/{exporter}"}
        self.variants = rest if variant == DEFAULT else rest | {f"{cluster}/{exporter}": variant}

    def set_xid(self, cluster: str, node: str, gpu: int, code: int) -> None:
        """The last XID error of a GPU; 0 clears it, as a restart of the node would."""
        where = f"{cluster}/{node}"
        codes = {k: v for k, v in self.xids.get(where, {}).items() if k != str(gpu)}
        codes |= {str(gpu): code} if code else {}
        rest = {k: v for k, v in self.xids.items() if k != where}
        self.xids = rest | ({where: codes} if codes else {})


def check_exporter(exporter: str) -> None:
    _check("exporter", exporter, EXPORTERS)


def check_fault(fault: Fault) -> None:
    """Raises NoSuchThing, FaultDoesNotFit."""
    check_exporter(fault.exporter)
    _check("fault", fault.kind, KINDS)
    kind = KINDS[fault.kind]
    if kind.only and fault.exporter not in kind.only:
        raise FaultDoesNotFit(fault.exporter, fault.kind, f"only on {', '.join(kind.only)}")
    if fault.node and not (kind.by_node and fault.exporter in ("dcgm", "ksm")):
        raise FaultDoesNotFit(fault.exporter, fault.kind, "it falls on every node")


def _check(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise NoSuchThing(kind, name, known)


def _same(one: Fault, other: Fault) -> bool:
    return (one.cluster, one.exporter, one.kind, one.node, one.field) == (
        other.cluster, other.exporter, other.kind, other.node, other.field,
    )  # fmt: skip
