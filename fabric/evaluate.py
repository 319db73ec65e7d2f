"""Measuring the fabric against single stores on one folder, in this process.

Half of the queries tunes, the other half is reported. Every single store of the grid is tuned as
the fabric is: the least effort whose recall reaches the target by its lower bound. Times are of the
search alone, the question's embedding left out; methods take turns on each query in random order,
so that a busy moment of the machine meets all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np

from fabric.core.fuse import candidates, fuse
from fabric.core.measures import ndcg_at, ratio_interval, recall_lower
from fabric.core.points import EXACT, Point, cheapest, strongest
from fabric.core.route import Ask, StoreView, choose_route
from fabric.core.scope import Scope
from fabric.core.vectors import Vectors
from fabric.errors import StoreError
from fabric.measure import LIMIT_MS, K, measured, search_with
from fabric.ports import Batch, IndexSpec, VectorStore
from fabric.truth import Truth

METHODS = ("default_hnsw", "best_single", "broadcast", "fabric")
DEFAULT = "faiss_m16"
CLIENTS = (1, 16)
ROUNDS = 5
SLOWEST_MS = 1_000.0
Method = Callable[[Vectors], list[int]]


@dataclass(frozen=True, slots=True)
class Variant:
    """A store of the grid: its name there, the store, and how it is built."""

    name: str
    store: VectorStore
    spec: IndexSpec


@dataclass(frozen=True, slots=True)
class Question:
    """A query's vector and its labels, gains by row of the truth."""

    vector: Vectors
    gains: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all methods are measured on."""

    truth: Truth
    scope: Scope
    variants: Mapping[str, Variant]
    grid: Mapping[str, tuple[Point, ...]]
    target: float


def evaluate(
    truth: Truth, questions: Sequence[Question], variants: Sequence[Variant], *,
    target: float, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The report: grid, methods, results by method and number of clients, ratios.

    Args:
        variants: of which `faiss_m16` is the default store; one that fails is named and left out.

    Raises:
        StoreError: the default store itself cannot be used.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(questions))
    tuning = [questions[i] for i in order[::2]]
    reported = [questions[i] for i in order[1::2]]
    bench, unavailable = _bench(truth, variants, [q.vector for q in tuning], target)
    try:
        plans = _plans(bench)
        methods = {name: _method(bench, asks) for name, asks in plans.items()}
        methods["fabric"] = _routed(bench)
        results, times = _results(bench, methods, plans, reported, rng)
    finally:
        for variant in bench.variants.values():
            variant.store.drop(variant.spec)
    return {
        "queries": {"tuning": len(tuning), "reported": len(reported)},
        "target_recall": target,
        "grid": {name: [asdict(p) for p in points] for name, points in bench.grid.items()},
        "methods": {n: [[a.store, a.effort] for a in asks] for n, asks in plans.items()},
        "unavailable": unavailable,
        "results": results,
        "ratios": {
            f"vs_{short}": ratio_interval(times["fabric"], times[name], seed=seed)
            for short, name in (("default", "default_hnsw"), ("best_single", "best_single"),
                                ("broadcast", "broadcast"))
        },
        "ndcg_at_10_exact": _ndcg(truth, reported, [
            [int(i) for i in truth.exact(q.vector, K, bench.scope)[0]] for q in reported
        ]),
    }  # fmt: skip


def _bench(
    truth: Truth, variants: Sequence[Variant], queries: Sequence[Vectors], target: float
) -> tuple[Bench, dict[str, str]]:
    """Build and tune the grid; what cannot be used is left out with its reason."""
    grid: dict[str, tuple[Point, ...]] = {}
    unavailable: dict[str, str] = {}
    for variant in variants:
        try:
            variant.store.drop(variant.spec)
            variant.store.create(variant.spec)
            names = truth.partitions.tolist()
            variant.store.add(variant.spec, Batch(truth.ids, truth.vectors, names))
            variant.store.build(variant.spec)
            points = measured(variant.store, variant.spec, truth, queries)
        except StoreError as err:
            if variant.name == DEFAULT:
                raise
            unavailable[variant.name] = f"{err.state}: {err.problem}"
            continue
        grid[variant.name] = tuple(
            Point(variant.name, p.effort, p.recall, p.recall_lower, p.mean_ms, p.p50_ms, p.p95_ms,
                  p.queries)
            for p in points
        )  # fmt: skip
    used = {v.name: v for v in variants if v.name in grid}
    scope = Scope(frozenset(truth.partitions.tolist()))
    return Bench(truth, scope, used, grid, target), unavailable


def _plans(bench: Bench) -> dict[str, list[Ask]]:
    """What each method asks of whom."""
    tuned = {name: _tuned(points, bench.target) for name, points in bench.grid.items()}
    # The default user runs the index they built: its exact scan is no effort of theirs.
    default = _tuned([p for p in bench.grid[DEFAULT] if p.effort != EXACT], bench.target)
    best = _tuned([p for points in bench.grid.values() for p in points], bench.target)
    route = choose_route(_views(bench), bench.scope, target=bench.target, limit_ms=SLOWEST_MS)
    return {
        "default_hnsw": [Ask(DEFAULT, default.effort)],
        "best_single": [Ask(best.store, best.effort)],
        "broadcast": [Ask(name, point.effort) for name, point in tuned.items()],
        "fabric": list(route.asks),
    }


def _tuned(points: Sequence[Point], target: float) -> Point:
    found = cheapest(points, target=target) or strongest(points, limit_ms=LIMIT_MS)
    return found or points[-1]


def _views(bench: Bench) -> list[StoreView]:
    return [StoreView(name, points) for name, points in bench.grid.items()]


def _method(bench: Bench, asks: Sequence[Ask]) -> Method:
    if len(asks) == 1:
        return lambda query: _search(bench, asks[0], query)
    threads = ThreadPoolExecutor(16)

    def together(query: Vectors) -> list[int]:
        answers = list(threads.map(lambda item: _search(bench, item, query), asks))
        return _fused(bench, query, {a.store: ids for a, ids in zip(asks, answers, strict=True)})

    return together


def _routed(bench: Bench) -> Method:
    """The fabric as it serves: it chooses on each question, asks, and ranks by exact distance."""
    views = _views(bench)

    def ask(query: Vectors) -> list[int]:
        route = choose_route(views, bench.scope, target=bench.target, limit_ms=SLOWEST_MS)
        return _fused(bench, query, {a.store: _search(bench, a, query) for a in route.asks})

    return ask


def _search(bench: Bench, asked: Ask, query: Vectors) -> list[int]:
    variant = bench.variants[asked.store]
    found = search_with(
        variant.store, variant.spec, query, K,
        effort=asked.effort, scope=bench.scope, limit_ms=LIMIT_MS,
    )  # fmt: skip
    return [int(i) for i in found.ids]


def _fused(bench: Bench, query: Vectors, found: Mapping[str, Sequence[int]]) -> list[int]:
    ids = candidates(found.values())
    distances = dict(zip(ids, bench.truth.distances(query, ids), strict=True))
    return [ranked.id for ranked in fuse(found, distances, K)]


def _results(
    bench: Bench, methods: Mapping[str, Method], plans: Mapping[str, Sequence[Ask]],
    reported: Sequence[Question], rng: np.random.Generator,
) -> tuple[dict[str, Any], dict[str, list[float]]]:  # fmt: skip
    walls = {name: np.zeros((ROUNDS, len(reported))) for name in methods}
    spent = dict.fromkeys(methods, 0.0)
    answers: dict[str, list[list[int]]] = {name: [[] for _ in reported] for name in methods}
    for turn in range(ROUNDS):
        for i, question in enumerate(reported):
            for name in rng.permutation(list(methods)).tolist():
                cpu, start = process_time(), perf_counter()
                answers[name][i] = methods[name](question.vector)
                walls[name][turn, i] = 1e3 * (perf_counter() - start)
                spent[name] += 1e3 * (process_time() - cpu)
    results = {}
    for name, method in methods.items():
        ours = not any(a.store.startswith("pgvector") for a in plans[name])
        quality = _quality(bench, reported, answers[name])
        crowd, busy = _crowded(method, reported)
        alone = spent[name] / walls[name].size
        results[name] = {
            "1": quality | _times(walls[name].ravel(), alone if ours else None),
            "16": quality | _times(crowd, busy if ours else None),
        }
    return results, {name: wall.mean(axis=0).tolist() for name, wall in walls.items()}


def _crowded(method: Method, reported: Sequence[Question]) -> tuple[Any, float]:
    """Wall times with sixteen clients at once, and the processor's time for each question."""

    def timed(question: Question) -> float:
        start = perf_counter()
        method(question.vector)
        return 1e3 * (perf_counter() - start)

    cpu = process_time()
    with ThreadPoolExecutor(CLIENTS[1]) as clients:
        walls = np.array(list(clients.map(timed, [*reported] * ROUNDS)))
    return walls, 1e3 * (process_time() - cpu) / len(walls)


def _times(walls: Any, cpu_ms: float | None) -> dict[str, float | None]:
    """The processor's time is unknown where another process does the search."""
    p50, p95 = np.percentile(walls, [50, 95])
    return {
        "mean_ms": float(np.mean(walls)), "p50_ms": float(p50), "p95_ms": float(p95),
        "cpu_ms": cpu_ms,
    }  # fmt: skip


def _quality(
    bench: Bench, reported: Sequence[Question], answers: Sequence[Sequence[int]]
) -> dict[str, float | None]:
    recalls = [
        bench.truth.recall(question.vector, answer, K, bench.scope) or 0.0
        for question, answer in zip(reported, answers, strict=True)
    ]
    return {
        "recall_at_10": float(np.mean(recalls)),
        "recall_at_10_lower": recall_lower(recalls, K),
        "ndcg_at_10": _ndcg(bench.truth, reported, answers),
    }


def _ndcg(
    truth: Truth, reported: Sequence[Question], answers: Sequence[Sequence[int]]
) -> float | None:
    """Mean over the labelled queries; None where no query has labels."""
    scores = [
        ndcg_at(K, [str(i) for i in answer], question.gains)
        for question, answer in zip(reported, answers, strict=True)
    ]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None
