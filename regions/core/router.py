"""Which region serves a request: the global layer of content-aware routing.

Of the lawful regions that are known to live, the one with the least

    RTT + last mile + expected wait + uncached prefill + congestion price + surcharge   [ms]

The replica within the region is chosen there, with exact state. A conversation stays where it is
unless another region is better by `stick_ms`; a region is drained by raising its surcharge, at
infinity it gets nothing new. A router with no lawful, living, unfilled region refuses and says why.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf

from regions.core.cells import Cell, Load
from regions.core.errors import UnknownRegion
from regions.core.law import Refusal, Region, Residency, lawful
from regions.core.prefixes import PrefixIndex
from regions.core.rtt import LAST_MILE_MS, Pair, RoundTrip


@dataclass(frozen=True, slots=True)
class Policy:
    """The router's few numbers. Waits in seconds, prices in milliseconds of first-token time."""

    lost_after_s: float = 5.0  # a region without news for so long counts as lost
    longest_wait_s: float = 10.0  # where the wait is longer everywhere, a request is refused
    stick_ms: float = 30.0
    block_tokens: int = 256
    target_load: float = 0.8
    price_gain_ms: float = 100.0
    most_price_ms: float = 5_000.0
    most_copies: int = 4  # of a prefix; another one costs `copy_ms`
    copy_ms: float = 50.0
    last_mile_ms: float = LAST_MILE_MS
    sessions: int = 200_000


