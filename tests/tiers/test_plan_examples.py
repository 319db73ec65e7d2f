"""The plans that the documentation explains are those that the command prints."""

import re
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

DOCS = settings.BASE_DIR / "docs"
SHOWN = re.compile(
    r"```\n\$ manage\.py plan --snapshot docs/(\S+) --explain\n(.*?)\n```", re.DOTALL
)


@pytest.mark.parametrize("name", ["rising", "waiting-gang", "infeasible"])
def test_the_explained_plan_is_what_the_command_prints(name):
    shown = dict(SHOWN.findall((DOCS / "plans-explained.md").read_text()))
    file = f"snapshots/{name}.json"
    out = StringIO()
    call_command("plan", snapshot=DOCS / file, explain=True, stdout=out)
    assert out.getvalue().rstrip() == shown[file]
