"""What can go wrong in a simulation."""


class SimulationError(Exception):
    """Base of this package's errors; the simulated state is unchanged when one is raised."""


class NoPlaceForReplica(SimulationError):
    """Every replica place of the service is taken."""

    def __init__(self, places: int) -> None:
        super().__init__(f"all {places} replica places are taken")


class NotAscending(SimulationError):
    """Time or arrivals would run backwards."""

    def __init__(self, now_s: float, until_s: float) -> None:
        super().__init__(f"arrivals must be sorted and lie between {now_s} s and {until_s} s")


class EmptyRequest(SimulationError):
    """A request that asks for nothing."""

    def __init__(self) -> None:
        super().__init__("every request needs at least one prompt token and one output token")


class SloOutOfReach(SimulationError):
    """Even an almost idle replica misses the latency objective."""

    def __init__(self, slo_ttft_p95_ms: float) -> None:
        super().__init__(f"no rate keeps p95 TTFT within {slo_ttft_p95_ms} ms")


class NoSuchGang(SimulationError):
    """A gang that does not run cannot be preempted."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} does not run")
