"""One twin cluster per test that asks for it, and the fleet rows that name it."""

from collections.abc import Iterator

import pytest

from infra_console.cluster.client import close_clients
from infra_console.fleet.models import Cluster, FleetSetting, Region
from tests.infra_console.kube import CLUSTER, RunningTwin, Twin
from tiers.twin.kube.tls import TlsFiles, ensure_tls

DOCUMENT = {
    "schema": "fleet/1",
    "regions": [
        {
            "id": CLUSTER,
            "place": "Virginia",
            "latitude": 37.4,
            "longitude": -79.8,
            "jurisdiction": "US",
        }
    ],
    "clusters": [{"id": CLUSTER, "context": CLUSTER, "region": CLUSTER}],
    "sources": [],
    "pools": [],
    "workloads": [],
    "tiers": {"namespaces": {"inference": "inference", "training": "training"}},
}


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return ensure_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def named_cluster(db: None) -> str:
    """The cluster as the fleet names it, without a server behind it."""
    region = Region.objects.create(
        id=CLUSTER, place="Virginia", latitude=37.4, longitude=-79.8, jurisdiction="US"
    )
    Cluster.objects.create(id=CLUSTER, context=CLUSTER, region=region)
    FleetSetting.objects.create(id=1, document=DOCUMENT)
    return CLUSTER


@pytest.fixture
def twin(named_cluster: str, tls: TlsFiles, tmp_path, settings) -> Iterator[Twin]:
    """A running cluster that the settings' kubeconfig leads to, with the right to write."""
    with RunningTwin(tmp_path, tls) as running:
        settings.KUBECONFIG = running.kubeconfig()
        yield running
        close_clients()
