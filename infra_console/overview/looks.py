"""How each state looks: icon, word and tone, so that no state is told by colour alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "busy", "warn", "bad", "quiet"]


@dataclass(frozen=True, slots=True)
class Look:
    """`word` is what people read; it is the state itself unless that would puzzle them."""

    icon: str
    tone: Tone
    word: str


def _looks(*rows: tuple[str, str, Tone, str]) -> Mapping[str, Look]:
    return {state: Look(icon, tone, word or state) for state, icon, tone, word in rows}


FRESHNESS = _looks(
    ("live", "pulse", "good", "Live"),
    ("delayed", "clock", "warn", "Delayed"),
    ("stale", "alert", "warn", "Stale"),
    ("partial", "half", "warn", "Partial"),
    ("down", "off", "bad", "Source down"),
    ("not exported", "question", "quiet", "Not exported"),
)
PLAN = _looks(
    ("proposed", "inbox", "busy", "proposed"),
    ("approved", "check", "good", ""),
    ("executing", "play", "busy", ""),
    ("paused", "pause", "warn", ""),
    ("verifying", "search", "busy", ""),
    ("settled", "scale", "good", ""),
    ("verified", "check", "good", "verified, metrics unknown"),
    ("rehearsed", "repeat", "good", "rehearsed (dry-run)"),
    ("rejected", "cross", "quiet", ""),
    ("withdrawn", "undo", "quiet", ""),
    ("expired", "clock", "quiet", ""),
    ("superseded", "skip", "quiet", ""),
    ("void", "alert", "warn", "void: the fleet changed"),
    ("aborted", "stop", "warn", ""),
    ("failed", "cross", "bad", ""),
    ("rolling_back", "undo", "busy", "rolling back"),
    ("rolled_back", "undo", "quiet", "rolled back"),
)
STEP = _looks(
    ("pending", "dots", "quiet", ""),
    ("running", "play", "busy", ""),
    ("waiting", "clock", "warn", ""),
    ("done", "check", "good", ""),
    ("rehearsed", "repeat", "good", "rehearsed"),
    ("failed", "cross", "bad", ""),
    ("skipped", "skip", "quiet", ""),
)
CYCLE = _looks(
    ("running", "play", "busy", ""),
    ("done", "check", "good", ""),
    ("frozen", "pause", "warn", "frozen: inputs too old or missing"),
    ("failed", "cross", "bad", ""),
)
ENVELOPE = _looks(
    ("proposed", "inbox", "busy", ""),
    ("armed", "armed", "warn", ""),
    ("rejected", "cross", "quiet", ""),
    ("revoked", "stop", "quiet", ""),
    ("expired", "clock", "quiet", ""),
    ("used up", "check", "quiet", ""),
)
STORE = _looks(
    ("ready", "check", "good", ""),
    ("building", "play", "busy", ""),
    ("ingesting", "play", "busy", ""),
    ("half-indexed", "half", "warn", ""),
    ("not built", "dots", "quiet", ""),
    ("not installed", "off", "quiet", ""),
    ("slow", "clock", "warn", ""),
    ("down", "off", "bad", ""),
    ("damaged", "alert", "bad", ""),
    ("failed", "cross", "bad", ""),
    ("held", "check", "good", "target held"),
    ("short", "alert", "bad", "short of the target"),
)
TRAINING = _looks(
    ("waiting", "dots", "quiet", ""),
    ("running", "play", "busy", ""),
    ("silent", "alert", "warn", "running, its worker is silent"),
    ("done", "check", "good", ""),
    ("failed", "cross", "bad", ""),
)
NETWORK = _looks(
    ("active", "check", "good", "usable"),
    ("refused", "alert", "bad", ""),
)
UNKNOWN = Look("question", "quiet", "unknown")
KINDS: Mapping[str, Mapping[str, Look]] = {
    "freshness": FRESHNESS,
    "plan": PLAN,
    "step": STEP,
    "cycle": CYCLE,
    "envelope": ENVELOPE,
    "store": STORE,
    "training": TRAINING,
    "network": NETWORK,
}


def look_of(kind: str, state: str) -> Look:
    """The look of a state; one that is not in the table shows as unknown, never as good."""
    return KINDS[kind].get(state, UNKNOWN)


def slo_look(ratio: float | None) -> Look:
    """p95 over its SLO: within, close to (from 0.8), or over it."""
    if ratio is None:
        return Look("question", "quiet", "unknown")
    if ratio > 1:
        return Look("alert", "bad", "over SLO")
    return (
        Look("clock", "warn", "close to SLO") if ratio >= 0.8 else Look("check", "good", "in SLO")
    )
