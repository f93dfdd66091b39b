"""Workloads reach the world outside, and are reached from there.

    outside: bridge 'world' 203.0.113.1/24 (and 198.51.100.7/32, further away)
        |up0 203.0.113.201          |up0
        h1 ------- underlay ------- h2 ---------- h3       physnet1:up0 on h1 and h2
        |up1                        |up1
    floor: bridge 'floor' 100.64.60.1/24, 100.64.60.2/24; physnet2:up1, a flat network that is no external one
        a1 (10.0.0.0/24)            b2            c3       router r, SNAT; a2 on h1 has a floating IP
        a1, b2 and c3 are members of a load balancer at 10.0.0.200, which has a floating IP

The uplink of h1 carries an address and a TCP session of the host itself, while the agent comes and goes."""

import http.client
import json
import signal
import socket
import sys
import threading

import pytest

from lab import Lab
from namespaces import Namespace, run, wait_for
from test_load_balancing import IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE, Balancer

FAR = "198.51.100.7"
IP_PMTUDISC_WANT = 1

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 80), Handler).serve_forever()
"""


MEMBER = """
import http.server, socket, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"x" * (4 << 20) if self.path == "/large" else f"{sys.argv[1]} {self.client_address[0]}".replace("::ffff:", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 64
def echo(one):
    while True:
        data, client = one.recvfrom(65536)
        one.sendto(sys.argv[1].encode() + data, client)
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("0.0.0.0", 5353))
threading.Thread(target=echo, args=(one,), daemon=True).start()
Server(("::", 8080), Handler).serve_forever()
"""


class World:
    """The namespace outside, and everything that the tests of this file share."""

    def __init__(self, lab):
        self.lab = lab
        self.processes, self.served = [], []
        self.namespace = Namespace(lab.name("outside"))
        self.namespace.ip("link", "set", "lo", "up")
        self.physical("world", "up0", "203.0.113.1/24", f"{FAR}/32")
        self.physical("floor", "up1", "100.64.60.1/24", "100.64.60.2/24", "2001:db8:60::1/64")
        lab.hosts[0].namespace.ip("addr", "add", "203.0.113.201/24", "dev", "up0")
        self.external = self.external_network("203.0.113", **{"provider:network_type": "flat"})
        self.network, self.address = self.behind(self.external)
        self.workloads = [self.workload(self.network, host) for host in (lab.hosts[0], lab.hosts[1], lab.hosts[0], lab.hosts[2])]
        self.serve(self.namespace)
        lab.api.open_default_groups()

    def physical(self, bridge, interface, *stations):
        """A physical network with uplinks of h1 and h2, and stations at these addresses."""
        self.namespace.ip("link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
        self.namespace.ip("link", "set", bridge, "up")
        for station in stations:
            self.namespace.ip("addr", "add", station, "dev", bridge, *(("nodad",) if ":" in station else ()))
        for host in self.lab.hosts[:2]:
            end = f"{bridge}-{host.name}"
            run("ip", "link", "add", end, "netns", self.namespace.name, "type", "veth", "peer", "name", interface, "netns", host.namespace.name)
            self.namespace.ip("link", "set", end, "master", bridge, "up")
            host.namespace.ip("link", "set", interface, "up")

    def external_network(self, prefix, **attributes):
        network = self.lab.api.network("ext", **{"router:external": True, "provider:physical_network": "physnet1", **attributes})
        self.lab.api.subnet(network, f"{prefix}.0/24", gateway_ip=f"{prefix}.1", enable_dhcp=False,
                            allocation_pools=[{"start": f"{prefix}.10", "end": f"{prefix}.100"}])
        return network

    def behind(self, external):
        """A network behind a router with a gateway there, and the router's address outside."""
        api = self.lab.api
        network = api.network("inside")
        subnet = api.subnet(network, "10.0.0.0/24")
        router = api.post("/v2.0/routers", {"router": {"name": "r", "external_gateway_info": {"network_id": external["id"]}}})["router"]
        api.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
        return network, router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]

    def workload(self, network, host):
        port = self.lab.api.port(network, host, port_security_enabled=False, security_groups=[])
        workload = self.lab.workload(port, host)
        workload.namespace.ip("route", "add", "default", "via", "10.0.0.1")
        self.lab.api.wait_active(port)
        return workload

    def serve(self, namespace):
        """It answers, from the first call on."""
        if namespace not in self.served:
            self.served.append(namespace)
            self.processes.append(namespace.popen(sys.executable, "-c", SERVER))

    def floating(self, port, prefix="203.0.113"):
        """The port's floating IP, made when it has none yet."""
        for floating in self.lab.api.get(f"/v2.0/floatingips?port_id={port['id']}")["floatingips"]:
            return floating
        subnet = next(s for s in self.lab.api.get("/v2.0/subnets")["subnets"] if s["cidr"] == f"{prefix}.0/24")
        body = {"floating_network_id": subnet["network_id"], "port_id": port["id"]}
        return self.lab.api.post("/v2.0/floatingips", {"floatingip": body})["floatingip"]

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.namespace.delete()