@dataclass(frozen=True, slots=True)
class Request:
    """What the router may know of a request. `blocks` are the prompt's chained block hashes."""

    origin: str  # the region where it entered
    model: str
    residency: Residency
    prompt_tokens: int
    blocks: Sequence[int] = ()
    session: str = ""

    def __post_init__(self) -> None:
        if self.prompt_tokens < 1:
            raise ValueError(f"a prompt has at least one token, not {self.prompt_tokens}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A region with what its first token is expected to take, part by part, in milliseconds."""

    region: str
    network_ms: float
    wait_ms: float
    prefill_ms: float
    price_ms: float  # congestion, surcharge and the price of one more copy
    cached_tokens: int
    stays: bool = False  # the conversation was there before

    @property
    def expected_ms(self) -> float:
        """Expected time to first token; prices steer and are not waited for."""
        return self.network_ms + self.wait_ms + self.prefill_ms


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region in an explanation: its parts, or why it was not considered."""

    region: str
    choice: Choice | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class _View:
    """All regions as one request sees them now; `i` is a region's place."""

    network: Sequence[float]
    cells: Sequence[Cell]
    depths: Sequence[int]
    home: int | None
    copy_ms: float
    tokens: int
    now_s: float
    policy: Policy

    def takes(self, i: int) -> bool:
        """Whether the region lives, as far as the news go, and is not closed."""
        cell = self.cells[i]
        fresh = cell.seen_s >= self.now_s - self.policy.lost_after_s
        return fresh and cell.surcharge_ms < inf

    def best(self, allowed: Sequence[int]) -> int | None:
        """The region with the least score; the first of equals. None: none takes requests.

        Written out, since this is most of a decision: `choice` names the same parts.
        """
        oldest_s, block = self.now_s - self.policy.lost_after_s, self.policy.block_tokens
        chosen, least = None, inf
        for i in allowed:
            cell = self.cells[i]
            if cell.seen_s < oldest_s:
                continue
            held = min(self.depths[i] * block, self.tokens - 1)
            seconds = (self.tokens - held) / cell.tokens_per_s + max(0.0, cell.empty_s - self.now_s)
            score = self.network[i] + 1e3 * seconds + cell.price_ms + cell.surcharge_ms
            if not held:
                score += self.copy_ms
            if i == self.home:
                score -= self.policy.stick_ms
            if score < least:
                chosen, least = i, score
        return chosen

    def choice(self, i: int, region: str) -> Choice:
        cell, policy = self.cells[i], self.policy
        held = min(self.depths[i] * policy.block_tokens, self.tokens - 1)
        return Choice(
            region=region,
            network_ms=self.network[i],
            wait_ms=1e3 * cell.wait_s(self.now_s),
            prefill_ms=1e3 * (self.tokens - held) / cell.tokens_per_s,
            price_ms=cell.price_ms + cell.surcharge_ms + (0.0 if held else self.copy_ms),
            cached_tokens=held,
            stays=i == self.home,
        )


class Router:
    """In-process state of one router. Not for several threads at once; the clock is an argument."""

    def __init__(
        self,
        regions: Sequence[Region],
        times: Mapping[Pair, RoundTrip],
        *,
        policy: Policy | None = None,
        cache_tokens: Mapping[str, int] | None = None,
    ) -> None:
        """`times` has every ordered pair; `cache_tokens` are each region's KV cache for a model."""
        self._regions = tuple(regions)
        self._place = {region.id: i for i, region in enumerate(regions)}
        self._policy = policy or Policy()
        self._network = {
            a.id: [
                self._policy.last_mile_ms + (0.0 if a is b else times[a.id, b.id].ms)
                for b in regions
            ]
            for a in regions
        }
        blocks = [(cache_tokens or {}).get(r.id, 0) // self._policy.block_tokens for r in regions]
        models = sorted(frozenset().union(*(r.models for r in regions)))
        self._cells = {model: [Cell() for _ in regions] for model in models}
        self._prefixes = {model: PrefixIndex(len(regions), blocks) for model in models}
        self._lawful: dict[tuple[str, Residency], tuple[int, ...] | Refusal] = {}
        self._sessions: OrderedDict[str, int] = OrderedDict()
        self._priced_s: float | None = None

    # --- what happens outside -----------------------------------------------------------------

    def observe(self, region: str, model: str, load: Load) -> None:
        """News of one model in one region.

        Raises:
            UnknownRegion: the router was not given it; nothing was changed.
        """
        self._cells[model][self._at(region)].observe(load)

    def lose(self, region: str) -> None:
        """The region is gone with its caches; nothing goes there until it is observed again."""
        place = self._at(region)
        for model, cells in self._cells.items():
            cells[place] = Cell(surcharge_ms=cells[place].surcharge_ms)
            self._prefixes[model].forget(place)

    def surcharge(self, region: str, ms: float) -> None:
        """Drain by price: dearer by so much; `inf` takes it out, 0 puts it back."""
        if not ms >= 0.0:
            raise ValueError(f"a surcharge is not negative: {ms}")
        place = self._at(region)
        for cells in self._cells.values():
            cells[place].surcharge_ms = ms

    def set_prices(self, now_s: float) -> None:
        """Move every congestion price by what has come since the last call."""
        last_s, self._priced_s = self._priced_s, now_s
        if last_s is None or now_s <= last_s:
            return
        policy = self._policy
        for cells in self._cells.values():
            for cell in cells:
                cell.set_price(
                    now_s - last_s, target=policy.target_load, gain_ms=policy.price_gain_ms,
                    most_ms=policy.most_price_ms,
                )  # fmt: skip

    # --- decisions ----------------------------------------------------------------------------

    def decide(self, request: Request, now_s: float) -> Choice | Refusal:
        """Choose a region and count the request there, or say why there is none.

        Raises:
            UnknownRegion: `origin` is not one of the router's regions.
        """
        allowed = self._allowed(request)
        if isinstance(allowed, Refusal):
            return allowed
        view = self._view(request, now_s)
        best = view.best(allowed)
        if best is None:
            return self._none_lives(request, allowed, now_s)
        choice = view.choice(best, self._regions[best].id)
        if choice.wait_ms > 1e3 * self._policy.longest_wait_s:
            return self._full(choice)
        self._send(request, choice, now_s)
        return choice

    def explain(self, request: Request, now_s: float) -> list[Candidate]:
        """Every region: what it would take, or why it is out. Changes nothing."""
        allowed = self._allowed(request)
        if isinstance(allowed, Refusal):
            return [Candidate(r.id, None, allowed.reason) for r in self._regions]
        view = self._view(request, now_s)
        parts = {i: view.choice(i, self._regions[i].id) for i in allowed if view.takes(i)}
        return [
            Candidate(region.id, parts.get(i), self._why_not(request, i, parts.get(i), now_s))
            for i, region in enumerate(self._regions)
        ]

    def _allowed(self, request: Request) -> tuple[int, ...] | Refusal:
        key = (request.model, request.residency)
        if key not in self._lawful:
            self._lawful[key] = lawful(self._regions, model=key[0], residency=key[1])
        return self._lawful[key]

    def _view(self, request: Request, now_s: float) -> "_View":
        if request.origin not in self._network:
            raise UnknownRegion(request.origin)
        index, policy = self._prefixes[request.model], self._policy
        copies = index.copies(request.blocks[0]) if request.blocks else 0
        return _View(
            network=self._network[request.origin],
            cells=self._cells[request.model],
            depths=index.depths(request.blocks, len(self._regions)),
            home=self._sessions.get(request.session),
            copy_ms=policy.copy_ms if copies >= policy.most_copies else 0.0,
            tokens=request.prompt_tokens,
            now_s=now_s,
            policy=policy,
        )

    def _send(self, request: Request, choice: Choice, now_s: float) -> None:
        place = self._place[choice.region]
        cell = self._cells[request.model][place]
        cell.send(now_s, request.prompt_tokens - choice.cached_tokens)
        self._prefixes[request.model].add(place, request.blocks)
        if request.session:
            self._sessions[request.session] = place
            self._sessions.move_to_end(request.session)
            if len(self._sessions) > self._policy.sessions:
                self._sessions.popitem(last=False)

    # --- why not ------------------------------------------------------------------------------

    def _none_lives(self, request: Request, allowed: Sequence[int], now_s: float) -> Refusal:
        said = "; ".join(
            f"{self._regions[i].id}: {self._why_not(request, i, None, now_s)}" for i in allowed
        )
        return Refusal("none-lives", f"no lawful region takes requests ({said})", retry_after_s=5.0)

    def _full(self, choice: Choice) -> Refusal:
        wait_s, most_s = choice.wait_ms / 1e3, self._policy.longest_wait_s
        return Refusal(
            "full",
            f"every lawful region has a queue of more than {most_s:.0f} s; "
            f"the best is {choice.region} with {wait_s:.1f} s",
            retry_after_s=wait_s - most_s,
        )

    def _why_not(self, request: Request, i: int, choice: Choice | None, now_s: float) -> str:
        if choice is not None:
            return ""
        region = self._regions[i]
        if request.model not in region.models:
            return f"does not host {request.model}"
        allowed = self._allowed(request)
        if isinstance(allowed, Refusal) or i not in allowed:
            return f"in {region.jurisdiction}, where the request may not be served"
        cell = self._cells[request.model][i]
        if isinf(cell.surcharge_ms):
            return "drained"
        if cell.seen_s == -inf:
            return "no news of it yet"
        return f"no news of it for {now_s - cell.seen_s:.0f} s"

    def _at(self, region: str) -> int:
        if region not in self._place:
            raise UnknownRegion(region)
        return self._place[region]
