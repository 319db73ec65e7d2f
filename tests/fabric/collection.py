"""A small collection of made texts: twelve subjects with words of their own, and questions."""

import json
from pathlib import Path

import numpy as np

SUBJECTS = 12
WORDS = 18
COMMON = 30


def write_collection(folder: Path, *, documents: int = 300, queries: int = 120, seed: int = 3):
    """Texts of a subject share its words; each carries its subject and a team as metadata."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_text(rng, i % SUBJECTS, 25) for i in range(documents)]
    (folder / "corpus.jsonl").write_text(
        "\n".join(
            json.dumps({
                "_id": f"d{i}", "title": f"Text {i}", "text": text,
                "metadata": {"team": "red" if i % 4 == 0 else "blue"},
            })
            for i, text in enumerate(rows)
        )
    )  # fmt: skip
    asked = [_text(rng, i % SUBJECTS, 6) for i in range(queries)]
    (folder / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate(asked))
    )
    labels = [f"q{i}\td{d}\t1" for i in range(queries) for d in range(i % SUBJECTS, documents, 60)]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(labels) + "\n")
    return folder


def _text(rng: np.random.Generator, subject: int, length: int) -> str:
    own = [f"s{subject}w{n}" for n in rng.integers(0, WORDS, length)]
    common = [f"word{n}" for n in rng.integers(0, COMMON, length // 2)]
    return " ".join(rng.permutation(own + common).tolist())
