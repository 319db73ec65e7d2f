"""The HTTP API: one version, one way in, one form of error. Domains contribute the routers."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver
from django.utils.module_loading import import_string
from ninja import NinjaAPI

from infra_console.api.auth import BySession, ByToken, require
from infra_console.api.problems import install_problem_handlers


class ConsoleAPI(NinjaAPI):
    """The API's own sign-in replaces the redirect to the login page, which tokens cannot follow."""

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        patterns, app_name, namespace = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern) and pattern.name != "api-root":
                pattern.callback = login_not_required(pattern.callback)
        return patterns, app_name, namespace


def build_api() -> ConsoleAPI:
    """The API with every router that settings.API_ROUTERS names."""
    # Ninja's own schema and docs pages would be open to anyone, and its docs load from elsewhere.
    api = ConsoleAPI(
        title="infra-console",
        version="1",
        urls_namespace="api",
        auth=[ByToken(), BySession()],
        openapi_url=None,
        docs_url=None,
    )
    install_problem_handlers(api)
    api.get("/openapi.json", include_in_schema=False, url_name="openapi")(_openapi)
    for prefix, dotted in settings.API_ROUTERS.items():
        api.add_router(f"/{prefix}", import_string(dotted), tags=[prefix])
    return api


def _openapi(request: HttpRequest) -> dict[str, Any]:
    require(request, "view")
    return api.get_openapi_schema()


api = build_api()
