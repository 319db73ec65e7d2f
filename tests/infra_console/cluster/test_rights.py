"""What the doctor says of our rights in a cluster."""

from infra_console.cluster import rights
from infra_console.cluster.doctor import _check
from infra_console.cluster.rights import review_rights
from tests.infra_console.kube import CLUSTER


def test_an_executor_holds_every_right_and_a_reader_none_of_the_writes(twin, settings):
    assert review_rights(CLUSTER).missing_writes == ()
    check = _check(CLUSTER)
    assert check.ok
    assert check.detail.endswith("reads and writes")
    settings.KUBECONFIG = twin.kubeconfig("viewer")
    held = review_rights(CLUSTER)
    assert (held.missing_reads, held.writes) == ((), False)
    check = _check(CLUSTER)
    assert check.ok
    assert "reads only" in check.detail


def test_half_of_the_rights_is_said_with_the_file_that_grants_the_rest(twin, monkeypatch):
    real = rights.granted
    lacking = "patch workloads"
    monkeypatch.setattr(rights, "granted", lambda c, r: real(c, r) and str(r) != lacking)
    check = _check(CLUSTER)
    assert not check.ok
    assert f"may not {lacking}" in check.detail
    assert check.remedy.endswith("kueue.yaml")
