"""Errors of the HTTP API as problem documents (RFC 9457), made in this one place."""

import logging
from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

log = logging.getLogger(__name__)


class Problem(Exception):
    """An answer other than success: what failed, what still holds, what to do next."""

    def __init__(self, status: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.extra = status, code, detail, extra


def problem_response(status: int, code: str, detail: str, **extra: Any) -> HttpResponse:
    """`code` is ours and stable, for programs; `detail` is for people."""
    body = {
        "type": f"urn:infra-console:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **extra,
    }
    response = JsonResponse(body, status=status, content_type="application/problem+json")
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def install_problem_handlers(api: NinjaAPI) -> None:
    """Every error that leaves the API is a problem document."""
    # Ninja's annotation says that a handler may be given the class; it gives the instance.
    handlers: dict[type[Exception], Any] = {
        Problem: _problem,
        AuthenticationError: _not_signed_in,
        ValidationError: _invalid,
        Http404: _not_found,
        HttpError: _http_error,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _problem(_request: HttpRequest, err: Problem) -> HttpResponse:
    return problem_response(err.status, err.code, err.detail, **err.extra)


def _not_signed_in(_request: HttpRequest, _err: AuthenticationError) -> HttpResponse:
    return problem_response(
        401, "not-signed-in", "Sign in, or send `Authorization: Bearer` with a live token."
    )


def _invalid(_request: HttpRequest, err: ValidationError) -> HttpResponse:
    errors = [
        {"path": ".".join(str(part) for part in e["loc"]), "problem": e["msg"]} for e in err.errors
    ]
    return problem_response(422, "invalid", "The request is not understood.", errors=errors)


def _not_found(_request: HttpRequest, _err: Http404) -> HttpResponse:
    return problem_response(404, "not-found", "There is nothing at this address.")


def _http_error(_request: HttpRequest, err: HttpError) -> HttpResponse:
    return problem_response(err.status_code, "refused", err.message)


def _unexpected(request: HttpRequest, err: Exception) -> HttpResponse:
    log.error("api %s %s failed", request.method, request.path, exc_info=err)
    return problem_response(
        500, "internal", "Something failed here; nothing you sent was changed. The log has more."
    )
