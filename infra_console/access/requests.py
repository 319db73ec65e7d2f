"""The request as a page's view sees it: middleware has put a person and htmx's headers there."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class PageRequest(HttpRequest):
    """For annotations only; Django makes the request itself."""

    user: User
    htmx: HtmxDetails
