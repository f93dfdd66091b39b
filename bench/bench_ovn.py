"""As 'everything', against OVN with Open vSwitch's user-space datapath: routed, access lists of 100 rules on each port."""

import paths_ovn
import paths_routed
from comparison import compare

OVS_GOALS = {"tcp1": (">=", 10), "tcp4": (">=", 10), "kpps": (">=", 4), "cps": (">=", 3)}
GOALS = {("weft", "ovn"): OVS_GOALS, ("weft2", "ovn2"): OVS_GOALS}
TITLES = {"weft": "same host, everything", "weft2": "two hosts, everything"}


def bench(n_rounds, seconds):
    makers = {"ovn": paths_ovn.ovn, "weft": paths_routed.weft, "ovn2": paths_ovn.ovn2, "weft2": paths_routed.weft2}
    return compare("ovn", makers, GOALS, TITLES, n_rounds, seconds)
