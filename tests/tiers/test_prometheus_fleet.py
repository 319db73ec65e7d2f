"""The fleet as kube-state-metrics tells it: nodes, pods, gangs, and honest gaps."""

from datetime import UTC, datetime

import numpy as np
import pytest

from infra_console.telemetry import queries
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.catalogue import main_query, spec_of
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.series import RawSeries
from infra_console.telemetry.sources import BoundSource
from tests.tiers.factories import fleet_config, fleet_document
from tiers.adapters.prometheus_fleet import PrometheusFleet
from tiers.facts import fleet_facts

H100 = {"label_nvidia_com_gpu_product": "H100", "label_infra_console_dev_tier": "inference"}


def rows(*samples: tuple[dict[str, str], float]) -> list[RawSeries]:
    now_s = datetime.now(UTC).timestamp()
    return [
        RawSeries({"cluster": "north"} | labels, np.array([now_s]), np.array([value]))
        for labels, value in samples
    ]


def pod(name: str, **labels: str) -> dict[str, str]:
    return {"namespace": "inference", "pod": name} | labels


def answers() -> dict[str, list[RawSeries]]:
    return {
        "node_labels": rows(({"node": "n1", **H100}, 1), ({"node": "n2"}, 1)),
        "node_capacity_gpus": rows(({"node": "n1"}, 8), ({"node": "n2"}, 8)),
        "node_allocatable_gpus": rows(({"node": "n1"}, 8), ({"node": "n2"}, 7)),
        "node_ready": rows(({"node": "n1"}, 1), ({"node": "n2"}, 0)),
        "node_unschedulable": rows(({"node": "n1"}, 0), ({"node": "n2"}, 1)),
        "node_taints": rows(
            (
                {
                    "node": "n1",
                    "key": "infra-console.dev/tier",
                    "value": "",
                    "effect": "NoSchedule",
                },
                1,
            ),
            ({"node": "n2", "key": "sick.example/xid", "value": "", "effect": "NoSchedule"}, 1),
        ),
        "pod_info": rows(
            (
                pod(
                    "chat-5d4-a",
                    node="n1",
                    created_by_kind="ReplicaSet",
                    created_by_name="chat-5d4",
                ),
                1,
            )
        ),
        "pod_phase": rows((pod("chat-5d4-a", phase="Running"), 1)),
        "pod_ready": rows((pod("chat-5d4-a"), 1)),
        "pod_labels": [],
        "pod_gpu_requests": rows((pod("chat-5d4-a"), 4)),
        "deployment_replicas": rows(({"namespace": "inference", "deployment": "chat"}, 2)),
        "deployment_ready": rows(({"namespace": "inference", "deployment": "chat"}, 1)),
    }


@pytest.fixture
def fleet(monkeypatch):
    def with_source(source, **others):
        """The fleet behind `main`, which owns north, and one more source and cluster a keyword."""
        sources = {"north": ("main", source), **{c: (c, s) for c, s in others.items()}}
        for _, held in sources.values():
            held.data = {"up": rows(({"job": "kube-state-metrics"}, 1)), **held.data}
        bound = tuple(
            BoundSource(name, frozenset({cluster}), 15.0, held)
            for cluster, (name, held) in sources.items()
        )
        monkeypatch.setattr(queries, "current_sources", lambda: bound)
        queries.forget_cached()
        return PrometheusFleet(fleet_facts(with_clusters(sources)))

    return with_source


def with_clusters(sources):
    (region,) = fleet_document()["regions"]
    return fleet_config(
        regions=[{**region, "id": c} for c in sources],
        clusters=[{"id": c, "context": c, "region": c} for c in sources],
        sources=[
            {"id": name, "url": "http://127.0.0.1:9", "clusters": [c]}
            for c, (name, _) in sources.items()
        ],
    )


def source_of(found):
    return MemorySource({main_query(spec_of(name), {}): rows for name, rows in found.items()})


def test_nodes_and_pods_are_read_without_cluster_rights(fleet):
    state = fleet(source_of(answers())).read(["north"]).clusters["north"]
    first, second = state.nodes
    assert (first.pool, first.tier, first.ready) == ("north/H100/reserved", "inference", True)
    assert (second.pool, second.tier, second.foreign) == ("", None, "tainted sick.example/xid")
    assert second.unschedulable
    assert not second.ready
    (chat,) = state.pods
    assert (chat.workload, chat.gpus, chat.node, chat.ready) == ("chat", 4, "n1", True)
    assert [(d.name, d.replicas, d.ready) for d in state.deployments] == [("chat", 2, 1)]


def test_a_source_that_is_down_makes_every_cluster_unreadable_not_empty(fleet):
    state = fleet(MemorySource(failure=SourceUnreachable("main", "refused"))).read(["north"])
    assert not state.clusters
    assert "refused" in state.unreadable["north"]


class OneQueryFails(MemorySource):
    """A source that times out on the taints alone."""

    def instant(self, promql, *, at):
        if "kube_node_spec_taint" in promql:
            raise SourceUnreachable("main", "timed out")
        return super().instant(promql, at=at)


def test_one_silent_query_makes_the_cluster_unreadable_not_free_of_taints(fleet):
    state = fleet(OneQueryFails(source_of(answers()).data)).read(["north"])
    assert not state.clusters
    assert "timed out" in state.unreadable["north"]


def test_a_cluster_without_series_is_named(fleet):
    data = {
        main_query(spec_of("node_capacity_gpus"), {}): [
            RawSeries({"cluster": "south", "node": "x"}, np.array([datetime.now(UTC).timestamp()]),
                      np.array([8.0]))
        ]
    }  # fmt: skip
    state = fleet(MemorySource(data)).read(["north"])
    assert "north" in state.unreadable


def test_a_source_that_fails_takes_its_own_clusters_alone(fleet):
    refused = MemorySource(failure=SourceUnreachable("south", "refused"))
    state = fleet(source_of(answers()), south=refused).read(["north", "south"])
    assert set(state.clusters) == {"north"}
    assert set(state.unreadable) == {"south"}
    assert "refused" in state.unreadable["south"]


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("node_labels", {"node": "n2"}),
        ("node_allocatable_gpus", {"node": "n2"}),
        ("node_ready", {"node": "n1"}),
        ("node_unschedulable", {"node": "n2"}),
        ("pod_info", pod("chat-5d4-a")),
        ("pod_phase", pod("chat-5d4-a")),
        ("deployment_ready", {"deployment": "chat"}),
    ],
)
def test_a_cluster_with_one_sample_missing_is_unreadable_and_says_which(fleet, query, labels):
    found = answers()
    found[query] = [s for s in found[query] if not labels.items() <= s.labels.items()]
    state = fleet(source_of(found)).read(["north"])
    assert not state.clusters
    assert f"has no sample of {query}" in state.unreadable["north"]
