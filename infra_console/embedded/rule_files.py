"""The recording rules of the embedded Prometheus: those that the fleet file's tier key needs."""

from pathlib import Path

from infra_console.fleet.config import load_fleet_file
from infra_console.fleet.errors import FleetFileInvalid
from infra_console.telemetry.fragments import TIER_KEY
from infra_console.telemetry.rules import recording_rules


def write_rules(state_dir: Path, *, fleet_file: Path) -> Path:
    """Write the rules into the state folder, and return the folder that they are alone in.

    Without a fleet file, as before a demo's first start, they are those of our own key; one that
    cannot be used is told of by the stage that applies it.
    """
    try:
        key = load_fleet_file(fleet_file).tiers.label_key
        text = recording_rules(key)
    except (FleetFileInvalid, ValueError):
        text = recording_rules(TIER_KEY)
    folder = state_dir / "prometheus" / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(text)
    return folder
