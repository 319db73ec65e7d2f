"""What the exporters say they serve is what they serve, in a form that Prometheus reads."""

import subprocess
from pathlib import Path

import pytest

from tests.tiers.twin.exporters.showcase import condition, physics_of, put_workload, showcase
from tests.tiers.twin.exporters.text import labels_by_name, parse
from tiers.twin.exporters.blackbox import MODULES, render_probe
from tiers.twin.exporters.catalogue import families, markdown
from tiers.twin.metrics import render

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "twin-metrics.md"
# A node on its way into and out of the cluster has no such time or condition in the showcase.
SUFFIXES = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def texts():
    store = showcase()
    physics = physics_of(store, seconds=40)
    render("kueue", physics)  # counting begins with the first scrape
    admitted = [condition("QuotaReserved"), condition("Admitted")]
    put_workload(store, "waits", admitted)
    put_workload(store, "waits", [*admitted, condition("Evicted", reason="Preempted"),
                                  condition("Preempted", reason="InClusterQueue")])  # fmt: skip
    units = [r.unit for r in physics.models["chat-70b"].replicas.values()]
    physics.models["chat-70b"].tick(physics.now_s + 2, 1e4, units)  # more than its queue holds
    physics.sent = {("chat-70b", "westus2", "200"): 3}
    names = ("dcgm", "vllm", "ksm", "kueue", "gateway")
    made = {name: render(name, physics) for name in names}
    probes = [
        render_probe("eastus", "uksouth", module=module, seed=1, now_s=1e9, dark=False)
        for module in MODULES
    ]
    return made | {"blackbox": probes[0], "icmp": probes[1]}


def family_of(name):
    for suffix in SUFFIXES:
        if name.endswith(suffix) and ("seconds" in name or "tokens_" in name):
            return name.removesuffix(suffix)
    return name


def test_the_document_is_current():
    assert DOCUMENT.read_text() == markdown(), "run `manage.py twin metrics > docs/twin-metrics.md`"


@pytest.mark.parametrize("exporter", ["dcgm", "vllm", "ksm", "kueue", "gateway", "blackbox"])
def test_every_family_is_served_with_the_labels_it_names(texts, exporter):
    seen = labels_by_name(parse(texts[exporter]))
    if exporter == "blackbox":
        seen |= labels_by_name(parse(texts["icmp"]))
    by_family = {}
    for name, labels in seen.items():
        by_family.setdefault(family_of(name), set()).update(labels)
    declared = {one.name: set(one.labels) for one in families()[exporter]}
    assert set(by_family) == set(declared)
    for name, labels in by_family.items():
        always = {label for label in declared[name] if not label.startswith("[")}
        optional = {label.strip("[]") for label in declared[name]}
        if "label_*" in always:
            continue
        assert always <= labels <= optional, name


@pytest.mark.parametrize("exporter", ["dcgm", "vllm", "ksm", "kueue", "blackbox", "icmp"])
def test_promtool_reads_every_exporter(texts, exporter, prometheus_program):
    promtool = prometheus_program.with_name("promtool")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=texts[exporter], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    # 3 says that it would have named things otherwise, as it would the real exporters' metrics.
    assert done.returncode in (0, 3), done.stderr
    assert "error while linting" not in done.stderr


@pytest.mark.parametrize("exporter", ["dcgm", "vllm", "ksm", "kueue"])
def test_each_family_stands_in_one_block_under_its_type(texts, exporter):
    seen, current = set(), ""
    for line in texts[exporter].splitlines():
        if line.startswith("# TYPE "):
            current = line.split()[2]
            assert current not in seen
            seen.add(current)
        elif not line.startswith("#"):
            assert line.startswith(current), f"{line} stands under {current}"
