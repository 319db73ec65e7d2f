"""Pruning removes what is out of date and nothing that stands, as docs/stored.md says."""

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from tiers.models import FleetChange, LedgerLot
from tiers.retention import kept, prune

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def lot(since_days: int, until_days: int | None) -> LedgerLot:
    return LedgerLot.objects.create(
        cluster="north", node="n", gpu_type="H100", state="serving", gpus=8,
        since=NOW - timedelta(days=since_days),
        until=None if until_days is None else NOW - timedelta(days=until_days),
    )  # fmt: skip


def change(days: int) -> FleetChange:
    return FleetChange.objects.create(
        at=NOW - timedelta(days=days), cluster="north", kind="cordon", object="n", words="cordoned"
    )


def test_what_stands_is_kept_whatever_its_age_and_history_for_its_days():
    standing, recent = lot(400, None), lot(200, 89)
    lot(200, 91)
    kept_change = change(89)
    change(91)
    assert prune(now=NOW)["ledger history"] == 1
    assert set(LedgerLot.objects.all()) == {standing, recent}
    assert list(FleetChange.objects.all()) == [kept_change]


def test_the_command_counts_without_removing_and_takes_other_days(capsys):
    lot(40, 20)
    call_command("prune", "--days", "10", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["rows"]["ledger history"] == 1
    assert LedgerLot.objects.exists()
    call_command("prune", "--days", "10")
    assert not LedgerLot.objects.exists()
    with pytest.raises(CommandError, match="at least 1"):
        call_command("prune", "--days", "0")


def test_the_page_of_what_is_stored_names_all_that_is_pruned():
    text = (settings.BASE_DIR / "docs" / "stored.md").read_text()
    assert all(f"| {entry.what} |" in text for entry in kept())
