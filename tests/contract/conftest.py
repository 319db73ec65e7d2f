"""Fixtures of the contract: one cluster per run, a namespace and nodes per test."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client

from tests.contract import objects, played
from tests.contract.clusters import Cluster, Twin, real_cluster
from tests.contract.kinds import DEPLOYMENT, LEASE, NAMESPACE, NODE, PDB, POD, QUOTA, Kind
from tests.contract.kube import Kube, Refused, until

Obj = dict[str, Any]
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*names): skipped on a real cluster where one of these is not at work"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A kubeconfig may say that its server's certificate is not to be verified."""
    for item in items:
        if "tests/contract/" in item.nodeid:
            item.add_marker(pytest.mark.filterwarnings("ignore:Unverified HTTPS request"))


@pytest.fixture(
    scope="session",
    params=[pytest.param("twin"), pytest.param("kubeconfig", marks=pytest.mark.cluster)],
)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """The twin by default; with `-m cluster` the cluster that KUBECONFIG names."""
    if request.param == "twin":
        made: Cluster = Twin(tmp_path_factory.mktemp("contract"))
    else:
        try:
            made = real_cluster()
        except RuntimeError as err:
            pytest.exit(str(err), returncode=4)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _needs_are_met(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[None]:
    """Skip what a real cluster lacks; fail where something behind the API broke."""
    for mark in request.node.iter_markers("needs"):
        for need in mark.args:
            if why := cluster.lacks(need):
                pytest.skip(f"{need}: {why}")
    yield
    if troubles := cluster.troubles():
        pytest.fail("what runs behind the API failed:\n" + "\n".join(troubles))


@pytest.fixture
def kube(cluster: Cluster) -> Kube:
    return cluster.kube


@pytest.fixture
def api(cluster: Cluster) -> client.ApiClient:
    return cluster.kube.api


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


@pytest.fixture
def apps(api: client.ApiClient) -> client.AppsV1Api:
    return client.AppsV1Api(api)


@pytest.fixture
def unique(cluster: Cluster) -> Callable[[str], str]:
    """A name that nothing else in the cluster has, for what lies in no namespace."""
    return lambda word: f"contract-{cluster.run}-{word}-{next(_numbers)}"


@pytest.fixture
def space(cluster: Cluster, unique: Callable[[str], str]) -> Iterator[str]:
    """A new namespace, and the word that its nodes and pods find each other by."""
    name = unique("space")
    labels = {objects.RUN_KEY: cluster.run}
    cluster.kube.create(NAMESPACE, "", {"metadata": objects.meta(name, labels=labels)})
    cluster.prepare(name)
    yield name
    cluster.empty(name)


@pytest.fixture
def make_node(
    cluster: Cluster, kube: Kube, space: str, unique: Callable[[str], str]
) -> Iterator[Callable[..., str]]:
    """Makes nodes of this test: Ready, with GPUs, of this test's pods alone."""
    made: list[str] = []

    def make(
        *, gpus: int = 8, labels: dict[str, str] | None = None, taints: list[Obj] | None = None
    ) -> str:
        name = unique("node")
        body = objects.node(
            name, run=cluster.run, space=space, labels=labels or {}, taints=taints or []
        )
        # As a kubelet registers: with its status, so that no controller ever sees it not Ready.
        status = objects.node_resources(gpus) | {"conditions": played.ready_conditions()}
        kube.create(NODE, "", body | {"status": status})
        made.append(name)
        kube.patch(NODE, "", name, {"status": objects.node_resources(gpus)}, "strategic", "status")
        played.mark_ready(kube, name)
        return name

    yield make
    for name in made:
        for kind, place in ((NODE, ""), (LEASE, played.LEASES)):
            # The test deleted it, or nobody renewed its lease.
            with contextlib.suppress(Refused):
                kube.delete(kind, place, name)


@pytest.fixture
def node(make_node: Callable[..., str]) -> str:
    """One Ready node with eight GPUs."""
    return make_node()


@pytest.fixture
def lease(kube: Kube, space: str) -> Obj:
    """The plainest stored object: no controller touches it."""
    return kube.create(LEASE, space, objects.lease("held"))


@pytest.fixture
def deployed(kube: Kube, space: str) -> Obj:
    """A Deployment of no pods, made by the manager `maker`."""
    body = objects.deployment("chat", space, replicas=0)
    return kube.create(DEPLOYMENT, space, body, fieldManager="maker")


@pytest.fixture
def running_pods(cluster: Cluster, kube: Kube, space: str, node: str) -> Callable[..., list[Obj]]:
    """Makes pods of the app `chat` on one node and waits until all are Ready."""

    def make(count: int, **spec: Any) -> list[Obj]:
        for number in range(count):
            body = objects.pod(f"chat-{number}", space, labels={"app": "chat"}, on=node, **spec)
            kube.create(POD, space, body)

        def ready() -> list[Obj]:
            found = kube.items(POD, space, labelSelector="app=chat")
            done = [pod for pod in found if played.is_ready(pod)]
            return done if len(done) == count else []

        return until(ready, f"{count} pods are Ready", within_s=cluster.wait_s)

    return make


@pytest.fixture
def guard(cluster: Cluster, kube: Kube, space: str) -> Callable[..., Obj]:
    """Makes a PodDisruptionBudget over `chat` and waits until its status is of these pods.

    Without a disruption controller the status is written here, as that controller would.
    """

    def make(*, keep: int, healthy: int, name: str = "chat") -> Obj:
        made = kube.create(PDB, space, objects.budget(name, app="chat", keep=keep))
        wanted = {
            "observedGeneration": made["metadata"]["generation"],
            "currentHealthy": healthy,
            "desiredHealthy": keep,
            "expectedPods": healthy,
            "disruptionsAllowed": max(0, healthy - keep),
        }
        if cluster.lacks("disruption"):
            return kube.patch(PDB, space, name, {"status": wanted}, "merge", "status")

        def settled() -> Obj | None:
            held = kube.get(PDB, space, name)
            status = held.get("status") or {}
            return held if all(status.get(k, 0) == v for k, v in wanted.items()) else None

        held = until(settled, f"the budget's status is {wanted}", within_s=cluster.wait_s)
        assert held is not None
        return held

    return make


@pytest.fixture
def limit(cluster: Cluster, kube: Kube, space: str) -> Callable[..., None]:
    """Makes a ResourceQuota on GPUs and waits until admission knows it.

    Without a quota controller its first status is written here; admission keeps `used` from then.
    """

    def make(*, gpus: int, name: str = "gpus") -> None:
        made = kube.create(QUOTA, space, objects.quota(name, gpus=gpus))
        hard = made["spec"]["hard"]
        if cluster.lacks("quota"):
            status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
            kube.patch(QUOTA, space, name, {"status": status}, "merge", "status")

        def in_force() -> bool:
            try:
                body = objects.pod("too-big", space, gpus=gpus + 1)
                kube.create(POD, space, body, dryRun="All")
            except Refused as refused:
                return "exceeded quota" in refused.message
            return False

        until(in_force, "the quota is in force", within_s=cluster.wait_s)

    return make


@pytest.fixture
def make_custom(cluster: Cluster, kube: Kube) -> Iterator[Callable[..., Obj]]:
    """Makes cluster-scoped custom objects, taken away in reverse after the test.

    Kueue's finalizers are its manager's to remove; where none is at work, they are removed here.
    """
    made: list[tuple[Kind, str]] = []

    def make(kind: Kind, body: Obj, **query: Any) -> Obj:
        created = kube.create(kind, "", body, **query)
        made.append((kind, created["metadata"]["name"]))
        return created

    yield make
    for kind, name in reversed(made):
        with contextlib.suppress(Refused):
            kube.delete(kind, "", name)
            if cluster.lacks("kueue") and kube.find(kind, "", name):
                kube.patch(kind, "", name, {"metadata": {"finalizers": None}})