def fetch(namespace, address, port=80, patience=50):
    """What the server at the address says who asked it; empty when nobody answers.  'patience' as callers() have it."""
    return namespace.run("curl", "-s", "-m", patience, f"http://{address}:{port}/", check=False).strip()


def answers(host, address):
    """It tells those outside that the address is here."""
    return any(line.startswith("external ") and f" {address} " in line and "announced" in line for line in host.ask("tables")["tables"].splitlines())


def refuses(namespace, address):
    """A closed port says so."""
    return namespace.run("sh", "-c", f"curl -s -m 50 http://{address}:99/; echo $?").strip() == "7"


@pytest.fixture(scope="module")
def world():
    with Lab(3, agent_options=("--uplinks", "physnet1:up0,physnet2:up1")) as lab:
        world = World(lab)
        try:
            yield world
        except BaseException:
            lab.show_logs()
            raise
        finally:
            world.close()


def test_two_hosts_leave_under_the_address_of_their_router(world):
    for workload in world.workloads[:2]:
        wait_for(lambda: fetch(workload.namespace, FAR, patience=3) == world.address, f"{workload.namespace.name} to reach the world as {world.address}")
        assert fetch(workload.namespace, "203.0.113.1") == world.address
        assert workload.ping(FAR) == 1


def test_a_connection_that_is_ended_frees_its_name(world):
    """It is listed with its name outside; ended, its host knows nothing of it any more, and others are left alone."""
    workload, other = world.workloads[:2]
    api, pins = world.lab.api, f"{workload.host.pin_path}/v1"

    def names():
        return {json.dumps(one["key"]) for one in json.loads(run("bpftool", "-j", "map", "dump", "pinned", f"{pins}/aliases"))}

    def listed(of, **conditions):
        query = "&".join(f"{name}={value}" for name, value in {"port_id": of.port["id"], "port_number": 80, "state": "established", **conditions}.items())
        return api.get(f"/weft/v1/connections?{query}")["connections"]

    with workload.namespace.inside():
        one = socket.create_connection((FAR, 80), timeout=60)
    with other.namespace.inside():
        two = socket.create_connection((FAR, 80), timeout=60)
    with one, two:
        (connection,) = listed(workload, translated="true", address=FAR)
        assert connection["local_port"] == one.getsockname()[1] and connection["host"] == workload.host.name
        assert connection["outside_local"] == world.address and connection["outside_remote"] == FAR
        assert len(listed(workload, address=world.address)) == 1 and not listed(workload, translated="false")
        before = names()
        answer = api.delete(f"/weft/v1/connections?port_id={workload.port['id']}&port_number={one.getsockname()[1]}")
        assert answer == {"deleted": 1, "failures": []}
        assert not listed(workload) and len(listed(other)) == 1
        wait_for(lambda: len(before - names()) == 1, "the name to be free")
    wait_for(lambda: fetch(workload.namespace, FAR, patience=3) == world.address, "the workload to reach the world again")


def test_a_host_without_an_uplink_sends_by_those_that_have_one(world):
    workload = world.workloads[3]
    wait_for(lambda: fetch(workload.namespace, FAR, patience=3) == world.address, "the workload of h3 to reach the world")
    floating = world.floating(workload.port)["floating_ip_address"]
    world.serve(workload.namespace)
    wait_for(lambda: fetch(world.namespace, floating, patience=3), f"{floating} to answer outside")
    wait_for(lambda: fetch(workload.namespace, FAR, patience=3) == floating, f"h3 to be {floating} outside")
    assert fetch(world.workloads[0].namespace, floating) == world.address


