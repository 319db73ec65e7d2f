"""Whether every cluster's API answers with our credentials, and lets us do what plans need."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from infra_console.cluster.errors import ClusterError
from infra_console.cluster.reads import read_version
from infra_console.cluster.rights import (
    Right,
    Rights,
    changes,
    is_kueues,
    lacking,
    review_rights,
    rule_words,
)
from infra_console.fleet.queries import list_clusters
from infra_console.overview.doctor import Check

MAX_CLUSTERS_AT_ONCE = 12


def check_clusters() -> list[Check]:
    """One check a cluster; a single note when no kubeconfig is given, which is a way to run."""
    if not settings.KUBECONFIG:
        detail = "no kubeconfig: plans are proposed from Prometheus alone and nothing is executed"
        return [Check(name="clusters", ok=True, detail=detail)]
    clusters = [cluster.id for cluster in list_clusters()]
    if not clusters:
        remedy = "apply a fleet file: manage.py fleet_apply FILE"
        return [Check(name="clusters", ok=False, detail="the fleet is empty", remedy=remedy)]
    with ThreadPoolExecutor(MAX_CLUSTERS_AT_ONCE) as threads:
        return list(threads.map(_check, clusters))


def check_rights() -> list[Check]:
    """One note a cluster: what plans may change there. Not granting is a way to run, too."""
    if not settings.KUBECONFIG:
        return []
    clusters = [cluster.id for cluster in list_clusters()]
    with ThreadPoolExecutor(MAX_CLUSTERS_AT_ONCE) as threads:
        found = threads.map(_rights, clusters)
    return [check for check in found if check]


def _rights(cluster_id: str) -> Check | None:
    try:
        missing = lacking(cluster_id)
    except ClusterError:
        return None  # said by the cluster's own check
    granted = ", ".join(what for what in changes() if what not in missing) or "nothing"
    lacks = "; ".join(f"not {what} ({_words(rights)})" for what, rights in missing.items())
    detail = f"plans may change {granted}" + (f"; {lacks}" if lacks else "")
    return Check(name=f"rights in {cluster_id}", ok=True, detail=detail)


def _check(cluster_id: str) -> Check:
    name = f"cluster {cluster_id}"
    try:
        version, rights = read_version(cluster_id), review_rights(cluster_id)
    except ClusterError as err:
        remedy = "check the address, the token and the network; other clusters are not affected"
        return Check(name=name, ok=False, detail=err.problem, remedy=remedy)
    return _judge(name, f"API answers, {version}", rights)


def _judge(name: str, answers: str, rights: Rights) -> Check:
    """Rights to write come together or not at all: half of them is a plan that pauses."""
    missing = rights.missing_reads + (rights.missing_writes if rights.writes else ())
    if not rights.writes:
        missing += rights.missing_looks
    if not missing:
        kind = "reads and writes" if rights.writes else "reads only, nothing is executed from here"
        if rights.missing_looks:  # as an executor runs: a reader beside it has them
            lacks = _words(rights.missing_looks)
            kind += f"; where this credential is the reader's too, it lacks {lacks}"
        return Check(name=name, ok=True, detail=f"{answers}; {kind}")
    files = "kueue.yaml" if all(map(is_kueues, missing)) else "rbac.yaml"
    remedy = f"grant it: kubectl apply -f deploy/kubernetes/{files}"
    if looks := [right for right in missing if right in rights.missing_looks]:
        remedy = f"add to the reader's ClusterRole {rule_words(looks)}, or {remedy}"
    detail = f"{answers}; may not {_words(missing)}"
    return Check(name=name, ok=False, detail=detail, remedy=remedy)


def _words(rights: Iterable[Right]) -> str:
    return ", ".join(map(str, rights))
