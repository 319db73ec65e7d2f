"""Joins the serving units of one model in one cluster to replicas of its event simulation.

A unit (a pod, or a whole group) is a replica from the moment all its pods are ready; one with a pod
being deleted drains; one with a pod that is gone, not ready any more or on a dead node is lost, and
its requests go back to the queue. Counters belong to its lead and vanish with it. A group is as
fast as the model's profile says, whatever its size. The kernel's clock counts seconds from
`started_s`, a Unix time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from tiers.core.simulate.arrivals import poisson_requests
from tiers.core.simulate.errors import NoPlaceForReplica
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.core.simulate.serving import Service
from tiers.twin.lengths import LENGTHS
from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.request_book import RequestBook
from tiers.twin.serving_units import ServingUnit

MAX_REPLICAS, MAX_REPLICAS_PER_SIZE = 48, 12
# A twin that slept longer than this does not make up for the requests it missed.
CATCH_UP_S = 60.0
# A gateway refuses what several groups could not begin within a minute.
QUEUE_S = 60.0
QUEUE_GROUPS = 4


@dataclass
class Replica:
    """A unit at work: its place in the kernel and what it did in the last tick (shares 0 to 1)."""

    unit: ServingUnit
    place: int
    busy: float = 0.0
    tensor: float = 0.0
    memory: float = 0.0
    seen: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass
class ServedModelReplicas:
    """The live simulation of one model in one cluster."""

    model: str
    rng: np.random.Generator
    started_s: float
    size: int = 1
    service: Service = field(init=False)
    book: RequestBook = field(init=False)
    replicas: dict[str, Replica] = field(default_factory=dict)
    offered: int = 0  # requests that came since the start, refused ones among them

    def __post_init__(self) -> None:
        limit = int(QUEUE_S * QUEUE_GROUPS * self.size * UNITS_PER_GROUP[self.model])
        costs = replace(SERVED_MODELS[self.model].costs(), queue_limit=limit)
        places = max(MAX_REPLICAS, MAX_REPLICAS_PER_SIZE * self.size)
        self.service = Service(costs, max_replicas=places)
        self.book = RequestBook(places)

    def tick(self, now_s: float, rate_rps: float, units: Iterable[ServingUnit]) -> None:
        """Follow the units, draw arrivals at one rate since the last tick, run to `now_s`."""
        self._follow({unit.lead.uid: unit for unit in units})
        until = now_s - self.started_s
        elapsed = until - self.service.now_s
        if elapsed <= 0.0:
            return
        arrivals = poisson_requests(
            self.rng, LENGTHS[self.model], rate_rps, until - min(elapsed, CATCH_UP_S), until
        )
        self.offered += len(arrivals)
        self.book.add(self.service.advance(until, arrivals))
        for replica in self.replicas.values():
            self._book(replica, elapsed)

    def _follow(self, units: dict[str, ServingUnit]) -> None:
        for uid, replica in list(self.replicas.items()):
            unit = units.get(uid)
            if unit is None or not unit.whole:
                self.service.lose_replica(replica.place)
            elif unit.leaving:
                self.service.drain_replica(replica.place)
            if not self.service.present(replica.place):
                del self.replicas[uid]
            elif unit is not None:
                replica.unit = unit
        for uid, unit in units.items():
            if unit.whole and not unit.leaving and uid not in self.replicas:
                self._join(unit)

    def _join(self, unit: ServingUnit) -> None:
        try:
            place = self.service.add_replica()
        except NoPlaceForReplica:
            # The unit stays without traffic, as one beyond a router's limit would.
            return
        self.book.clear(place)
        self.replicas[unit.lead.uid] = Replica(unit, place)

    def reset_counters(self) -> None:
        """Counters and histograms begin at zero; requests in flight go on."""
        self.service.reset_counters()
        for replica in self.replicas.values():
            self.book.clear(replica.place)
            replica.seen = (replica.seen[0], 0.0, 0.0)

    def _book(self, replica: Replica, elapsed_s: float) -> None:
        """GPU activity since the last tick, from what the kernel says it did."""
        model, a, i = SERVED_MODELS[self.model], self.service.arrays, replica.place
        now = (float(a.busy_s[i]), float(a.prompt_tokens[i]), float(a.output_tokens[i]))
        busy, prompt, output = (new - old for new, old in zip(now, replica.seen, strict=True))
        replica.seen = now
        # A plan's last iteration is booked when it ends, so a tick may hold a little more than one.
        share = min(1.0, busy / elapsed_s)
        flops = 2.0 * model.parameters * (prompt + output) / elapsed_s
        # The host's part of an iteration shrinks as batches grow: prompts and sequences run on GPU.
        prompt_s = prompt * self.service.costs.per_prompt_token_s / elapsed_s
        replica.busy = share - model.host_share * max(0.0, share - prompt_s)
        gpus = replica.unit.gpus or model.gpus
        replica.tensor = min(1.0, flops / (gpus * model.peak_flops))
        replica.memory = min(1.0, model.memory_share * share)