def test_a_floating_ip_is_reached_and_used(world):
    workload = world.workloads[2]
    floating = world.floating(workload.port)
    world.serve(workload.namespace)
    address = floating["floating_ip_address"]
    wait_for(lambda: fetch(world.namespace, address, patience=3), f"{address} to answer outside")
    assert fetch(world.namespace, address) == "203.0.113.1"
    assert fetch(workload.namespace, FAR) == address
    assert world.namespace.run("ping", "-n", "-c", "1", "-W", "30", address)
    # From behind SNAT, on its own host and on another; and from itself.
    for other in world.workloads[:2]:
        assert fetch(other.namespace, address) == world.address
    assert fetch(workload.namespace, address) == address


def test_who_sends_from_outside_learns_the_mtu(world):
    """The networks inside have 1450; the errors come back by the gateway, when the workload's host (h3) is none."""
    for workload in (world.workloads[2], world.workloads[3]):
        address = world.floating(workload.port)["floating_ip_address"]
        world.serve(workload.namespace)
        wait_for(lambda: fetch(world.namespace, address, patience=3), f"{address} to answer outside")

        def path_mtu():
            told = world.namespace.run("ping", "-n", "-M", "do", "-s", "1460", "-c", "1", "-W", "1", address, check=False)
            return "mtu" in told and "1450" in told and f"From {world.address}" in told
        world.namespace.run("ip", "route", "flush", "cache", check=False)
        wait_for(path_mtu, f"the MTU on the way to {address} to be told by {world.address}")
        assert "mtu 1450" in world.namespace.run("ip", "route", "get", address)
        # What may be fragmented is: here, as the MTU is known, and by the router when it is not.
        assert " 0% packet loss" in world.namespace.run("ping", "-n", "-M", "dont", "-s", "1430", "-c", "1", "-W", "30", address, check=False)
        world.namespace.ip("route", "flush", "cache")
        assert " 0% packet loss" in world.namespace.run("ping", "-n", "-M", "dont", "-s", "1430", "-c", "1", "-W", "30", address, check=False)
        late = world.namespace.run("ping", "-n", "-t", "1", "-c", "1", "-W", "30", address, check=False)
        assert f"From {world.address}" in late and "Time to live exceeded" in late


class Kept:
    """A connection from outside to a load balancer, which is asked who is at the other end again and again."""

    def __init__(self, namespace, address, port=80):
        with namespace.inside():
            self.connection = http.client.HTTPConnection(address, port, timeout=60)
            self.connection.connect()
        self.who = self.ask()

    def ask(self):
        self.connection.request("GET", "/")
        return self.connection.getresponse().read().decode().split()[0]

    def close(self):
        self.connection.close()


@pytest.fixture(scope="module")
def balancer(world):
    """On TCP 80 the members a1, b2 and c3, on 81 c3 alone."""
    api = world.lab.api
    subnet = next(s for s in api.get("/v2.0/subnets")["subnets"] if s["network_id"] == world.network["id"])
    made = Balancer(world.lab, subnet, "10.0.0.200")
    made.subnet = subnet
    made.at = {}
    for name, index in (("a1", 0), ("b2", 1), ("c3", 3)):
        workload = world.workloads[index]
        world.processes.append(workload.namespace.popen(sys.executable, "-c", MEMBER, name))
        made.at[name] = next(fixed["ip_address"] for fixed in workload.port["fixed_ips"])
    _, made.pool = made.listener("TCP", 80, [(subnet, address, 8080) for address in made.at.values()])
    made.listener("TCP", 81, [(subnet, made.at["c3"], 8080)])
    vip = next(port for port in api.get("/v2.0/ports")["ports"] if port["device_id"] == "lb-" + made.id)
    made.floating = world.floating(vip)
    made.outside = made.floating["floating_ip_address"]
    wait_for(lambda: len(callers(world.namespace, made.outside, patience=3)) == 3, "all members to answer outside")
    wait_for(lambda: fetch(world.namespace, made.outside, 81, patience=3).startswith("c3"), "the second listener to answer outside")
    return made


