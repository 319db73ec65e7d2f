"""How long the requests of each served model are: assumed lognormal lengths in tokens."""

from tiers.core.simulate.arrivals import Lengths

LENGTHS: dict[str, Lengths] = {
    "chat-7b": Lengths(420.0, 0.9, 160.0, 0.7),
    "chat-13b": Lengths(480.0, 0.9, 180.0, 0.7),
    "code-34b": Lengths(1100.0, 0.8, 120.0, 0.8),
    "chat-70b": Lengths(900.0, 0.9, 230.0, 0.7),
    "chat-180b": Lengths(1000.0, 0.9, 260.0, 0.7),
    "chat-405b": Lengths(1200.0, 0.9, 300.0, 0.7),
}
