"""Whether the repositories that plans may change can be reached."""

from django.conf import settings

from infra_console.cluster.errors import ClusterError
from infra_console.overview.doctor import Check
from infra_console.plans.repositories.repository import reachable, repository


def check_repositories() -> list[Check]:
    """One check a repository; none while plans change nothing in git."""
    return [_check(name) for name in sorted(settings.GIT_REPOSITORIES)]


def _check(name: str) -> Check:
    of = repository(name)
    remedy = "check the address, the credentials that git uses, and the branch"
    try:
        found = reachable(of)
    except ClusterError as err:
        return Check(name=f"repository {name}", ok=False, detail=err.problem, remedy=remedy)
    detail = f"branch {of.branch} can be read" if found else f"there is no branch {of.branch}"
    return Check(name=f"repository {name}", ok=found, detail=detail, remedy="" if found else remedy)