def callers(namespace, address, source="", wanted=3, patience=60):
    """Who answered, and by which address it was called: by a hash of the client's port, so that 80 times the same has no chance.  Who waits for a
    condition has less 'patience' with a connection, which may have begun before it was true."""
    seen = {}
    for _ in range(80):
        connection = http.client.HTTPConnection(address, 80, timeout=patience, source_address=(source, 0))
        try:
            with namespace.inside():
                connection.connect()
            connection.request("GET", "/")
            who, client = connection.getresponse().read().decode().split()
            seen[who] = client
        except (OSError, http.client.HTTPException):
            break
        finally:
            connection.close()
        if len(seen) == wanted:
            break
    return seen


def test_a_load_balancer_is_called_from_outside(world, balancer):
    outside, address = world.namespace, balancer.outside
    assert callers(outside, address) == dict.fromkeys(balancer.at, "203.0.113.1")
    assert callers(outside, address, FAR) == dict.fromkeys(balancer.at, FAR)
    for port in (80, 81): # Of 4 MiB nothing is missing, by whichever member.
        assert outside.run("sh", "-c", f"curl -s -m 50 http://{address}:{port}/large | wc -c").strip() == str(4 << 20)
    assert outside.run("ping", "-n", "-c", "1", "-W", "30", address)
    # A closed port says so.
    assert refuses(outside, address)
    # From behind SNAT: a workload without a floating IP, and a member that calls its own load balancer.
    for workload in world.workloads[:2]:
        wait_for(lambda: callers(workload.namespace, address, patience=3) == dict.fromkeys(balancer.at, world.address), "a workload to call by the floating IP")
        assert refuses(workload.namespace, address)


def test_what_is_large_reaches_load_balancers_from_outside(world, balancer):
    """1460 bytes are too much for the members' network, on their way to h3 for the tunnel, too."""
    data = b"x" * 1460

    def echoed(port, name, discover):
        with world.namespace.inside():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with one:
            one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discover)
            one.settimeout(2)
            try:
                one.connect((balancer.outside, port))
                one.send(data)
                return one.recv(65536) == name + data
            except OSError: # Also when the size is told just now.
                return False
    for port, name in ((53, "a1"), (54, "c3")):
        balancer.listener("UDP", port, [(balancer.subnet, balancer.at[name], 5353)])
        wait_for(lambda: echoed(port, name.encode(), IP_PMTUDISC_INTERFACE), f"what may be cut to reach {name}")
        world.namespace.ip("route", "flush", "cache")
        wait_for(lambda: echoed(port, name.encode(), IP_PMTUDISC_WANT), f"the size on the way to {name} to be told")
        assert "mtu 1450" in world.namespace.run("ip", "route", "get", balancer.outside)


def test_a_load_balancer_has_an_address_outside(world, balancer):
    """On the external network itself: its members are where they were, and no router leads there."""
    outside, address = world.namespace, "203.0.113.150"
    subnet = next(s for s in world.lab.api.get("/v2.0/subnets")["subnets"] if s["network_id"] == world.external["id"] and s["ip_version"] == 4)
    made = Balancer(world.lab, subnet, address)
    made.listener("TCP", 80, [(balancer.subnet, inside, 8080) for inside in balancer.at.values()])
    made.listener("TCP", 81, [(balancer.subnet, balancer.at["c3"], 8080)])
    wait_for(lambda: len(callers(outside, address, patience=3)) == 3, "all members to answer outside")
    wait_for(lambda: fetch(outside, address, 81, patience=3).startswith("c3"), "the second listener to answer outside")
    assert callers(outside, address) == dict.fromkeys(balancer.at, "203.0.113.1")
    assert callers(outside, address, FAR) == dict.fromkeys(balancer.at, FAR)
    for port in (80, 81):
        assert outside.run("sh", "-c", f"curl -s -m 50 http://{address}:{port}/large | wc -c").strip() == str(4 << 20)
    assert outside.run("ping", "-n", "-c", "1", "-W", "30", address)
    assert refuses(outside, address)
    # Behind SNAT or with a floating IP of its own, on each host, and members themselves.
    for workload in (world.workloads[0], world.workloads[1], world.workloads[3]):
        known_as = fetch(workload.namespace, FAR)
        assert known_as
        wait_for(lambda: callers(workload.namespace, address, patience=3) == dict.fromkeys(balancer.at, known_as), f"a workload to call as {known_as}")
        assert refuses(workload.namespace, address)
    world.lab.api.delete(f"/load-balancer/v2.0/lbaas/loadbalancers/{made.id}?cascade=true")
    wait_for(lambda: not callers(outside, address, patience=3), "it to be gone")


