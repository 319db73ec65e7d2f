"""A small collection of made texts for the demo, so that its fabric has something to show.

Notes of an operator's shift, put together from word lists by a fixed seed: none of it happened.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from django.conf import settings

from fabric.adapters.folder import Folder
from fabric.asking import ask
from fabric.auditing import audit_collection
from fabric.errors import IngestRunning
from fabric.ingest import ingest_folder
from fabric.models import Collection, RecallAudit, SampleQuery

NAME, SEED = "shift-notes", 7
DOCUMENTS, QUESTIONS = 400, 120
THINGS = (
    "gateway", "tokenizer", "scheduler", "checkpoint", "node pool", "storage volume", "switch",
    "driver", "quota", "queue", "certificate", "dashboard", "cache", "image registry",
)  # fmt: skip
SIGNS = (
    "timeouts", "a slow start", "memory pressure", "retries", "dropped packets", "clock skew",
    "evictions", "throttling", "stale metrics", "a full disk", "restarts", "long prefill",
)  # fmt: skip
DEEDS = (
    "drained and rebooted", "rolled back", "raised its limit", "moved its traffic", "renewed it",
    "cleared it", "pinned its version", "opened a ticket with the vendor", "waited it out",
    "added a replica", "lowered its share", "ran the burn-in again",
)  # fmt: skip
SHIFTS = ("night", "early", "late", "weekend")


def seed_demo() -> str:
    """Take the collection in, ask it and audit it; whatever of that is already there is left."""
    if not settings.DEMO:
        return "not the demo"
    found = Collection.objects.filter(name=NAME, state=Collection.State.READY).first()
    if found is None:
        folder = write_notes(Path(settings.STATE_DIR) / "fabric" / NAME)
        try:
            found = ingest_folder(
                Folder(folder), name=NAME, by="system:demo", stores=sorted(settings.FABRIC_STORES)
            )
        except IngestRunning:
            return "another worker is at it"
    if RecallAudit.objects.filter(collection=found).exists():
        return "there already"
    for sample in SampleQuery.objects.filter(collection=found):
        ask(NAME, sample.text, roles=["viewer"])
    audit_collection(found, seed=SEED)
    return "taken in, asked and audited"


def write_notes(folder: Path) -> Path:
    """The collection's folder, the same at every start."""
    rng = np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    notes = [_note(rng, i) for i in range(DOCUMENTS)]
    asked = [
        {"_id": f"q{i}", "text": f"{_one(rng, THINGS)} with {_one(rng, SIGNS)}"}
        for i in range(QUESTIONS)
    ]
    for name, rows in (("corpus.jsonl", notes), ("queries.jsonl", asked)):
        text = "\n".join(json.dumps(row, sort_keys=True) for row in rows)
        (folder / name).write_text(f"{text}\n", encoding="utf-8")
    return folder


def _note(rng: np.random.Generator, i: int) -> dict[str, object]:
    thing, sign, deed = _one(rng, THINGS), _one(rng, SIGNS), _one(rng, DEEDS)
    other, shift = _one(rng, THINGS), _one(rng, SHIFTS)
    text = (
        f"On the {shift} shift the {thing} showed {sign}. We {deed}; the {other} was checked too "
        f"and had {_one(rng, SIGNS)}. Note {i + 1} of the hand-over."
    )
    title = f"{thing.capitalize()}: {sign}"
    return {"_id": f"n{i}", "title": title, "text": text, "metadata": {"shift": shift}}


def _one(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]
