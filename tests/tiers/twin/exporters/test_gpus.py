"""GPUs whole, in MIG instances and shared in time: what dcgm-exporter says of them."""

import pytest

from tests.tiers.twin.exporters.showcase import physics_of
from tests.tiers.twin.exporters.text import parse, pick
from tests.tiers.twin.objects import NOW_S, add_pod, small_cluster
from tiers.twin.exporters.dcgm import render_dcgm
from tiers.twin.kube.resources import NODES, PODS
from tiers.twin.metrics import render
from tiers.twin.node_shapes import mig_node, shape_of, time_sliced_node

NODE = "eastus-h100-reserved-01"
ACTIVE, POWER = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"


def cluster_with(change, **options):
    store = small_cluster(nodes=1)
    store.put(NODES, change(store.all(NODES)[0], **options))
    return store


def ask_for(store, name, resource, count=1):
    """A pod of the operational tier that asks for devices of any kind."""
    pod = add_pod(store, name, namespace="operational", gpus=0)
    container = pod["spec"]["containers"][0]
    asked = container | {"resources": {"requests": {resource: str(count)}}}
    store.put(PODS, {**pod, "spec": {**pod["spec"], "containers": [asked]}})


def test_energy_is_power_over_time_and_begins_again_after_a_reset():
    store = small_cluster()
    add_pod(store, "train-1-0", namespace="training", gpus=8, job="train-1")
    physics = physics_of(store, seconds=20)
    before = parse(render("dcgm", physics))
    physics.tick(NOW_S + 30)
    after = parse(render("dcgm", physics))
    one = {"Hostname": NODE, "gpu": "0"}
    gained = pick(after, ENERGY, **one)[0] - pick(before, ENERGY, **one)[0]
    assert gained == pytest.approx(1000.0 * 10 * pick(after, POWER, **one)[0], rel=1e-5)
    for name in ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", ENERGY):
        assert all(a >= b for a, b in zip(pick(after, name), pick(before, name), strict=True))
    physics.reset_gpu_counters()
    physics.tick(NOW_S + 32)
    assert 0 < pick(parse(render("dcgm", physics)), ENERGY, **one)[0] < gained


def test_memory_adds_up_to_the_whole_gpu():
    store = small_cluster()
    add_pod(store, "train-1-0", namespace="training", gpus=4, job="train-1")
    samples = parse(render("dcgm", physics_of(store, seconds=4)))
    for gpu in ("0", "7"):
        one = {"Hostname": NODE, "gpu": gpu}
        parts = [pick(samples, f"DCGM_FI_DEV_FB_{p}", **one)[0] for p in ("USED", "FREE",
                                                                         "RESERVED")]  # fmt: skip
        assert sum(parts) == 81559


def test_what_a_gpu_does_not_support_is_left_out():
    samples = parse(render("dcgm", physics_of(small_cluster(), seconds=2)))
    for name in ("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"):
        assert pick(samples, name, modelName="NVIDIA L40S") == []
        assert len(pick(samples, name, modelName="NVIDIA H100 80GB HBM3")) == 64


def test_an_xid_sticks_to_its_gpu_with_its_words():
    physics = physics_of(small_cluster(), seconds=2)
    physics.xids = {NODE: {3: 79}}
    for second in (4, 6):
        physics.tick(NOW_S + second)
        samples = parse(render("dcgm", physics))
        told = pick(samples, "DCGM_FI_DEV_XID_ERRORS", Hostname=NODE, gpu="3", err_code="79",
                    err_msg="GPU has fallen off the bus")  # fmt: skip
        assert told == [79]
        clean = pick(samples, "DCGM_FI_DEV_XID_ERRORS", err_code="0", err_msg="No Error")
        assert len(clean) == 111


