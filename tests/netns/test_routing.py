"""Routers: from network to network on one host and between two, both families.

    a1 (h1) -- net a, 1450 --.                    .-- net c -- c2 (h2)
                              router x -- net b --+
                                        1400      router y
                         b1 (h1), b2 (h2) --'
"""

import concurrent.futures
import json
import subprocess

import pytest

from namespaces import wait_for

# Where probes end: one UDP datagram a TTL, and who said what about it (socket errors, RFC 3542).
TRACE = """
import json, select, socket, struct, sys
to, family = sys.argv[1], socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
level, ttl_option, error_option = (41, 16, 25) if family == socket.AF_INET6 else (0, 2, 11)
hops = []
for ttl in range(1, 12):
    probe = socket.socket(family, socket.SOCK_DGRAM)
    probe.setsockopt(level, ttl_option, ttl)
    probe.setsockopt(level, error_option, 1)
    probe.sendto(b"x" * 20, (to, 33434 + ttl))
    waiting = select.poll()
    waiting.register(probe, 0)
    if not waiting.poll(3000):
        hops.append(None)
        continue
    _, messages, _, _ = probe.recvmsg(200, 500, socket.MSG_ERRQUEUE)
    data = next(data for where, kind, data in messages if (where, kind) == (level, error_option))
    kind, code = data[5], data[6]
    who = socket.inet_ntop(family, data[24:40] if family == socket.AF_INET6 else data[20:24])
    hops.append([who, kind, code])
    if who == to:
        break
print(json.dumps(hops))
"""


def trace(workload, to):
    return [hop and hop[0] for hop in json.loads(workload.run("/usr/bin/python3", "-c", TRACE, to))]


