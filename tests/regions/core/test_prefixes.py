"""The books on who holds which beginning, against a plain model of them."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from regions.core.prefixes import PrefixIndex

REGIONS, CAPACITY = 3, 5
# Chains as a tree makes them: each block stands for everything before it.
CHAINS = st.lists(st.integers(0, 2), min_size=1, max_size=4).map(
    lambda path: [hash(tuple(path[: i + 1])) for i in range(len(path))]
)
ACTS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "forget"]), st.integers(0, 2), CHAINS),
    max_size=40,
)


@given(ACTS, CHAINS)
def test_depths_and_copies_are_those_of_a_plain_lru_of_each_region(acts, asked):
    index = PrefixIndex(REGIONS, [CAPACITY] * REGIONS)
    held = [OrderedDict() for _ in range(REGIONS)]
    for verb, region, chain in acts:
        if verb == "forget":
            index.forget(region)
            held[region].clear()
            continue
        index.add(region, chain)
        for block in chain:
            held[region].pop(block, None)
            held[region][block] = None
        while len(held[region]) > CAPACITY:
            held[region].popitem(last=False)
    wanted = []
    for region in held:
        depth = 0
        while depth < len(asked) and asked[depth] in region:
            depth += 1
        wanted.append(depth)
    assert index.depths(asked, REGIONS) == wanted
    assert index.copies(asked[0]) == sum(asked[0] in region for region in held)
