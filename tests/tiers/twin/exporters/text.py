"""Reading exposition text back, every line checked."""

import re

LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)( -?\d+)?$")
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """Samples as {(name, labels): value}; no series may stand twice."""
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, pairs, value, _ = LINE.match(line).groups()
        found = PAIR.findall(pairs)
        assert ",".join(f'{k}="{v}"' for k, v in found) == pairs, line
        key = (name, frozenset(found))
        assert key not in samples, f"duplicate {key}"
        samples[key] = float(value)
    return samples


def pick(samples, name, **wanted):
    """Values of a name whose labels hold the wanted pairs."""
    return [
        value for (n, pairs), value in samples.items()
        if n == name and set(wanted.items()) <= pairs
    ]  # fmt: skip


def labels_by_name(samples):
    """The label names that each metric has been seen with."""
    seen = {}
    for name, pairs in samples:
        seen.setdefault(name, set()).update(key for key, _ in pairs)
    return seen
