"""For 'mn --custom': what mininet has not."""

from mininet.topo import Topo


class RingTopo(Topo):
    """'n' switches in a ring, a host at each."""

    def build(self, n=5):
        switches = [self.addSwitch(f"s{i + 1}") for i in range(n)]
        for i, switch in enumerate(switches):
            self.addLink(self.addHost(f"h{i + 1}"), switch)
            self.addLink(switch, switches[(i + 1) % n])


topos = {"ring": RingTopo}