def test_stations_of_a_physical_network_call_a_load_balancer_there(world, balancer):
    """Which is no external network; its workloads call as they always did."""
    lab, api, outside, address = world.lab, world.lab.api, world.namespace, "100.64.60.150"
    network = api.network("floor", **{"provider:network_type": "flat", "provider:physical_network": "physnet2"})
    subnet, subnet6 = (api.subnet(network, prefix, enable_dhcp=False, gateway_ip=None, allocation_pools=[{"start": first, "end": last}])
                       for prefix, first, last in (("100.64.60.0/24", "100.64.60.20", "100.64.60.40"), ("2001:db8:60::/64", "2001:db8:60::20", "2001:db8:60::40")))
    made = Balancer(lab, subnet, address, [(subnet6, "2001:db8:60::150")])
    made.listener("TCP", 80, [(balancer.subnet, inside, 8080) for inside in balancer.at.values()])
    wait_for(lambda: len(callers(outside, address, patience=3)) == 3, "all members to answer a station")
    assert callers(outside, address, "100.64.60.1") == dict.fromkeys(balancer.at, "100.64.60.1")
    assert callers(outside, address, "100.64.60.2") == dict.fromkeys(balancer.at, "100.64.60.2")
    assert outside.run("sh", "-c", f"curl -s -m 50 http://{address}/large | wc -c").strip() == str(4 << 20)
    for target in (address, "2001:db8:60::150"): # One of the hosts says that it is there, and answers.
        outside.ip("neigh", "flush", "dev", "floor")
        assert outside.run("ping", "-n", "-c", "1", "-W", "30", target)
    assert refuses(outside, address) and refuses(outside, "[2001:db8:60::150]")
    wait_for(lambda: sum(answers(host, address) for host in lab.hosts) == 1, "one host to answer for it")
    workloads = [lab.workload(api.port(network, host), host) for host in (lab.hosts[0], lab.hosts[2])]
    api.wait_active(*(workload.port for workload in workloads))
    for workload in workloads:
        own = next(fixed["ip_address"] for fixed in workload.port["fixed_ips"] if "." in fixed["ip_address"])
        wait_for(lambda: callers(workload.namespace, address, patience=3) == dict.fromkeys(balancer.at, own), f"a workload to call as {own}")
    # A member there, which has its clients on its own link.
    (member, _), (own, _) = workloads, (next(f["ip_address"] for f in workload.port["fixed_ips"] if "." in f["ip_address"]) for workload in workloads)
    world.processes.append(member.namespace.popen(sys.executable, "-c", MEMBER, "d1"))
    made.listener("TCP", 81, [(subnet, own, 8080)])
    for source in (outside, workloads[1].namespace):
        wait_for(lambda: fetch(source, address, 81, patience=3).startswith("d1 100.64.60."), "the member on the network itself to answer")
    api.delete(f"/load-balancer/v2.0/lbaas/loadbalancers/{made.id}?cascade=true")
    wait_for(lambda: not callers(outside, address, patience=3), "it to be gone")
    for workload in workloads:
        workload.unplug()
        api.delete(f"/v2.0/ports/{workload.port['id']}")


