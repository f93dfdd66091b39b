"""Everything on: routed from network to network, stateful rules (100 on each port), counters; on one host and on two."""

import paths
import paths_routed
from comparison import compare

GOALS = {
    ("weft", "veth"): {"cpu": ("<=", 1.35), "cps": (">=", 0.85)},
    ("weft", "kernel"): {"cpu": ("<=", 0.64), "cps": (">=", 1.15)},
    ("weft2", "kernel2"): {"tcp1": (">=", 1.0), "tcp4": (">=", 1.0), "cpu": ("<=", 0.55), "kpps": (">=", 1.8), "p50": ("<=", 0.75),
                           "cps": (">=", 1.3)},
    ("weft2", "vxlan"): {},
}
TITLES = {"weft": "same host, everything", "weft2": "two hosts, everything"}


def bench(n_rounds, seconds):
    makers = {"veth": paths.veth, "kernel": paths_routed.kernel, "weft": paths_routed.weft, "vxlan": paths.vxlan,
              "kernel2": paths_routed.kernel2, "weft2": paths_routed.weft2}
    return compare("everything", makers, GOALS, TITLES, n_rounds, seconds)
