"""Out to the world by source translation: weft, with 100 rules on the port, against the kernel's routing with nftables' masquerade."""

import paths
import paths_routed
from comparison import compare

GOALS = {
    ("weft", "masquerade"): {"cpu": ("<=", 0.85), "cps": (">=", 1.15)},
    ("weft", "masquerade_rules"): {},
    ("weft", "veth"): {},
}


def bench(n_rounds, seconds):
    makers = {"veth": paths.veth, "masquerade": paths_routed.masquerade, "masquerade_rules": paths_routed.masquerade_rules,
              "weft": paths_routed.weft_snat}
    return compare("snat", makers, GOALS, {"weft": "SNAT"}, n_rounds, seconds)