def test_connections_from_outside_outlive_their_rows(world, balancer):
    """Members go and come: rows move, and gateways remember nothing of who is connected to whom."""
    api, pool = world.lab.api, balancer.pool
    connections = [Kept(world.namespace, balancer.outside) for _ in range(24)]
    while {connection.who for connection in connections} != set(balancer.at):
        assert len(connections) < 200
        connections.append(Kept(world.namespace, balancer.outside))

    def weigh(name, weight):
        member = next(m for m in balancer.members(pool) if m["address"] == balancer.at[name])
        api.put(f"/load-balancer/v2.0/lbaas/pools/{pool}/members/{member['id']}", {"member": {"weight": weight}})
    for name in ("a1", "b2"):
        weigh(name, 0)
        wait_for(lambda: set(callers(world.namespace, balancer.outside, patience=3)) == set(balancer.at) - {name}, f"{name} to take no new connections")
        for connection in connections:
            assert connection.ask() == connection.who
        weigh(name, 1)
        wait_for(lambda: len(callers(world.namespace, balancer.outside, patience=3)) == 3, f"{name} to take connections again")
        for connection in connections:
            assert connection.ask() == connection.who
    for connection in connections:
        connection.close()


def test_a_floating_ip_leaves_a_load_balancer(world, balancer):
    api = world.lab.api
    kept = Kept(world.namespace, balancer.outside)
    path = f"/v2.0/floatingips/{balancer.floating['id']}"
    api.put(path, {"floatingip": {"port_id": None}})
    wait_for(lambda: not callers(world.namespace, balancer.outside, patience=3), "the floating IP to lead nowhere")
    api.put(path, {"floatingip": {"port_id": balancer.floating["port_id"]}})
    wait_for(lambda: len(callers(world.namespace, balancer.outside, patience=3)) == 3, "it to lead to the load balancer again")
    kept.close()


def udp(namespace, port=0, broadcast=False):
    """A socket of the namespace."""
    with namespace.inside():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, broadcast)
    made.bind(("", port))
    made.settimeout(60)
    return made


def test_workloads_of_a_physical_network_and_stations_are_one_network(world):
    """Members of the external network itself on h1 and h2, which have an uplink, and on h3, for which one of them stands."""
    lab, api = world.lab, world.lab.api
    world.namespace.ip("addr", "add", "2001:db8:30::ff/64", "dev", "world", "nodad")
    api.subnet(world.external, "2001:db8:30::/64", enable_dhcp=False, gateway_ip=None)
    members = [lab.workload(api.port(world.external, host), host) for host in lab.hosts]
    api.wait_active(*(member.port for member in members))
    addresses = [sorted((fixed["ip_address"] for fixed in member.port["fixed_ips"]), key=lambda text: ":" in text) for member in members]

    def echoes(namespace, target):
        told = namespace.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", target, check=False)
        assert "DUP" not in told
        return " 3 received" in told
    for member, own in zip(members, addresses):
        for station, address in zip(("203.0.113.1", "2001:db8:30::ff"), own):
            wait_for(lambda: echoes(member.namespace, station), f"{member.namespace.name} to reach {station}")
            world.namespace.ip("neigh", "flush", "all")
            wait_for(lambda: echoes(world.namespace, address), f"a station to reach {address}")
            wait_for(lambda: echoes(members[0].namespace, address), f"the first member to reach {address}")
    for sender in (members[0], members[2], world):
        receivers = [udp(receiver.namespace, 7777) for receiver in (*members, world) if receiver is not sender]
        speaker = udp(sender.namespace, broadcast=True)
        for word in (b"once", b"end"):
            speaker.sendto(word, ("203.0.113.255", 7777))
        for receiver in receivers: # Two copies of the first would be between.
            assert [receiver.recv(9), receiver.recv(9)] == [b"once", b"end"]
            receiver.close()
        speaker.close()
    assert world.namespace.run("ping", "-n", "-c", "1", "-W", "30", "203.0.113.201") # The host's own, on the same device.
    for member in members:
        member.unplug()
        api.delete(f"/v2.0/ports/{member.port['id']}")