def test_a_mixed_mig_node_hands_out_instances_and_reports_each():
    store = cluster_with(mig_node, config="all-balanced", strategy="mixed")
    ask_for(store, "batch-a", "nvidia.com/mig-3g.40gb")
    ask_for(store, "batch-b", "nvidia.com/mig-1g.10gb", 2)
    physics = physics_of(store, seconds=4)
    samples = parse(render("dcgm", physics))
    assert len(pick(samples, ACTIVE)) == 8 * 4
    assert pick(samples, "DCGM_FI_DEV_GPU_UTIL") == []
    assert len(pick(samples, ACTIVE, pod="batch-a", GPU_I_PROFILE="3g.40gb", GPU_I_ID="1")) == 1
    assert len(pick(samples, ACTIVE, pod="batch-b", GPU_I_PROFILE="1g.10gb", gpu="0")) == 2
    small = pick(samples, "DCGM_FI_DEV_FB_FREE", gpu="7", GPU_I_PROFILE="1g.10gb")
    assert max(small) < 81559 / 8
    power = pick(samples, POWER, gpu="0")
    assert len(set(power)) == 1  # the GPU's own, told by each instance
    assert power[0] > pick(samples, POWER, gpu="7")[0]
    allocatable = {"node": NODE, "resource": "nvidia_com_mig_1g_10gb", "unit": "integer"}
    ksm = parse(render("ksm", physics))
    assert pick(ksm, "kube_node_status_allocatable", **allocatable) == [16]
    asked = {"pod": "batch-b", "resource": "nvidia_com_mig_1g_10gb"}
    assert pick(ksm, "kube_pod_container_resource_requests", **asked) == [2]


def test_a_single_strategy_node_counts_instances_as_gpus():
    store = cluster_with(mig_node, config="all-1g.10gb", strategy="single")
    node = store.all(NODES)[0]
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "56"
    add_pod(store, "small-a", namespace="operational", gpus=3)
    samples = parse(render("dcgm", physics_of(store, seconds=4)))
    assert len(pick(samples, ACTIVE)) == 56
    ids = {dict(pairs)["GPU_I_ID"] for name, pairs in samples if name == ACTIVE}
    assert ids == {str(number) for number in range(7, 14)}
    assert len(pick(samples, ACTIVE, pod="small-a", gpu="0")) == 3


def test_instances_of_several_sizes_need_the_mixed_strategy():
    with pytest.raises(ValueError, match="mixed"):
        cluster_with(mig_node, config="all-balanced", strategy="single")


def test_a_time_sliced_node_seats_several_pods_on_a_gpu():
    store = cluster_with(time_sliced_node, replicas=4)
    node = store.all(NODES)[0]
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"].endswith("-SHARED")
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "32"
    for number in range(10):
        add_pod(store, f"embedding-{number}", namespace="operational")
    physics = physics_of(store, seconds=4)
    samples = parse(render("dcgm", physics))
    assert len(pick(samples, ACTIVE)) == 8
    assert pick(samples, ACTIVE, gpu="0") > pick(samples, ACTIVE, gpu="5")
    assert len(pick(samples, ACTIVE, gpu="0", pod="embedding-8")) == 1  # the last one seen
    each = parse(render_dcgm(physics, every_sharer=True))
    assert len(pick(each, ACTIVE, gpu="0")) == 2
    assert len(pick(each, ACTIVE, gpu="0", vgpu="1", pod="embedding-8")) == 1
    assert len(pick(each, ACTIVE)) == 10


@pytest.mark.parametrize("labels", [
    {"nvidia.com/mig.strategy": "single"},
    {"nvidia.com/mig.strategy": "mixed", "nvidia.com/mig.config": "all-disabled"},
    {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "many"},
])  # fmt: skip
def test_a_node_without_such_labels_or_with_odd_ones_has_eight_whole_gpus(labels):
    shape = shape_of({"nvidia.com/gpu.product": "NVIDIA-L40S", **labels})
    assert [slot.gpu for slot in shape.slots] == list(range(8))
    assert not shape.mig


def test_a_node_without_gpus_has_no_exporter():
    store = small_cluster(nodes=2)
    node = store.all(NODES)[1]
    plain = {"kubernetes.io/hostname": node["metadata"]["name"]}
    store.put(NODES, {**node, "metadata": {**node["metadata"], "labels": plain}})
    samples = parse(render("dcgm", physics_of(store, seconds=4)))
    assert len(pick(samples, ACTIVE)) == 8
