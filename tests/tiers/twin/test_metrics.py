"""The exporters' text: names, labels and units of the real ones, and their HTTP side."""

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.tiers.twin.exporters.text import parse, pick
from tests.tiers.twin.objects import (
    NOW_S,
    add_budget,
    add_deployment,
    add_pod,
    small_cluster,
)
from tiers.twin.demand import BuiltInDemand
from tiers.twin.exporters.ksm import quantity, sanitise
from tiers.twin.exporters.text import document, family, labels
from tiers.twin.metrics import metrics_app, render
from tiers.twin.physics import ClusterPhysics


@pytest.fixture
def physics():
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    add_pod(store, "chat-70b-x-b", gpus=4)
    add_pod(store, "chat-7b-x-c", node="", ready=False)
    add_pod(store, "train-001-0", namespace="training", node="eastus-a100-reserved-01",
            gpus=8, job="train-001")  # fmt: skip
    add_deployment(store, "embedding", replicas=3)
    add_budget(store, "chat-70b", allowed=1)
    made = ClusterPhysics(store, BuiltInDemand(1), seed=1, now_s=NOW_S)
    for second in range(2, 62, 2):
        made.tick(NOW_S + second)
    return made


def test_dcgm_reports_every_gpu_with_the_pod_that_holds_it(physics):
    samples = parse(render("dcgm", physics))
    active = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
    assert len(pick(samples, active)) == 112
    assert len(pick(samples, active, namespace="", pod="", container="")) == 112 - 16
    held = pick(samples, active, namespace="inference", pod="chat-70b-x-a", container="server")
    assert len(held) == 4
    assert all(0.0 < value <= 1.0 for value in held)
    util = pick(samples, "DCGM_FI_DEV_GPU_UTIL", pod="chat-70b-x-a")
    assert util == pytest.approx([100 * value for value in held], abs=0.51)
    first = pick(
        samples, "DCGM_FI_DEV_FB_USED", gpu="0", device="nvidia0",
        Hostname="eastus-h100-reserved-01", modelName="NVIDIA H100 80GB HBM3",
    )  # fmt: skip
    assert first == [pytest.approx(0.9 * 81559, rel=0.01)]


def test_the_gateway_counts_what_it_refuses_and_vllm_does_not(physics):
    errors = "inference_objective_request_error_total"
    assert not pick(parse(render("gateway", physics)), errors)
    served = physics.models["chat-70b"]
    served.tick(NOW_S + 64, 5_000.0, [r.unit for r in served.replicas.values()])
    samples = parse(render("gateway", physics))
    (refused,) = pick(samples, errors, target_model_name="chat-70b")
    (came,) = pick(samples, "inference_objective_request_total", model_name="chat-70b")
    assert 0 < refused == served.service.refused < came
    finished = sum(pick(parse(render("vllm", physics)), "vllm:request_success_total"))
    assert came == refused + finished + served.service.in_system


def test_vllm_histograms_are_cumulative_and_end_in_their_count(physics):
    samples = parse(render("vllm", physics))
    for name in ("time_to_first_token", "inter_token_latency", "e2e_request_latency"):
        metric = f"vllm:{name}_seconds"
        buckets = pick(samples, f"{metric}_bucket", pod="chat-70b-x-a")
        assert buckets == sorted(buckets)
        (count,) = pick(samples, f"{metric}_count", pod="chat-70b-x-a")
        assert buckets[-1] == count > 0
        (total,) = pick(samples, f"{metric}_sum", pod="chat-70b-x-a")
        assert total > 0
    for edge in ("0.5", "1.0", "2.5", "+Inf"):
        labels_of = {"model_name": "chat-70b", "engine": "0", "le": edge}
        bucket = "vllm:time_to_first_token_seconds_bucket"
        assert len(pick(samples, bucket, **labels_of)) == 2


def test_vllm_pods_add_up_to_the_service(physics):
    samples = parse(render("vllm", physics))
    service = physics.models["chat-70b"].service
    running = pick(samples, "vllm:num_requests_running", model_name="chat-70b")
    assert sum(running) == service.running
    done = pick(samples, "vllm:request_success_total", model_name="chat-70b")
    assert sum(done) == service.arrays.finished.sum()
    assert pick(samples, "vllm:num_requests_running", model_name="chat-7b") == []
    assert all(0 <= u <= 1 for u in pick(samples, "vllm:kv_cache_usage_perc"))


def test_a_queue_is_shared_among_the_pods_that_report_it(physics):
    service = physics.models["chat-70b"].service
    service.arrays.marks[1] = 7
    waiting = pick(parse(render("vllm", physics)), "vllm:num_requests_waiting",
                   model_name="chat-70b")  # fmt: skip
    assert sorted(waiting) == [3, 4]


