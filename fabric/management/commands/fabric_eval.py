"""`manage.py fabric_eval --collection DIR`: the fabric against single stores, on this machine."""

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError

from fabric.adapters.embedder import fit_embedder
from fabric.adapters.faiss import FaissStore
from fabric.adapters.folder import Folder
from fabric.adapters.memory import MemoryStore
from fabric.adapters.pgvector import PgvectorStore
from fabric.core.errors import FabricInvalid
from fabric.core.files import WHOLE
from fabric.core.points import TARGET_RECALL
from fabric.errors import StoreError
from fabric.evaluate import Question, Variant, evaluate
from fabric.ports import IndexSpec
from fabric.truth import Truth

DEFAULT_BUILD = {"m": 16, "ef_construction": 100}
BETTER_BUILD = {"m": 32, "ef_construction": 200}
NOTES = [
    "Times are of the search; embedding the question is left out for every method.",
    "cpu_ms is of this process; null where PostgreSQL does the search.",
    "best_single is the fastest of the grid that reaches the target on the tuning half.",
]


class Command(BaseCommand):
    help = "Compare default_hnsw, best_single, broadcast and fabric on a collection's folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--collection", type=Path, required=True, metavar="DIR")
        parser.add_argument("--json", action="store_true", dest="as_json")
        parser.add_argument("--target", type=float, default=TARGET_RECALL)
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, collection: Path, **options: Any) -> None:
        pgvector = PgvectorStore()
        try:
            truth, questions, version = read(Folder(collection))
            with tempfile.TemporaryDirectory(prefix="fabric-eval-") as folder:
                found = evaluate(
                    truth, questions, grid(Path(folder), pgvector, truth.vectors.shape[1]),
                    target=options["target"], seed=options["seed"],
                )  # fmt: skip
        except (FabricInvalid, StoreError, OSError) as err:
            raise CommandError(str(err)) from err
        finally:
            pgvector.close()
        head = {"collection": collection.name, "documents": len(truth.ids), "embedder": version}
        report = head | found | {"notes": NOTES}
        self.stdout.write(json.dumps(report) if options["as_json"] else table(report))


def grid(folder: Path, pgvector: PgvectorStore, dimension: int) -> list[Variant]:
    """The single stores by name: brute force, HNSW as it comes and built better, pgvector."""
    faiss = FaissStore(folder)

    def spec(name: str, build: dict[str, int]) -> IndexSpec:
        return IndexSpec(f"fabric_eval_{name}", dimension, build)

    return [
        Variant("faiss_m16", faiss, spec("m16", DEFAULT_BUILD)),
        Variant("faiss_m32", faiss, spec("m32", BETTER_BUILD)),
        Variant("flat", MemoryStore(), spec("flat", {})),
        Variant("pgvector_m16", pgvector, spec("pg_m16", DEFAULT_BUILD)),
    ]


def read(folder: Folder) -> tuple[Truth, list[Question], str]:
    """Vectors of a folder's documents and questions; what has no known word is left out."""
    texts = list(folder.corpus())
    embedder = fit_embedder([text.whole for text in texts])
    vectors, known = embedder.embed([text.whole for text in texts])
    rows = {texts[i].key: n for n, i in enumerate(np.flatnonzero(known))}
    truth = Truth(
        np.arange(len(rows), dtype=np.int64), vectors[known], np.array([WHOLE] * len(rows))
    )
    asked, labels = folder.queries(), folder.qrels()
    if len(asked) < 20:
        raise FabricInvalid("queries.jsonl", "fewer than 20 queries measure nothing")
    query_vectors, query_known = embedder.embed(list(asked.values()))
    questions = [
        Question(vector, {str(rows[d]): g for d, g in labels.get(key, {}).items() if d in rows})
        for key, vector, is_known in zip(asked, query_vectors, query_known, strict=True)
        if is_known
    ]
    return truth, questions, embedder.version


def table(report: dict[str, Any]) -> str:
    """The results for people; `--json` has everything."""
    lines = [f"{'method':14}{'clients':>8}{'recall':>9}{'lower':>9}{'mean ms':>9}{'p95 ms':>9}"]
    for method, by_clients in report["results"].items():
        for clients, r in by_clients.items():
            lines.append(
                f"{method:14}{clients:>8}{r['recall_at_10']:9.4f}{r['recall_at_10_lower']:9.4f}"
                f"{r['mean_ms']:9.3f}{r['p95_ms']:9.3f}"
            )
    for name, r in report["ratios"].items():
        lines.append(f"{name}: {r['mean']:.2f} [{r['low']:.2f}, {r['high']:.2f}]")
    lines += [f"left out, {name}: {why}" for name, why in report["unavailable"].items()]
    return "\n".join(lines)
