"""A collection's folder on disk."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fabric.core.errors import FabricInvalid
from fabric.core.files import Text, read_corpus, read_qrels, read_queries


@dataclass(frozen=True, slots=True)
class Folder:
    """Its files are read when asked for; the corpus as a stream."""

    path: Path

    def digest(self) -> str:
        try:
            with (self.path / "corpus.jsonl").open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as err:
            raise FabricInvalid(str(self.path / "corpus.jsonl"), str(err.strerror)) from err

    def corpus(self) -> Iterator[Text]:
        with (self.path / "corpus.jsonl").open(encoding="utf-8") as lines:
            yield from read_corpus(lines)

    def queries(self) -> dict[str, str]:
        path = self.path / "queries.jsonl"
        return read_queries(path.read_text(encoding="utf-8").splitlines()) if path.exists() else {}

    def qrels(self) -> dict[str, dict[str, float]]:
        path = self.path / "qrels.tsv"
        return read_qrels(path.read_text(encoding="utf-8").splitlines()) if path.exists() else {}