def test_kube_state_metrics_of_nodes(physics):
    samples = parse(render("ksm", physics))
    node = "eastus-h100-reserved-01"
    assert len(pick(samples, "kube_node_info")) == 14
    assert pick(
        samples, "kube_node_labels", node=node, label_infra_console_dev_tier="inference",
        label_nvidia_com_gpu_product="NVIDIA-H100-80GB-HBM3",
        label_karpenter_sh_capacity_type="reserved",
    ) == [1]  # fmt: skip
    for kind in ("allocatable", "capacity"):
        gpus = pick(samples, f"kube_node_status_{kind}", node=node, resource="nvidia_com_gpu",
                    unit="integer")  # fmt: skip
        assert gpus == [8]
    ready = {"node": node, "condition": "Ready"}
    assert pick(samples, "kube_node_status_condition", **ready, status="true") == [1]
    assert pick(samples, "kube_node_status_condition", **ready, status="false") == [0]
    taint = {"key": "infra-console.dev/tier", "value": "inference", "effect": "NoSchedule"}
    assert pick(samples, "kube_node_spec_taint", node=node, **taint) == [1]
    assert pick(samples, "kube_node_spec_unschedulable", node=node) == [0]


def test_kube_state_metrics_of_pods_and_what_owns_them(physics):
    samples = parse(render("ksm", physics))
    assert pick(samples, "kube_pod_status_phase", pod="chat-7b-x-c", phase="Pending") == [1]
    assert pick(samples, "kube_pod_status_phase", pod="chat-7b-x-c", phase="Running") == [0]
    assert pick(samples, "kube_pod_status_ready", pod="chat-7b-x-c", condition="true") == [0]
    assert pick(samples, "kube_pod_status_ready", pod="chat-70b-x-a", condition="true") == [1]
    assert pick(
        samples, "kube_pod_container_resource_requests", pod="train-001-0",
        node="eastus-a100-reserved-01", resource="nvidia_com_gpu", namespace="training",
    ) == [8]  # fmt: skip
    assert pick(samples, "kube_pod_info", pod="chat-70b-x-a", created_by_kind="ReplicaSet") == [1]
    job = {"label_batch_kubernetes_io_job_name": "train-001"}
    assert pick(samples, "kube_pod_labels", pod="train-001-0", **job) == [1]
    assert pick(samples, "kube_deployment_spec_replicas", deployment="embedding") == [3]
    assert pick(samples, "kube_deployment_status_replicas_ready", deployment="embedding") == [1]
    name = "kube_poddisruptionbudget_status_pod_disruptions_allowed"
    assert pick(samples, name, poddisruptionbudget="chat-70b", namespace="inference") == [1]


def test_a_dead_nodes_exporter_disappears_but_its_node_object_stays(physics):
    node = "eastus-h100-reserved-01"
    physics.store.failed_nodes[node] = "2026-11-24T12:01:02Z"
    physics.tick(NOW_S + 64)
    assert pick(parse(render("dcgm", physics)), "DCGM_FI_DEV_GPU_UTIL", Hostname=node) == []
    assert pick(parse(render("vllm", physics)), "vllm:num_requests_running") == []
    assert len(pick(parse(render("ksm", physics)), "kube_node_info", node=node)) == 1


def test_label_values_are_escaped():
    text = document([family("up", "gauge", "help", [(labels({"a": 'x"\\\n'}), 1)])])
    assert text.splitlines()[-1] == 'up{a="x\\"\\\\\\n"} 1'


def test_kubernetes_names_and_quantities_become_metrics():
    assert sanitise("nvidia.com/gpu") == "nvidia_com_gpu"
    assert [quantity(q) for q in ("8", "500m", "2Gi")] == [8.0, 0.5, 2.0 * 2**30]


async def test_exporters_answer_over_http_until_they_are_unreachable(physics):
    down = set()
    app = metrics_app(
        {"eastus": physics}, time_factor=10.0, unreachable=lambda cluster: cluster in down
    )
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        for exporter in ("dcgm", "vllm", "ksm"):
            async with session.get(server.make_url(f"/eastus/{exporter}")) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert parse(await answer.text())
        async with session.get(server.make_url("/twin/metrics")) as answer:
            assert parse(await answer.text()) == {("twin_time_factor", frozenset()): 10.0}
        async with session.get(server.make_url("/atlantis/dcgm")) as answer:
            assert answer.status == 404
        down.add("eastus")
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(server.make_url("/eastus/dcgm"))
