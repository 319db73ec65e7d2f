"""Why the compute domain could not do what was asked; each says what still holds."""


class NoFleet(Exception):
    """No fleet file has been applied yet."""

    def __init__(self) -> None:
        super().__init__(
            "No fleet is configured yet: write a fleet file (docs/connect.md) and run "
            "`manage.py fleet_apply FILE`."
        )


class CycleRunning(Exception):
    """Another cycle is at work; it goes on, and the next may start when it ends."""

    def __init__(self) -> None:
        super().__init__("A cycle is already running; its plans appear when it ends.")


class ObservationRunning(Exception):
    """Another look at the fleet is at work; what it sees is kept when it ends."""

    def __init__(self) -> None:
        super().__init__("The fleet is being looked at already.")


class ReasonMissing(Exception):
    """A standing policy changes only with a reason, which is kept."""

    def __init__(self) -> None:
        super().__init__("Say why: the reason is kept with the policy. Nothing was changed.")


class RulesInvalid(Exception):
    """Adoption rules cannot be used; those before still hold."""


class NothingToLookAt(Exception):
    """Neither a metric source nor a kubeconfig was named."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing to look at: name a Prometheus (--prometheus URL) or a kubeconfig "
            "(--kubeconfig FILE), or apply a fleet file with sources."
        )


class NotAllowed(Exception):
    """The person lacks a right; the message names it and who holds it."""


class EventInvalid(Exception):
    """An event of the calendar cannot be kept; those before still stand."""
