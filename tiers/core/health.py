"""What a GPU's own counters say about it: XID errors and failed row remaps.

NVIDIA's list of XID errors tells those of an application (13, 31, 43, 45 …), which leave the GPU
well, from those after which it must be reset or replaced. DCGM repeats the last XID until the
driver is loaded again, so a hardware XID stands until the reset that it asks for.

A memory row with an uncorrectable error is replaced by a spare one at the next reset (NVIDIA, "GPU
Memory Error Management"): until then the remap is pending, and where no spare is left it has failed
and the GPU is to be replaced. Rows that were remapped are no fault: the GPU is whole again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tiers.core.fleet_state import ClusterState, FleetState

# "XID Errors", NVIDIA deployment guide: the GPU is to be reset, or its node repaired.
HARDWARE_XIDS: Mapping[int, str] = {
    46: "the GPU stopped processing",
    48: "double-bit memory error",
    61: "internal microcontroller breakpoint",
    62: "internal microcontroller halt",
    64: "a row could not be remapped or a page retired",
    74: "NVLink error",
    79: "the GPU fell off the bus",
    95: "uncontained memory error",
    109: "context switch timed out",
    119: "the GPU system processor does not answer",
    120: "the GPU system processor failed",
    136: "the link could not be trained",
    140: "unrecovered memory error",
    143: "the GPU could not be initialised",
}


@dataclass(frozen=True, slots=True)
class GpuFault:
    """One GPU that its counters call broken."""

    cluster: str
    node: str
    gpu: str  # its UUID, else its index
    why: str


def xid_fault(code: float | None) -> str:
    """Why a GPU with this last XID is broken, or an empty string: 0, an application's, unknown."""
    if code is None or code not in HARDWARE_XIDS:
        return ""
    return f"XID {int(code)}: {HARDWARE_XIDS[int(code)]}"


def remap_fault(failed: float | None, pending: float | None, rows: float | None) -> str:
    """Why a GPU is broken by its memory rows, or an empty string: all is well, or unknown.

    Args:
        failed, pending: 1 where a remap failed, or waits for a reset.
        rows: rows remapped for uncorrectable errors so far, which are told beside a fault.
    """
    told = f" ({rows:.0f} remapped for uncorrectable errors)" if rows else ""
    if failed == 1:
        return f"a memory row could not be remapped{told}"
    return f"a row remap waits for a reset of the GPU{told}" if pending == 1 else ""


def with_faults(state: FleetState, faults: Iterable[GpuFault]) -> FleetState:
    """The fleet with its sick GPUs marked on their nodes; a GPU with two faults counts once."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for fault in faults:
        found[fault.cluster, fault.node].setdefault(fault.gpu, fault.why)
    if not found:
        return state
    return FleetState({c: _marked(s, found) for c, s in state.clusters.items()}, state.unreadable)


def _marked(
    state: ClusterState, found: Mapping[tuple[str, str], Mapping[str, str]]
) -> ClusterState:
    nodes = tuple(
        replace(node, sick=len(sick), sick_why="; ".join(sorted(set(sick.values()))))
        if (sick := found.get((state.cluster, node.name)))
        else node
        for node in state.nodes
    )
    return replace(state, nodes=nodes)
