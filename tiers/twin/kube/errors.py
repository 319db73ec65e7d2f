"""Refusals of the API server, each rendered as the `Status` object a real one answers with.

Words and codes follow apimachinery's `errors` package, because clients match on them.
"""

from typing import Any

from tiers.twin.kube.resources import Obj, Resource


class ApiError(Exception):
    """A request that fails: HTTP code, machine-readable reason, message and details.

    `onward` is the token with which a list that cannot be continued goes on all the same.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        onward: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.onward = onward

    def status(self) -> Obj:
        """The body of the answer."""
        said = {"message": self.message, "reason": self.reason, "details": self.details}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.onward} if self.onward else {},
            "status": "Failure",
            **{key: value for key, value in said.items() if value not in ("", None)},
            "code": self.code,
        }

    def headers(self) -> dict[str, str]:
        seconds = (self.details or {}).get("retryAfterSeconds")
        return {"Retry-After": str(seconds)} if seconds else {}


def _details(resource: Resource, name: str) -> dict[str, Any]:
    found = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in found.items() if value}


def not_found(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(resource, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


class NoSuchPath(Exception):
    """A path that no part of the server knows: a 404 in plain text, without a Status."""


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


CHANGED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(resource: Resource, name: str, why: str = CHANGED) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def invalid(resource: Resource, name: str, causes: list[tuple[str, str, str]]) -> ApiError:
    """422 with one cause per wrong field: `(reason, field, message)`."""
    return _invalid(resource.group, resource.kind, name, causes)


def _invalid(group: str, kind: str, name: str, causes: list[tuple[str, str, str]]) -> ApiError:
    text = ", ".join(f"{field}: {message}" for _, field, message in causes)
    if len(causes) > 1:
        text = f"[{text}]"
    given = {"name": name, "group": group, "kind": kind}
    details: dict[str, Any] = {key: value for key, value in given.items() if value}
    details["causes"] = [{"reason": r, "field": f, "message": m} for r, f, m in causes]
    qualified = f"{kind}.{group}" if group else kind
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', details)


def patch_refused() -> ApiError:
    """A JSON patch whose `test` failed or whose path is absent."""
    message = "the server rejected our request due to an error in our request"
    return ApiError(422, "Invalid", message, {})


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def failure(code: int, message: str) -> ApiError:
    """An error of the server's inside, told without a reason."""
    return ApiError(code, "", message)


def forbidden(resource: Resource, name: str, why: str, *, cause: str = "") -> ApiError:
    quoted = f' "{name}"' if name else ""
    message = f"{resource.qualified}{quoted} is forbidden: {why}"
    details = _details(resource, name)
    if cause:
        details["causes"] = [{"reason": cause, "message": why, "field": "metadata.namespace"}]
    return ApiError(403, "Forbidden", message, details)


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def unsupported_media(supported: tuple[str, ...]) -> ApiError:
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(supported)
    )
    return ApiError(415, "UnsupportedMediaType", message)


def too_large(most_bytes: int) -> ApiError:
    message = f"Request entity too large: limit is {most_bytes}"
    return ApiError(413, "RequestEntityTooLarge", message)


def gone(message: str, *, onward: str = "") -> ApiError:
    return ApiError(410, "Expired", message, onward=onward)


def too_old(asked: int, oldest: int) -> ApiError:
    return gone(f"too old resource version: {asked} ({oldest})")


def not_acceptable(supported: tuple[str, ...]) -> ApiError:
    message = f"only the following media types are accepted: {', '.join(supported)}"
    return ApiError(406, "NotAcceptable", message)


def version_too_large(asked: int, held: int) -> ApiError:
    message = f"Too large resource version: {asked}, current: {held}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def invalid_options(kind: str, *problems: tuple[str, str, str]) -> ApiError:
    """422 for options of a request, one cause `(reason, field, message)` per problem."""
    return _invalid("meta.k8s.io", kind, "", list(problems))


def too_many_requests(message: str, causes: list[Obj], retry_after_s: int) -> ApiError:
    details: dict[str, Any] = {"causes": causes} if causes else {}
    if retry_after_s:
        details["retryAfterSeconds"] = retry_after_s
    return ApiError(429, "TooManyRequests", message, details)


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def unavailable(retry_after_s: int) -> ApiError:
    message = "the server is currently unable to handle the request"
    return ApiError(503, "ServiceUnavailable", message, {"retryAfterSeconds": retry_after_s})
