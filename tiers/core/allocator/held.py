"""What a plan leaves as it is although something would gain by a change, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    region: str
    about: str  # "dwell" or "least gain"
    words: str


def least_gain(region: str, gain_usd: float, least_usd: float) -> Held:
    """A region that stays because what would change there gains too little."""
    text = f"held: what would change in {region} gains ${gain_usd:,.2f} over the horizon, "
    if gain_usd < least_usd:
        text += f"less than the ${least_usd:,.2f} that a change must gain"
    else:
        text += f"each group of it less than its share of the ${least_usd:,.2f} that a change must"
    return Held(region, "least gain", text)
