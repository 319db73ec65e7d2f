"""`manage.py token_list`: the API tokens, newest first; never their texts."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from infra_console.access.models import ApiToken


class Command(BaseCommand):
    help = "List the API tokens with their ids, newest first."

    def handle(self, *_: Any, **options: Any) -> None:
        for token in ApiToken.objects.select_related("user"):
            self.stdout.write(
                f"{token.id:>5} {_state(token):<28} {token.user.get_username()}: {token} "
                f"may {', '.join(token.scopes)}"
            )


def _state(token: ApiToken) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d %H:%M}Z"
    word = "live until" if token.expires_at > timezone.now() else "expired"
    return f"{word} {token.expires_at:%Y-%m-%d %H:%M}Z"
