"""Pruning removes what is out of date and nothing that stands, as docs/stored.md says."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from tiers.models import FleetChange, ForecastModel, LedgerLot
from tiers.retention import KEEP_MODELS, kept, prune

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


def weights(folder: Path, hours: int, state: str = "active") -> Path:
    path = folder / "models" / f"m{hours}.safetensors"
    path.write_bytes(b"weights")
    ForecastModel.objects.create(
        version=f"m{hours}", path=f"models/m{hours}.safetensors", sha256="0" * 64, state=state,
        trained_at=NOW - timedelta(hours=hours), seed=1, series=2, seconds=3.0,
    )  # fmt: skip
    return path


def test_old_weights_go_with_their_files_and_what_is_in_force_stays(tmp_path, settings):
    settings.STATE_DIR = tmp_path
    (tmp_path / "models").mkdir()
    refused = [weights(tmp_path, hours, "refused") for hours in range(KEEP_MODELS)]
    in_force, oldest = weights(tmp_path, 100), weights(tmp_path, 200)
    lost = weights(tmp_path, 300)
    lost.unlink()  # a prune that was cut off
    assert prune(now=NOW, dry_run=True)["weights of the network"] == 2
    assert oldest.exists()
    assert prune(now=NOW)["weights of the network"] == 2
    assert all(path.exists() for path in [*refused, in_force])
    assert not oldest.exists()
    assert set(ForecastModel.objects.filter(state="active")) == {
        ForecastModel.objects.get(version="m100")
    }
    assert prune(now=NOW)["weights of the network"] == 0


def test_the_page_of_what_is_stored_names_all_that_is_pruned():
    text = (settings.BASE_DIR / "docs" / "stored.md").read_text()
    assert all(f"| {entry.what} |" in text for entry in kept())
