"""What the commands print about a snapshot."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.tiers.core.frontier.fleets import serving_snapshot
from tiers.core.frontier.report import position


def _run(command: str, folder: Path, *arguments: str) -> dict[str, Any]:
    path = folder / "snapshot.json"
    path.write_text(serving_snapshot().model_dump_json(by_alias=True))
    out = io.StringIO()
    call_command(command, "--snapshot", str(path), "--json", *arguments, stdout=out)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def test_frontier_prints_points_bands_and_where_the_fleet_sits(tmp_path: Path) -> None:
    report = _run("frontier", tmp_path)
    first = report["points"][0]
    assert first["by_model"] == {"chat-7b": pytest.approx(500 * first["latency_ratio"], rel=1e-3)}
    assert first["allocation"] == [
        {"region": "r", "workload": "chat", "gpu_type": "H100", "groups": 3}
    ]
    assert first["usd_per_ms"] > 0
    assert set(report["bands"]) == {"p50", "p80", "p90", "p95", "p975"}
    # At the median less is needed, so the same latency costs no more.
    assert report["bands"]["p50"][0][0] <= report["bands"]["p975"][0][0]
    assert report["assumed_latency"] == ["chat"]
    # Two groups now are a load of 1.4: no steady state, and not a zero.
    assert report["current"] == {
        "usd_per_hour": 0.0, "latency_ratio": None, "by_model": {"chat-7b": None},
    }  # fmt: skip
    assert report["proposed"]["latency_ratio"] < 1.2


def test_points_are_thinned_and_keep_both_ends(tmp_path: Path) -> None:
    report = _run("frontier", tmp_path, "--points", "2")
    whole = _run("frontier", tmp_path)
    assert report["points"] == [whole["points"][0], whole["points"][-1]]
    assert report["total_points"] == whole["total_points"] > 2


def test_plan_prints_a_price_that_can_be_recomputed(tmp_path: Path) -> None:
    report = _run("plan", tmp_path)
    snapshot = serving_snapshot()
    prices = {p.id: p.usd_per_gpu_hour if p.paid_when_used else 0.0 for p in snapshot.pools}
    gpus = {w.id: w.group_gpus["H100"] for w in snapshot.workloads}
    capacity = sum(
        row["groups"] * gpus[row["workload"]] * prices[row["pool"]] * 0.5
        for row in report["allocation"]
    )
    assert report["capacity_usd"] == pytest.approx(capacity)
    parts = ("capacity_usd", "moves_usd", "shortfall_usd")
    assert report["objective_usd"] == pytest.approx(sum(report[part] for part in parts))
    assert report["bound_usd"] <= report["objective_usd"]
    assert {row["step"] for row in report["allocation"]} == {0, 1}
    assert any("chat" in reason["about"] for reason in report["reasons"])


def test_position_counts_groups_on_other_gpu_types_by_what_they_serve() -> None:
    snapshot = serving_snapshot()
    at = position(snapshot, {("r/H100/reserved", "chat"): 2, ("r/H100/on_demand", "chat"): 1})
    assert at["usd_per_hour"] == 8.0
    assert at["latency_ratio"] == pytest.approx(0.9287, rel=1e-3)


def test_a_broken_snapshot_is_named_by_file_and_path(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    document = json.loads(serving_snapshot().model_dump_json(by_alias=True))
    document["pools"][0]["gpus"] = "many"
    path.write_text(json.dumps(document))
    with pytest.raises(CommandError, match=r"broken.json, pools.0.gpus"):
        call_command("plan", "--snapshot", str(path))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("plan", "--snapshot", str(tmp_path / "nowhere.json"))