def test_the_hosts_own_session_lives_while_the_agent_comes_and_goes(world):
    host = world.lab.hosts[0]
    with socket.socket() as listener:
        with world.namespace.inside():
            listener = socket.socket()
            listener.bind(("203.0.113.1", 0))
            listener.listen()
        with host.namespace.inside():
            client = socket.create_connection(listener.getsockname(), timeout=60)
        server, peer = listener.accept()
        assert peer[0] == "203.0.113.201"

        def talk(word):
            client.sendall(word)
            assert server.recv(100) == word
            server.sendall(word)
            assert client.recv(100) == word
        client.settimeout(60)
        server.settimeout(60)
        talk(b"before")
        api = world.lab.api
        another = world.external_network("198.51.101", **{"provider:network_type": "vlan", "provider:segmentation_id": 40})
        router = api.post("/v2.0/routers", {"router": {"name": "r2", "external_gateway_info": {"network_id": another["id"]}}})["router"]
        attached = wait_for(lambda: "interface" in host.ask("tables")["tables"] and "vlan 40" in host.ask("tables")["tables"], "the VLAN to be served")
        talk(b"attached")
        api.delete(f"/v2.0/routers/{router['id']}")
        api.delete(f"/v2.0/networks/{another['id']}")
        wait_for(lambda: "vlan 40" not in host.ask("tables")["tables"], "the VLAN to be gone")
        talk(b"detached")
        assert attached
        host.stop()
        talk(b"without agent")
        host.detach()
        talk(b"without anything")
        filters = host.namespace.run("tc", "filter", "show", "dev", "up0", "ingress")
        assert "from_uplink" not in filters
        host.start()
        wait_for(lambda: "from_uplink" in host.namespace.run("tc", "filter", "show", "dev", "up0", "ingress"), "the uplink to be attached")
        talk(b"after")
        for end in (client, server, listener):
            end.close()
    wait_for(lambda: fetch(world.workloads[0].namespace, FAR, patience=3) == world.address, "the workload to reach the world again")


class Download:
    """From a server outside to a workload; goes on in a thread of the server's."""

    SIZE = 4 << 20

    def __init__(self, world, workload, address):
        with world.namespace.inside():
            listener = socket.socket()
            listener.bind((address, 0))
            listener.listen()
        with workload.namespace.inside():
            self.client = socket.create_connection(listener.getsockname(), timeout=60)
        self.server, self.peer = listener.accept()
        listener.close()
        self.client.settimeout(60)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.received = 0
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def send(self):
        self.server.sendall(b"x" * self.SIZE)
        self.server.close()

    def receive(self, size):
        while self.received < size:
            data = self.client.recv(65536)
            assert data, f"the download ended after {self.received} bytes"
            self.received += len(data)

    def close(self):
        self.client.close()
        self.thread.join(60)


def test_downloads_go_on_when_a_gateway_dies(world, balancer):
    """Workloads of h3, which has no uplink: what they send is spread over h1 and h2, the answers come to the one that answers for the router's address.
    That one dies.  A connection from outside to a load balancer, whose member is on h3, goes on too."""
    lab = world.lab
    inside = world.workloads[3]
    floating = [f for f in lab.api.get("/v2.0/floatingips")["floatingips"] if f["port_id"] == inside.port["id"]]
    for f in floating:
        lab.api.delete(f"/v2.0/floatingips/{f['id']}")
    wait_for(lambda: fetch(inside.namespace, FAR, patience=3) == world.address, "the workload of h3 to be its router outside")
    for number in range(8, 14):
        world.namespace.ip("addr", "add", f"198.51.100.{number}/32", "dev", "world")
    downloads = [Download(world, inside, f"198.51.100.{number}") for number in range(8, 14)]
    for download in downloads:
        assert download.peer[0] == world.address
        download.receive(1 << 20)

    assert sum(answers(host, world.address) for host in lab.hosts[:2]) == 1
    dead, alive = sorted(lab.hosts[:2], key=lambda host: answers(host, world.address), reverse=True)
    kept = Kept(world.namespace, balancer.outside, 81)
    assert kept.who == "c3"
    dead.stop(signal.SIGKILL)
    for interface in ("up0", "under", "mgmt"):
        dead.namespace.ip("link", "set", interface, "down")
    for port in lab.api.get("/v2.0/ports")["ports"]:
        if port["binding:host_id"] == dead.name:
            lab.api.delete(f"/v2.0/ports/{port['id']}")
    lab.api.delete(f"/weft/v1/hosts/{dead.name}") # Else it is down after half a minute without a report.
    for address in (world.address, balancer.outside):
        wait_for(lambda: answers(alive, address), f"{alive.name} to answer for {address}")
    assert kept.ask() == "c3"
    kept.close()
    for download in downloads:
        download.receive(Download.SIZE)
        download.close()
    assert fetch(inside.namespace, FAR) == world.address
