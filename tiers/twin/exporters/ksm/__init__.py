"""kube-state-metrics of one cluster, from its API objects: a module for each kind of object.

As if started with --metric-labels-allowlist for the node labels in `nodes` and the pods' job name;
what else is opt-in there (annotations, other labels, pods' node selectors) is left out here too.
"""

from tiers.twin.exporters.ksm.render import render_ksm
from tiers.twin.exporters.ksm.values import quantity, sanitise

__all__ = ["quantity", "render_ksm", "sanitise"]
