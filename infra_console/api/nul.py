"""PostgreSQL keeps no NUL character: a request that carries one is refused at the door."""

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from infra_console.api.problems import problem_response

# As it is written in addresses and forms, in JSON, and raw.
NULS = (b"%00", b"\\u0000", b"\0")


class RefuseNul(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        sent = request.META.get("QUERY_STRING", "").encode() + request.body
        if any(nul in sent for nul in NULS):
            return problem_response(400, "nul", "A NUL character cannot be part of a request.")
        return None
