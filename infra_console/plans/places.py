"""Places of the console's own, in no cluster: where it keeps what it searches, such as an index.

A lock, a step and its target name one where the cluster's name would stand. A plan there is
approved, frozen, locked, stopped, verified and taken back like any other. No API server stands
behind it to which somebody else could write: it is not armed and has no Lease. No cluster's name
can look like one, for the fleet file allows no colon there.
"""

OWN = "own:"
LONGEST = 63  # as a cluster's name is stored


def own_place(domain: str, name: str) -> str:
    """The place of a domain's object; the longest names share one, so they wait for each other."""
    return f"{OWN}{domain}/{name}"[:LONGEST]


def is_own(place: str) -> bool:
    return place.startswith(OWN)
