"""The fleet file that an adoption proposes, for an admin to edit and apply.

What no cluster tells is left out or stands as a comment with what to say there: a file that lacks
something is refused with the key's path, which is better than a number nobody stated.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tiers.core.adoption import Adoption, FoundPool
from tiers.core.adoption_rules import PRODUCT_LABELS, AdoptionRules, first_of, gpu_type_of
from tiers.core.adoption_use import HOLDING, Use
from tiers.core.inventory import Inventory

_NOT_SLUG = re.compile(r"[^a-z0-9_.-]+")


def fleet_proposal(
    found: Inventory,
    adoption: Adoption,
    rules: AdoptionRules,
    *,
    sources: Sequence[tuple[str, str]],
) -> str:
    """The document as TOML.

    Args:
        sources: (id, URL) of the metric sources to name; the first owns every cluster.
    """
    regions = _regions(adoption.uses)
    lines = ['schema = "fleet/1"', ""]
    for region in dict.fromkeys(regions.values()):
        lines += _region(region, rules)
    for use in adoption.uses:
        lines += _cluster(use, regions[use.cluster])
    lines += _source(sources, [slug(u.cluster) for u in adoption.uses])
    for pool in adoption.pools:
        lines += _pool(pool)
    for tier in ("inference", "training", "operational"):
        lines += _workload(tier, found, adoption, rules, list(dict.fromkeys(regions.values())))
    lines += ["[tiers]", f"label_key = {_text(rules.tier_label)}",
              f"namespaces = {_table(adoption.namespaces)}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def slug(name: str) -> str:
    """A name as the fleet file's ids are written."""
    return _NOT_SLUG.sub("-", name.lower()).strip("-_.")[:63] or "unnamed"


def _regions(uses: Iterable[Use]) -> dict[str, str]:
    """Each cluster's region id; a second cluster of a region gets one of its own, as a region may
    hold one cluster for now."""
    taken: set[str] = set()
    found = {}
    for use in uses:
        name = slug(use.region or f"region-of-{use.cluster}")
        if name in taken:
            name = slug(f"{name}-{use.cluster}")
        taken.add(name)
        found[use.cluster] = name
    return found


def _region(region: str, rules: AdoptionRules) -> Iterator[str]:
    yield from ("[[regions]]", f"id = {_text(region)}")
    facts = rules.regions.get(region)
    if facts is None:
        yield "# to say: place, latitude, longitude, jurisdiction (and utc_offset_hours)"
    else:
        for key, value in facts.model_dump().items():
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    yield ""


def _cluster(use: Use, region: str) -> Iterator[str]:
    yield from (
        "[[clusters]]",
        f"id = {_text(slug(use.cluster))}  # the label `cluster` of its series",
        f"context = {_text(use.cluster)}  # in the kubeconfig",
        f"region = {_text(region)}",
        "",
    )


def _source(sources: Sequence[tuple[str, str]], clusters: Sequence[str]) -> Iterator[str]:
    if not sources:
        yield from ("# to say: [[sources]] with id, url and clusters", "")
    for number, (name, url) in enumerate(sources):
        owned = ", ".join(map(_text, clusters)) if number == 0 else ""
        yield from (
            "[[sources]]", f"id = {_text(name)}", f"url = {_text(url)}", f"clusters = [{owned}]", ""
        )  # fmt: skip


def _pool(pool: FoundPool) -> Iterator[str]:
    whole = pool.gpu_type and pool.purchase and pool.memory_gib and pool.selector
    mark = "" if whole else "# "
    if not whole:
        yield f"# {pool.gpus} GPUs of {pool.cluster} lack a rule, see what could not be placed:"
    yield from (
        f"{mark}[[pools]]",
        f"{mark}id = {_text(pool.id)}",
        f"{mark}cluster = {_text(slug(pool.cluster))}",
        f"{mark}gpu_type = {_text(pool.gpu_type)}",
        f"{mark}purchase = {_text(pool.purchase)}",
        f"{mark}gpu_memory_gib = {pool.memory_gib or 0}",
        f"{mark}selector = {_table(pool.selector)}",
        "# usd_per_gpu_hour: unknown until you say it here or import a price book",
        "",
    )


def _workload(
    tier: str, found: Inventory, adoption: Adoption, rules: AdoptionRules, regions: Sequence[str]
) -> Iterator[str]:
    """One workload that stands for a tier's namespaces, in GPUs: what can be said without a load
    test. Group sizes are the commonest that run."""
    namespaces = sorted(n for n, t in adoption.namespaces.items() if t == tier)
    sizes = _sizes(found, set(namespaces), rules)
    if not namespaces or not sizes:
        return
    groups = "{ " + ", ".join(f"{_text(kind)} = {size}" for kind, size in sizes.items()) + " }"
    yield from (
        "[[workloads]]",
        f"id = {_text(tier)}",
        f"tier = {_text(tier)}",
        f"namespace = {_text(namespaces[0])}",
        'kind = "Namespace"',
        f"regions = [{', '.join(map(_text, regions))}]",
        f"group_gpus = {groups}",
        f"units_per_group = {groups}",
        'unit = "GPUs"',
        "# to say: shortfall_usd_per_unit_hour, what an hour of one GPU not served costs",
        "# served models: one [[workloads]] each, kind Deployment, units_per_group by a load test",
        "",
    )


def _sizes(found: Inventory, namespaces: set[str], rules: AdoptionRules) -> dict[str, int]:
    kinds = {
        (n.cluster, n.name): gpu_type_of(first_of(n.labels, PRODUCT_LABELS)[1], rules)
        for n in found.nodes
    }
    seen: dict[str, Counter[int]] = {}
    for pod in found.pods:
        kind = kinds.get((pod.cluster, pod.node), "")
        if kind and pod.gpus and pod.namespace in namespaces and pod.phase in HOLDING:
            seen.setdefault(kind, Counter())[pod.gpus] += 1
    return {kind: max(c, key=lambda size: (c[size], size)) for kind, c in sorted(seen.items())}


def _text(value: str) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(value, ensure_ascii=False)


def _table(values: Mapping[str, str]) -> str:
    inner = ", ".join(f"{_text(k)} = {_text(v)}" for k, v in sorted(values.items()))
    return f"{{ {inner} }}" if inner else "{}"
