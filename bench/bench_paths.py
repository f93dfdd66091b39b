"""Packets: weft against a bare veth pair, a Linux bridge, the bridge with a stateful firewall, Open vSwitch in user space and,
over two hosts, the kernel's VXLAN with a bridge.  One L2 network, no rules of ours."""

import paths
from comparison import compare

GOALS = {
    ("weft", "veth"): {"tcp1": (">=", 0.97), "tcp4": (">=", 0.97), "p50": ("<=", 1.12), "cpu": ("<=", 1.20)},
    ("weft", "bridge"): {},
    ("weft", "nftables"): {"p50": ("<=", 0.85), "cpu": ("<=", 0.58)},
    ("weft", "ovs"): {"tcp1": (">=", 10), "tcp4": (">=", 10), "kpps": (">=", 4), "cps": (">=", 3)},
    ("weft2", "vxlan"): {"tcp1": (">=", 1.0), "tcp4": (">=", 1.0), "cpu": ("<=", 0.55), "kpps": (">=", 1.8), "p50": ("<=", 0.75),
                         "cps": (">=", 1.3)},
}
TITLES = {"weft": "same host", "weft2": "two hosts"}


def bench(n_rounds, seconds):
    makers = {"veth": paths.veth, "bridge": paths.bridge, "nftables": paths.nftables, "ovs": paths.ovs, "vxlan": paths.vxlan,
              **paths.OURS}
    return compare("paths", makers, GOALS, TITLES, n_rounds, seconds)
