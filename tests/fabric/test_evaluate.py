"""The evaluation compares like with like and says what it could not use."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

FIGURES = {
    "recall_at_10", "recall_at_10_lower", "mean_ms", "p50_ms", "p95_ms", "cpu_ms", "ndcg_at_10",
}  # fmt: skip


@pytest.fixture(scope="module")
def report(folder):
    """One run without a database: PostgreSQL is named as left out."""
    from fabric.adapters.pgvector import PgvectorStore
    from fabric.management.commands import fabric_eval

    out, real = StringIO(), PgvectorStore
    fabric_eval.PgvectorStore = lambda: real("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        call_command("fabric_eval", collection=folder, as_json=True, stdout=out)
    finally:
        fabric_eval.PgvectorStore = real
    return json.loads(out.getvalue())


def test_every_method_has_every_figure_for_one_and_sixteen_clients(report):
    assert set(report["results"]) == {"default_hnsw", "best_single", "broadcast", "fabric"}
    for by_clients in report["results"].values():
        assert set(by_clients) == {"1", "16"}
        for figures in by_clients.values():
            assert set(figures) == FIGURES
            assert figures["recall_at_10_lower"] <= figures["recall_at_10"] <= 1
            assert 0 < figures["p50_ms"] <= figures["p95_ms"]


def test_ratios_stand_within_their_intervals(report):
    assert set(report["ratios"]) == {"vs_default", "vs_best_single", "vs_broadcast"}
    for ratio in report["ratios"].values():
        assert 0 < ratio["low"] <= ratio["mean"] <= ratio["high"]


def test_the_best_single_store_is_no_slower_when_tuned_than_the_default(report):
    points = {(p["store"], p["effort"]): p for g in report["grid"].values() for p in g}
    (best,) = report["methods"]["best_single"]
    (default,) = report["methods"]["default_hnsw"]
    assert points[tuple(best)]["recall_lower"] >= report["target_recall"]
    if points[tuple(default)]["recall_lower"] >= report["target_recall"]:
        assert points[tuple(best)]["mean_ms"] <= points[tuple(default)]["mean_ms"]


def test_the_fabric_ranks_as_the_exact_answer_does(report):
    assert report["results"]["fabric"]["1"]["ndcg_at_10"] == pytest.approx(
        report["ndcg_at_10_exact"], abs=0.005
    )


def test_a_store_that_does_not_answer_is_named_not_hidden(report):
    assert report["unavailable"]["pgvector_m16"].startswith("down:")
    assert "pgvector_m16" not in report["grid"]


def test_a_folder_that_breaks_its_form_is_refused_with_the_place(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}')
    with pytest.raises(CommandError, match="line 2"):
        call_command("fabric_eval", collection=tmp_path)