def router(api, name, *subnets):
    made = api.post("/v2.0/routers", {"router": {"name": name}})["router"]
    for subnet in subnets:
        api.put(f"/v2.0/routers/{made['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    return made


class World:
    def __init__(self, lab, **ports):
        api = lab.api
        self.ports = ports
        self.lab, self.api = lab, api
        self.networks, self.v4, self.v6 = {}, {}, {}
        for number, (name, mtu) in enumerate((("a", 1450), ("b", 1400), ("c", 1450)), 1):
            self.networks[name] = api.network(name, mtu=mtu)
            self.v4[name] = api.subnet(self.networks[name], f"10.{number}.0.0/24")
            self.v6[name] = api.subnet(self.networks[name], f"fd0{number}::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac")
        self.x = router(api, "x", self.v4["a"], self.v6["a"], self.v4["b"], self.v6["b"])
        self.y = router(api, "y", self.v4["c"], self.v6["c"])
        # On net b the second router has addresses of its own: the gateway's are x's.
        port = api.port(self.networks["b"], fixed_ips=[{"subnet_id": self.v4["b"]["id"], "ip_address": "10.2.0.2"},
                                                       {"subnet_id": self.v6["b"]["id"]}])
        self.y_on_b = {4: "10.2.0.2", 6: next(f["ip_address"] for f in port["fixed_ips"] if ":" in f["ip_address"])}
        api.put(f"/v2.0/routers/{self.y['id']}/add_router_interface", {"port_id": port["id"]})
        api.put(f"/v2.0/routers/{self.x['id']}", {"router": {"routes": [
            {"destination": "10.3.0.0/24", "nexthop": self.y_on_b[4]}, {"destination": "fd03::/64", "nexthop": self.y_on_b[6]}]}})
        api.put(f"/v2.0/routers/{self.y['id']}", {"router": {"routes": [
            {"destination": "10.1.0.0/24", "nexthop": "10.2.0.1"}, {"destination": "fd01::/64", "nexthop": "fd02::1"}]}})
        self.workloads = {name: self.workload(name[0], lab.hosts[int(name[1]) - 1]) for name in ("a1", "b1", "b2", "c2")}
        api.wait_active(*(w.port for w in self.workloads.values()))

    def workload(self, name, host):
        network = self.networks[name]
        made = self.lab.workload(self.api.port(network, host, **self.ports), host, mtu=network["mtu"])
        made.run("ip", "route", "add", "default", "via", self.v4[name]["gateway_ip"])
        made.run("ip", "-6", "route", "add", "default", "via", self.v6[name]["gateway_ip"])
        return made

    def address(self, name, version):
        return next(f["ip_address"] for f in self.workloads[name].port["fixed_ips"] if (":" in f["ip_address"]) == (version == 6))


    def wait(self):
        for to in ("b1", "b2", "c2"):
            for version in (4, 6):
                self.workloads["a1"].wait_ping(self.address(to, version))
        return self


@pytest.fixture(scope="module")
def world(three_hosts):
    return World(three_hosts).wait()


def fragments_and_all(workload, to, size):
    return all(" 0% packet loss" in workload.run("ping", "-n", "-c", "1", "-W", "30", "-M", "dont", "-s", size, to, check=False) for _ in range(2))


def test_routers_join_networks(world):
    a1, b1, c2 = (world.workloads[name] for name in ("a1", "b1", "c2"))
    for to in ("b1", "b2", "c2"):
        for version in (4, 6):
            assert a1.ping(world.address(to, version), 5) == 5
    # Routers answer by each of their addresses, and by the link-local one.
    for address in ("10.1.0.1", "10.2.0.1", world.y_on_b[4], "10.3.0.1", "fd01::1", "fd02::1", world.y_on_b[6], "fd03::1"):
        assert a1.ping(address, 2) == 2, address
    ports = world.api.get(f"/v2.0/ports?device_id={world.x['id']}&network_id={world.networks['a']['id']}")["ports"]
    mac = next(port["mac_address"] for port in ports if ":" in port["fixed_ips"][0]["ip_address"])
    digits = [int(part, 16) for part in mac.split(":")]
    link_local = "fe80::%x:%xff:fe%02x:%x" % (((digits[0] ^ 2) << 8) | digits[1], digits[2], digits[3], (digits[4] << 8) | digits[5])
    assert a1.ping(f"{link_local}%eth0", 2) == 2

    # A TCP stream both ways, with segments that are cut late.
    for client, server, address in ((a1, c2, world.address("c2", 4)), (c2, a1, world.address("a1", 6))):
        with server.popen("/usr/bin/python3", "-c", "import socket\n"
                          f"s = socket.create_server(('', 8000), family=socket.{'AF_INET6' if ':' in address else 'AF_INET'})\n"
                          "print('ready', flush=True)\nc, _ = s.accept()\nn = 0\n"
                          "while n < 3000000: n += len(c.recv(65536))\nc.sendall(b'x' * 3000000)", stdout=subprocess.PIPE) as process:
            assert process.stdout.readline()
            got = client.run("/usr/bin/python3", "-c", "import socket\n"
                             f"c = socket.create_connection(('{address}', 8000), 60)\nc.sendall(b'y' * 3000000)\nn = 0\n"
                             "while True:\n    d = c.recv(65536)\n    n += len(d)\n    if not d: break\nprint(n)")
            assert int(got) == 3000000
    assert b1.ping(world.address("a1", 4), 3) == 3


def test_every_size_around_the_smallest_mtu_passes(three_hosts):
    """Whole, as fragments of the sender, and cut by the router, to a workload of the same host and to another."""
    world = World(three_hosts, port_security_enabled=False).wait()
    a1 = world.workloads["a1"]
    for to, version, header in (("b1", 4, 28), ("c2", 4, 28), ("b1", 6, 48), ("c2", 6, 48)):
        address = world.address(to, version)
        # Both sides learn the path MTU, also the one that only answers.
        for sender, target in ((a1, address), (world.workloads[to], world.address("a1", version))):
            sender.run("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", 1450 - header, target, check=False)
            wait_for(lambda: "mtu 1400" in sender.run("ip", "route", "get", target) or to == "b1" and sender is not a1,
                     f"the path MTU to {target}", 5)
        for size in (1400 - header + more for more in (-8, -1, 0, 1, 7, 8, 9)):
            assert fragments_and_all(a1, address, size), f"{size} bytes to {address}"


def test_a_trace_shows_the_routers(world):
    a1, c2 = world.workloads["a1"], world.workloads["c2"]
    assert trace(a1, world.address("c2", 4)) == ["10.1.0.1", world.y_on_b[4], world.address("c2", 4)]
    assert trace(a1, world.address("c2", 6)) == ["fd01::1", world.y_on_b[6], world.address("c2", 6)]
    assert trace(c2, world.address("a1", 4)) == ["10.3.0.1", "10.2.0.1", world.address("a1", 4)]
    # A port of the router itself, and one that refuses.
    assert trace(a1, "10.3.0.1") == ["10.1.0.1", "10.3.0.1"]
    refused = a1.run("/usr/bin/python3", "-c", "import socket\ntry: socket.create_connection(('10.1.0.1', 22), 3)\n"
                     "except ConnectionRefusedError: print('refused')")
    assert "refused" in refused


def test_workloads_learn_the_router_from_its_advertisements(world):
    a1 = world.workloads["a1"]
    a1.run("ip", "-6", "route", "del", "default")
    a1.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1", "net.ipv6.conf.eth0.router_solicitation_delay=0")
    a1.run("ip", "link", "set", "eth0", "down")
    a1.run("ip", "link", "set", "eth0", "up")
    wait_for(lambda: "default via fe80::" in a1.run("ip", "-6", "route"), "a default route by advertisement")
    a1.wait_ping(world.address("c2", 6))
    a1.run("ip", "-6", "neigh", "flush", "dev", "eth0")
    assert a1.ping(world.address("c2", 6), 3) == 3
    a1.run("ip", "route", "add", "default", "via", "10.1.0.1")  # Went with the link.
    assert "default via fe80::" in a1.run("ip", "-6", "route")  # The router still says that it is one.


def test_address_scopes_are_not_routed_into_each_other(world):
    """Networks a and b enter address scopes, by subnet pools that take their IPv4 subnets in; IPv6 stays in none."""
    api, a1, to_b = world.api, world.workloads["a1"], world.address("b2", 4)

    def scope(name):
        return api.post("/v2.0/address-scopes", {"address_scope": {"name": name, "ip_version": 4}})["address_scope"]["id"]

    def pool(name, prefix, scope_id):
        made = api.post("/v2.0/subnetpools", {"subnetpool": {"name": name, "prefixes": [prefix], "address_scope_id": scope_id}})["subnetpool"]
        api.put(f"/v2.0/subnetpools/{made['id']}/onboard_network_subnets", {"network_id": world.networks[name]["id"]})
        return f"/v2.0/subnetpools/{made['id']}"

    def drops():
        return world.lab.hosts[0].drops(a1.port).get("address_scope", 0)
    one, two = scope("one"), scope("two")
    of_a = pool("a", "192.168.1.0/24", one)
    wait_for(lambda: not a1.ping(to_b, wait=1) and drops(), "nothing to pass from a scope to none")
    of_b = pool("b", "192.168.2.0/24", one)
    a1.wait_ping(to_b)
    assert a1.ping("10.2.0.1", 1) == 1 and a1.ping(world.address("b2", 6), 2) == 2
    api.put(of_b, {"subnetpool": {"address_scope_id": two}})
    before = drops()
    wait_for(lambda: not a1.ping(to_b, wait=1) and drops() > before, "nothing to pass between two scopes")
    assert a1.ping(world.address("b2", 6), 2) == 2
    for path in (of_a, of_b):
        api.put(path, {"subnetpool": {"address_scope_id": None}})
    a1.wait_ping(to_b)


def test_changes_of_routers(world):
    a1 = world.workloads["a1"]
    to_b, to_c = world.address("b2", 4), world.address("c2", 4)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(a1.ping, to_b, 1500, interval=0.002, wait=60)
        # Routes that others use come and go: what has nothing to do with them loses nothing.
        for _ in range(3):
            world.api.put(f"/v2.0/routers/{world.x['id']}", {"router": {"routes": []}})
            wait_for(lambda: not a1.ping(to_c, wait=1), "the route to go")
            world.api.put(f"/v2.0/routers/{world.x['id']}", {"router": {"routes": [{"destination": "10.3.0.0/24", "nexthop": world.y_on_b[4]}]}})
            a1.wait_ping(to_c)
    assert load.result() == 1500
    world.api.put(f"/v2.0/routers/{world.x['id']}", {"router": {"admin_state_up": False}})
    wait_for(lambda: not a1.ping(to_b, wait=1) and world.lab.hosts[0].drops(a1.port).get("router_down"), "the router to be down")
    world.api.put(f"/v2.0/routers/{world.x['id']}", {"router": {"admin_state_up": True}})
    a1.wait_ping(to_b)
    world.api.put(f"/v2.0/routers/{world.x['id']}", {"router": {"routes": []}})
    world.api.put(f"/v2.0/routers/{world.x['id']}/remove_router_interface", {"subnet_id": world.v4["b"]["id"]})
    wait_for(lambda: not a1.ping(to_b, wait=1), "the interface to be gone")
