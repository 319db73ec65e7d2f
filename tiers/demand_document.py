"""Demand and supply as one document, `demand/1`, for the API and the command; null is unknown."""

from dataclasses import asdict
from typing import Any

from tiers.core.demand.need import WORK_OFF_S
from tiers.demand_queries import DemandPage, DemandRow, TierNeed


def demand_document(page: DemandPage) -> dict[str, Any]:
    return {
        "schema": "demand/1",
        "seen_at": page.seen_at,
        "backlog_worked_off_in_s": WORK_OFF_S,
        "rows": [_row(row) for row in page.rows],
        "tiers": [_tier(tier) for tier in page.tiers],
        "gangs": [asdict(gang) for gang in page.gangs],
        "supply": [asdict(row) for row in page.supply],
        "rates": asdict(page.rates),
        "unknown": [{"where": where, "words": words} for where, words in page.unknown],
    }


def _row(row: DemandRow) -> dict[str, Any]:
    live, found = row.live, row.throughput
    return {
        "region": row.region,
        "cluster": row.cluster,
        "workload": row.workload,
        "model": row.model,
        "tier": row.tier,
        "gpu_type": row.gpu_type,
        "live": None if live is None else {
            **asdict(live), "backlog_rps": None if live.waiting is None else live.backlog_rps,
            "wanted_rps": live.wanted_rps,
        },
        "throughput": None if found is None else {**asdict(found), "age_s": row.throughput_age_s},
        "need": asdict(row.need),
        "held_gpus": row.held_gpus,
        "forecast": [asdict(step) for step in row.forecast],
        "correction": None if row.correction is None else {
            **asdict(row.correction), "words": row.correction.words,
        },
    }  # fmt: skip


def _tier(row: TierNeed) -> dict[str, Any]:
    return {
        "region": row.region,
        "tier": row.tier,
        "gpus": row.need.gpus,
        "known_gpus": row.need.low_gpus,
        "missing": row.need.missing,
        "at_least": row.need.at_least,
        "held_gpus": row.held_gpus,
    }
