"""Every metric the twin serves, in words: the table of docs/twin-metrics.md.

`manage.py twin metrics` prints it; a test compares the document with it.
"""

from collections.abc import Iterable, Iterator

from tiers.twin.exporters import blackbox, dcgm, gateway, kueue, vllm
from tiers.twin.exporters.faults import KINDS
from tiers.twin.exporters.ksm.render import GROUPS
from tiers.twin.exporters.text import Described
from tiers.twin.exporters.variants import VARIANTS

_HEAD = """\
# Metrics of the simulated fleet

Written by `manage.py twin metrics`; a test keeps it current. The twin (`manage.py twin run`) serves
these to Prometheus as the real exporters would with their default settings. Every series gets
`cluster` and `job` (probes: `region`, `target` and `instance`) from the scrape configuration, so
those labels are not listed. A label in brackets stands only on some of a family's series.

A value comes from **physics** (the event simulation and the state of the GPUs), from **API**
objects of the simulated cluster, is a **constant**, or is **approximated**, which is explained.
"""
_GPU_LABELS = (
    "gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION",
    "container", "namespace", "pod",
)  # fmt: skip
_KUEUE_NOTE = "Served where a cluster has ClusterQueues; none does in the default fleet."
_OFF_NOTE = (
    "Left out, as the exporters do unless told otherwise: kube-state-metrics' annotations, labels "
    "beyond its allow-list and pods' node selectors; dcgm-exporter's commented counters; vLLM's KV "
    "block metrics (variant `kv-blocks`). The simulated clusters have no DaemonSets and CronJobs."
)


def markdown() -> str:
    """The whole document."""
    parts = [
        _HEAD,
        _section("dcgm-exporter (`dcgm`)", _dcgm(), common=_GPU_LABELS),
        _section("vLLM (`vllm`)", _vllm(), common=vllm.OWN_LABELS),
        _section("kube-state-metrics (`ksm`)", _ksm()),
        _section("Kueue (`kueue`)", kueue.FAMILIES, _KUEUE_NOTE),
        _section("Inference gateway (`gateway`)", gateway.FAMILIES),
        _section("blackbox_exporter (`/<region>/probe`)", blackbox.FAMILIES),
        f"## Not served\n\n{_OFF_NOTE}\n",
        _looks(),
        _faults(),
    ]
    return "\n".join(parts)


def families() -> dict[str, tuple[Described, ...]]:
    """Everything served by default, by exporter."""
    return {
        "dcgm": tuple(_dcgm()),
        "vllm": tuple(_vllm()),
        "ksm": tuple(_ksm()),
        "kueue": kueue.FAMILIES,
        "gateway": gateway.FAMILIES,
        "blackbox": blackbox.FAMILIES,
    }


def _dcgm() -> Iterator[Described]:
    for one in dcgm.FIELDS:
        mig = () if one.whole else ("[GPU_I_PROFILE]", "[GPU_I_ID]")
        more = ("err_code", "err_msg") if one.name == dcgm.XID_FIELD else ()
        yield Described(one.name, one.kind, one.text, (*_GPU_LABELS, *mig, *more), one.source)


def _vllm() -> Iterator[Described]:
    own = vllm.OWN_LABELS
    for number in vllm.NUMBERS:
        yield Described(number.name, number.kind, number.text, own, number.source)
    reasons = "physics: the simulation's own counts; abort and error stay 0"
    yield Described(vllm.FINISHED, "counter", "", (*own, "finished_reason"), reasons)
    for one in vllm.HISTOGRAMS:
        yield Described(one.name, "histogram", one.text, (*own, "le"), one.source)


def _ksm() -> Iterator[Described]:
    for group in GROUPS:
        source = f"API: {group.resource.kind}"
        for one in group.families:
            yield Described(one.name, one.kind, one.text, (*group.labels, *one.labels), source)


def _section(
    title: str, rows: Iterable[Described], note: str = "", common: tuple[str, ...] = ()
) -> str:
    lines = [f"## {title}", "", *([note, ""] if note else [])]
    if common:
        lines += [f"Every series: {_names(common)}.", ""]
    lines += ["| Metric | Type | Labels | Value |", "|---|---|---|---|"]
    for one in rows:
        own = _names(name for name in one.labels if name not in common)
        lines.append(f"| `{one.name}` | {one.kind} | {own} | {one.source} |")
    return "\n".join([*lines, ""])


def _names(labels: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in labels)


def _looks() -> str:
    lines = ["## Other versions", ""]
    lines += ["`manage.py twin exporter --cluster C --exporter E --variant V`", ""]
    lines += ["| Exporter | Variant | What it is |", "|---|---|---|"]
    for exporter, variants in VARIANTS.items():
        lines += [f"| `{exporter}` | `{name}` | {one.says} |" for name, one in variants.items()]
    return "\n".join([*lines, ""])


def _faults() -> str:
    lines = ["## Faults", ""]
    lines += ["`manage.py twin exporter --cluster C --exporter E --fault F --minutes 5`", ""]
    lines += ["XID errors stick until `--code 0`: `manage.py twin xid --node N --code 79`", ""]
    lines += ["| Fault | What happens | Size | On one node |", "|---|---|---|---|"]
    for name, kind in KINDS.items():
        size = f"{kind.amount:g} {kind.unit}" if kind.unit else ""
        lines.append(f"| `{name}` | {kind.says} | {size} | {'yes' if kind.by_node else ''} |")
    return "\n".join([*lines, ""])
