"""Samples of a big answer as arrays, without a Python object for each of them.

`json` would make three objects of every sample: an answer at the cap of 32 MiB would hold 300 MiB.
So the lists of samples are cut out of the text and read as numbers; the rest, which is small, is
JSON as usual. The mark cannot stand in a label: quotes are escaped there.
"""

import json
import re
from typing import Any

import numpy as np

from infra_console.telemetry.series import SENTINEL, Array

_PAIR = rb'\[[-+0-9.eE]+, ?"[^"\]]*"\]'
_SAMPLES = re.compile(rb'"values": ?\[(' + _PAIR + rb"(?:, ?" + _PAIR + rb")*)\]")
_NUMBERS = re.compile(rb"[-+0-9.eE,NaInf]*")


def read_answer(body: bytes) -> Any:
    """The answer's JSON, where `values` are pairs of arrays (times, values) instead of lists.

    Raises:
        ValueError: it is not JSON, or a sample is no number.
    """
    held: list[tuple[Array, Array]] = []
    rest: list[bytes] = []
    end = 0
    for found in _SAMPLES.finditer(body):
        rest += (body[end : found.start()], b'"values":%d' % len(held))
        held.append(_arrays(body[found.start(1) : found.end(1)]))
        end = found.end()
    answer = json.loads(b"".join([*rest, body[end:]]) if held else body)
    if held:
        for entry in answer["data"]["result"]:
            if isinstance(entry.get("values"), int):
                entry["values"] = held[entry["values"]]
    return answer


def _arrays(text: bytes) -> tuple[Array, Array]:
    plain = text.translate(None, b'[]" ')
    if not _NUMBERS.fullmatch(plain):
        raise ValueError("a sample is no number")
    flat = np.array(plain.split(b","), dtype=np.float64)
    if flat.size != 2 * text.count(b"["):
        raise ValueError("a sample is no number")
    times, values = flat[0::2].copy(), flat[1::2].copy()
    values[~(np.abs(values) <= SENTINEL)] = np.nan  # NaN, infinities, "not supported"
    return times, values
