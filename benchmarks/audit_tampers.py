"""How surely a rewritten audit trail is found: `python -m benchmarks.audit_tampers --tampers 1000`.

Each tamper takes a sound chain whose last head was exported, changes it as somebody with every
right on the database could (half of them make the hashes right again afterwards), and asks the
proof. JSON: `tampers, found, named, seeds`; `named` counts those whose first bad sequence was named
exactly, or, where the hashes are right again, lies after the last row that is called proven.
"""

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra_console.audit.chain import GENESIS
from infra_console.audit.heads import Head, sign_head
from infra_console.audit.proof import ChainReport, check_chain, computed_hash

KEY = "a key that the database does not hold"
START = datetime(2026, 1, 1, tzinfo=UTC)
HEAD_EVERY = 10


@dataclass(frozen=True)
class PlainRow:
    """One audit row outside the database."""

    seq: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    detail: Any
    prev_hash: str = ""
    hash: str = ""


Rows = list[PlainRow]
Tamper = Callable[[Rows, random.Random], tuple[Rows, int]]


def sound_chain(rows: int) -> tuple[Rows, list[Head]]:
    """A chain and the heads that left the database, the last one of the last row."""
    made = [
        PlainRow(n, START + timedelta(seconds=n), "ada", "plan.approved", "plan", str(n), {"n": n})
        for n in range(1, rows + 1)
    ]
    chained = linked(made)
    heads = [
        sign_head(r.seq, r.hash, r.at, key=KEY)
        for r in chained
        if r.seq % HEAD_EVERY == 0 or r.seq == rows
    ]
    return chained, heads


def linked(rows: Rows) -> Rows:
    """The same rows with numbers and hashes made right, as a thorough forger would."""
    head, made = GENESIS, Rows()
    for seq, row in enumerate(rows, start=1):
        unsigned = replace(row, seq=seq, prev_hash=head)
        made.append(replace(unsigned, hash=computed_hash(unsigned)))
        head = made[-1].hash
    return made


def edit(rows: Rows, rng: random.Random) -> tuple[Rows, int]:
    place = rng.randrange(len(rows))
    column = rng.choice(["actor", "action", "object_kind", "object_id", "detail", "at", "hash"])
    held = getattr(rows[place], column)
    changed: Any = {"forged": rng.random()} if column == "detail" else f"{held}x"[-64:]
    if column == "at":
        changed = held + timedelta(seconds=rng.randint(1, 900))
    if column == "hash":
        changed = f"{rng.getrandbits(256):064x}"
    forged = [*rows[:place], replace(rows[place], **{column: changed}), *rows[place + 1 :]]
    return forged, rows[place].seq


def delete(rows: Rows, rng: random.Random) -> tuple[Rows, int]:
    place = rng.randrange(len(rows))
    return rows[:place] + rows[place + 1 :], rows[place].seq


def reorder(rows: Rows, rng: random.Random) -> tuple[Rows, int]:
    """Two rows change places and keep the numbers of the places."""
    a, b = sorted(rng.sample(range(len(rows)), 2))
    forged = list(rows)
    forged[a], forged[b] = replace(rows[b], seq=rows[a].seq), replace(rows[a], seq=rows[b].seq)
    return forged, rows[a].seq


def truncate(rows: Rows, rng: random.Random) -> tuple[Rows, int]:
    kept = rng.randrange(len(rows))
    return rows[:kept], kept + 1


def insert(rows: Rows, rng: random.Random) -> tuple[Rows, int]:
    """One row more, all numbers after it moved up."""
    place = rng.randrange(len(rows))
    extra = replace(rows[place], detail={"inserted": rng.random()})
    moved = [replace(r, seq=r.seq + 1) for r in rows[place:]]
    return [*rows[:place], extra, *moved], rows[place].seq


TAMPERS: dict[str, Tamper] = {
    "edit": edit,
    "delete": delete,
    "reorder": reorder,
    "truncate": truncate,
    "insert": insert,
}


def forge(rows: Rows, rng: random.Random) -> tuple[Rows, int, bool]:
    """One tamper, the first sequence that it touched, and whether the hashes are right again."""
    name = rng.choice(sorted(TAMPERS))
    forged, first = TAMPERS[name](rows, rng)
    # A hash made right again undoes the edit of a hash.
    if rng.random() < 0.5 and linked(forged) != rows:
        return linked(forged), first, True
    return forged, first, False


def names(report: ChainReport, first: int, *, made_right: bool) -> bool:
    """Whether the report says where it began; hashes made right hide it until the next head."""
    return report.proven_to < first if made_right else report.broken_at == first


def measure(tampers: int, rows: int, seed: int) -> dict[str, Any]:
    rng, found, named = random.Random(seed), 0, 0  # noqa: S311 - a seed, not a secret
    sound, heads = sound_chain(rows)
    for _ in range(tampers):
        forged, first, made_right = forge(sound, rng)
        report = check_chain(forged, heads)
        found += not report.ok
        named += names(report, first, made_right=made_right)
    return {"tampers": tampers, "found": found, "named": named, "rows": rows, "seeds": [seed]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tampers", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="kept for symmetry: it is always JSON")
    options = parser.parse_args()
    print(json.dumps(measure(options.tampers, options.rows, options.seed)))


if __name__ == "__main__":
    main()
