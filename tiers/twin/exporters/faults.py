"""What exporters do wrong, as data, and what it does to their text.

A fault lies on one exporter of one cluster, until a time, on every node or one. Those that concern
the answer itself (it hangs, it is no metrics page) are acted out by `answers`; the others change a
healthy text line by line. All but one were seen on real exporters: see `says`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tiers.twin.exporters.dcgm import NOT_SUPPORTED

Place = Literal["answer", "text", "event"]
SECOND_EXPORTER = "nvidia-dcgm-exporter-second-q8z4t"


@dataclass(frozen=True)
class FaultKind:
    """What a fault is: acted out on the answer, on the text, or once at its beginning.

    `amount` is its default size, in the unit of `unit`; `by_node` whether one node can have it;
    `only` the exporters it can fall on (empty: all).
    """

    says: str
    place: Place
    amount: float = 0.0
    unit: str = ""
    by_node: bool = False
    only: tuple[str, ...] = ()


# Exporters whose series name a node.
_OF_NODES = ("dcgm", "ksm")
KINDS: dict[str, FaultKind] = {
    "hang": FaultKind("accepts the connection and never answers (dcgm-exporter#164)", "answer"),
    "slow": FaultKind("answers after some seconds", "answer", 8.0, "s"),
    "http-500": FaultKind("answers 500", "answer"),
    "html": FaultKind("answers 200 with a page for people, as a proxy's login does", "answer"),
    "truncated": FaultKind("breaks off in the middle of its answer", "answer"),
    "huge": FaultKind("answers with very many series", "answer", 16.0, "MiB"),
    "gzip-bomb": FaultKind("a small gzip answer that unpacks to very much", "answer", 64.0, "MiB"),
    "lie": FaultKind("the same values again and again while `up` is 1 "
                     "(gpu-monitoring-tools#188)", "text"),
    "nan": FaultKind("NaN as value of some fields", "text", by_node=True),
    "inf": FaultKind("infinity as value of some fields", "text", by_node=True),
    "sentinel": FaultKind("DCGM's blank, 9223372036854775794, as value of some fields", "text",
                          by_node=True, only=("dcgm",)),
    "vanish": FaultKind("every other node's series are missing, or one node's", "text",
                        by_node=True, only=_OF_NODES),
    "second-exporter": FaultKind("a second exporter reports the same GPUs "
                                 "(gpu-monitoring-tools#174)", "text", by_node=True,
                                 only=("dcgm",)),
    "repeats": FaultKind("series stand twice in one answer, with different values", "text",
                         by_node=True),
    "late": FaultKind("samples carry times of the past", "text", 600.0, "s"),
    "future": FaultKind("samples carry times to come", "text", 600.0, "s"),
    "counter-reset": FaultKind("counters begin again at zero, once", "event",
                               only=("dcgm", "vllm")),
}  # fmt: skip
# What `nan`, `inf` and `sentinel` fall on when no field is named: what is most read of an exporter.
FIELDS: dict[str, tuple[str, ...]] = {
    "dcgm": ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE"),
    "vllm": ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"),
    "ksm": ("kube_node_status_allocatable", "kube_pod_container_resource_requests"),
    "kueue": ("kueue_pending_workloads", "kueue_cluster_queue_resource_usage"),
}
_VALUES = {"nan": "NaN", "inf": "+Inf", "sentinel": str(NOT_SUPPORTED)}
_NODE = re.compile(r'[{,](?:[Hh]ostname|node)="([^"]*)"')


@dataclass(frozen=True)
class Fault:
    """A fault that lies on an exporter of a cluster. Times are Unix seconds."""

    cluster: str
    exporter: str
    kind: str
    until_s: float
    node: str = ""
    field: str = ""
    amount: float = 0.0

    @property
    def place(self) -> Place:
        return KINDS[self.kind].place


def spoil(fault: Fault, text: str, *, now_s: float) -> str:
    """A healthy text with a fault of kind `text` in it (`lie` keeps no text here: see answers)."""
    if fault.kind in ("late", "future"):
        sign = -1.0 if fault.kind == "late" else 1.0
        stamp = int(1000.0 * (now_s + sign * fault.amount))
        return re.sub(r"^([^#\n].*)$", rf"\1 {stamp}", text, flags=re.MULTILINE)
    change = _CHANGES.get(fault.kind, _with_value)
    nodes = _chosen(fault, text)
    lines = text.splitlines()
    return "\n".join(out for line in lines for out in change(fault, line, nodes)) + "\n"


def _chosen(fault: Fault, text: str) -> frozenset[str] | None:
    """The nodes that a fault falls on; None for all."""
    if fault.node:
        return frozenset((fault.node,))
    if fault.kind == "vanish":
        return frozenset(sorted(set(_NODE.findall(text)))[::2])
    return None


def _falls_on(line: str, nodes: frozenset[str] | None) -> bool:
    if line.startswith("#") or nodes is None:
        return not line.startswith("#")
    found = _NODE.search(line)
    return found is not None and found[1] in nodes


def _with_value(fault: Fault, line: str, nodes: frozenset[str] | None) -> Iterator[str]:
    """Another value where the field is one of the fault's."""
    fields = (fault.field,) if fault.field else FIELDS[fault.exporter]
    if _falls_on(line, nodes) and line.partition("{")[0] in fields:
        line = f"{line.rpartition(' ')[0]} {_VALUES[fault.kind]}"
    yield line


def _without(_: Fault, line: str, nodes: frozenset[str] | None) -> Iterator[str]:
    if not _falls_on(line, nodes):
        yield line


def _seen_twice(_: Fault, line: str, nodes: frozenset[str] | None) -> Iterator[str]:
    """The same GPU from a second exporter, whose pod name stands for the host it believes in."""
    yield line
    if _falls_on(line, nodes):
        yield re.sub(r'ostname="[^"]*"', f'ostname="{SECOND_EXPORTER}"', line, count=1)


def _repeated(_: Fault, line: str, nodes: frozenset[str] | None) -> Iterator[str]:
    yield line
    if _falls_on(line, nodes):
        yield f"{line.rpartition(' ')[0]} 7"


_CHANGES: dict[str, Callable[[Fault, str, frozenset[str] | None], Iterator[str]]] = {
    "vanish": _without,
    "second-exporter": _seen_twice,
    "repeats": _repeated,
}
