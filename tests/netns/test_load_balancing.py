"""Load balancers in tenant networks, as workloads see them.

       network "red", 10.0.0.0/24 and fd00:1::/64                      network "blue", 10.1.0.0/24
       client (h1)   one (h1)   two (h2)   VIP 10.0.0.200 ... router ... guest (h2)
                                           on no host                  network "green", 10.2.0.0/24, no router: three (h2)
                                                              router ... network "narrow", 10.3.0.0/24, MTU 1300: thin (h1)

TCP 80 is served by one and two, 81 by one, 82 by three, 83 by nobody; UDP 53 by two."""

import contextlib
import hashlib
import http.server
import os
import re
import socket
import socketserver
import threading
import types

import pytest

from lab import Lab
from namespaces import Failed, enter, wait_for
from test_trace import frame

LBAAS = "/load-balancer/v2.0/lbaas"
LARGE = os.urandom(1 << 16) * 64


class Web(http.server.BaseHTTPRequestHandler):
    """Says who it is and who asked; /large is 4 MiB, /stream never ends, a POST is answered by the hash of what came."""

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/stream":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.server.is_over.wait(0.05):
                    self.wfile.write(b"." * 100)
        elif self.path == "/large":
            self.answer(LARGE)
        else:
            self.answer(f"{self.server.who} {self.client_address[0].replace('::ffff:', '')}".encode())

    def do_POST(self):
        self.answer(hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode())


class WebServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 64


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, answers = self.request
        answers.sendto(self.server.who.encode() + b" " + data, self.client_address)


class EchoServer(socketserver.UDPServer):
    pass


IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE = 10, 4 # Lets routers fragment, and never learns from them (ip(7)).


class CarelessServer(socketserver.UDPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE)
        super().server_bind()


def serve(workload, who, server, address, handler):
    """A server within the workload, until the end of the process or stop()."""
    ready, made = threading.Event(), []

    def run():
        enter(workload.namespace.name)
        one = server(address, handler)
        one.who, one.is_over = who, threading.Event()
        made.append(one)
        ready.set()
        one.serve_forever(poll_interval=0.1)

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(60)
    return made[0]


class Balancer:
    """A load balancer, by the API of Octavia."""

    def __init__(self, lab, subnet, address, more=()):
        self.lab, self.address = lab, address
        self.id = self.make("loadbalancer", vip_subnet_id=subnet["id"], vip_address=address,
                            additional_vips=[{"subnet_id": other["id"], "ip_address": one} for other, one in more])["id"]

    def make(self, kind, path=None, **attributes):
        made = self.lab.api.post(f"{LBAAS}/{path or kind + 's'}", {kind: attributes})[kind]
        return made

    def listener(self, protocol, port, members, algorithm="ROUND_ROBIN", **attributes):
        """'members': (subnet, address, port).  Returns the listener's id and the pool's."""
        listener = self.make("listener", loadbalancer_id=self.id, protocol=protocol, protocol_port=port, **attributes)
        pool = self.make("pool", listener_id=listener["id"], protocol=protocol, lb_algorithm=algorithm)
        for subnet, address, number in members:
            self.make("member", f"pools/{pool['id']}/members", subnet_id=subnet["id"], address=address, protocol_port=number)
        return listener["id"], pool["id"]

    def members(self, pool):
        return self.lab.api.get(f"{LBAAS}/pools/{pool}/members")["members"]

    def remove(self, pool, member):
        self.lab.api.delete(f"{LBAAS}/pools/{pool}/members/{member['id']}")


class World:
    def __init__(self, lab):
        self.lab = lab
        api, (h1, h2) = lab.api, lab.hosts
        red, blue, green = (api.network(name) for name in ("red", "blue", "green"))
        self.red4 = api.subnet(red, "10.0.0.0/24")
        self.red6 = api.subnet(red, "fd00:1::/64", ipv6_address_mode="dhcpv6-stateful", ipv6_ra_mode="dhcpv6-stateful")
        self.blue4, self.green4 = api.subnet(blue, "10.1.0.0/24"), api.subnet(green, "10.2.0.0/24")
        narrow = api.network("narrow", mtu=1300)
        self.narrow4 = api.subnet(narrow, "10.3.0.0/24")
        router = api.post("/v2.0/routers", {"router": {"name": "r"}})["router"]
        for subnet in (self.red4, self.blue4, self.narrow4):
            api.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})

        def workload(name, network, host, *fixed, gateway):
            port = api.port(network, host, name=name, fixed_ips=[{"subnet_id": subnet["id"], "ip_address": address} for subnet, address in fixed])
            made = lab.workload(port, host, name=name, mtu=network["mtu"])
            made.namespace.ip("route", "add", "default", "via", gateway)
            return made

        self.client = workload("client", red, h1, (self.red4, "10.0.0.10"), (self.red6, "fd00:1::10"), gateway="10.0.0.1")
        self.one = workload("one", red, h1, (self.red4, "10.0.0.11"), (self.red6, "fd00:1::11"), gateway="10.0.0.1")
        self.two = workload("two", red, h2, (self.red4, "10.0.0.12"), (self.red6, "fd00:1::12"), gateway="10.0.0.1")
        self.guest = workload("guest", blue, h2, (self.blue4, "10.1.0.10"), gateway="10.1.0.1")
        self.three = workload("three", green, h2, (self.green4, "10.2.0.13"), gateway="10.2.0.1")
        self.thin = workload("thin", narrow, h1, (self.narrow4, "10.3.0.10"), gateway="10.3.0.1")
        for name in ("one", "two", "three"):
            serve(getattr(self, name), name, WebServer, ("::", 8080), Web)
        for name in ("two", "thin"):
            serve(getattr(self, name), name, EchoServer, ("0.0.0.0", 5353), Echo)
        for name in ("one", "two"):
            serve(getattr(self, name), name, CarelessServer, ("0.0.0.0", 5454), Echo)
        api.wait_active(*(w.port for w in (self.client, self.one, self.two, self.guest, self.three, self.thin)))
        api.open_default_groups()
        self.balancer = Balancer(lab, self.red4, "10.0.0.200", [(self.red6, "fd00:1::200")])
        one, two, three = (self.red4, "10.0.0.11", 8080), (self.red4, "10.0.0.12", 8080), (self.green4, "10.2.0.13", 8080)
        self.http = self.balancer.listener("TCP", 80, [one, two])
        self.own = self.balancer.listener("TCP", 81, [one])
        self.island = self.balancer.listener("TCP", 82, [three])
        self.empty = self.balancer.listener("TCP", 83, [])
        self.dns = self.balancer.listener("UDP", 53, [(self.red4, "10.0.0.12", 5353)])
        self.going = self.balancer.listener("TCP", 84, [two])
        self.six = self.balancer.listener("TCP", 86, [(self.red6, "fd00:1::11", 8080), (self.red6, "fd00:1::12", 8080)])
        for port in (80, 81, 82, 84):
            wait_for(lambda port=port: ask(self.client, port), f"port {port} of the load balancer to answer")
        # Each host hears of it at its own time: all members, from either host.
        for workload in (self.client, self.guest):
            wait_for(lambda: len(answers(workload, 80)) == 2, "both members to answer")
            wait_for(lambda: udp(workload, b"hello"), "datagrams to be answered")
        wait_for(lambda: len(answers(self.client, 86, "fd00:1::200")) == 2, "both members to answer IPv6")

    def vip_port(self):
        return next(port for port in self.lab.api.get("/v2.0/ports")["ports"] if port["device_id"] == "lb-" + self.balancer.id)


def ask(workload, port, address="10.0.0.200", path="/", check=False):
    """What the server said; "" when there was none."""
    host = f"[{address}]" if ":" in address else address
    return workload.run("curl", "-sS", "-g", "--max-time", 30, f"http://{host}:{port}{path}", check=check)


def answers(workload, port, address="10.0.0.200", wanted=2):
    """Who answered, asked until 'wanted' servers have: by a hash of the client's port, so that 60 times the same one has no chance."""
    seen = {}
    for _ in range(60):
        said = ask(workload, port, address)
        if said:
            who, client = said.split()
            seen[who] = client
        if not said or len(seen) == wanted:
            break
    return seen


def udp(workload, data, port=53, careless=False, patience=2):
    """What was answered; None: nothing.  Refusals are raised."""
    with workload.namespace.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        if careless:
            client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE)
        client.settimeout(patience)
        client.connect(("10.0.0.200", port))
        client.send(data)
        try:
            return client.recv(65536)
        except TimeoutError:
            return None


@pytest.fixture(scope="module")
def world():
    with Lab(2) as lab:
        yield World(lab)


def test_all_members_serve_whoever_calls(world):
    assert answers(world.client, 80) == {"one": "10.0.0.10", "two": "10.0.0.10"}
    assert answers(world.guest, 80) == {"one": "10.1.0.10", "two": "10.1.0.10"}, "through a router"
    # Members call it too; who serves itself is called by the load balancer.
    assert answers(world.one, 80) == {"one": "10.0.0.200", "two": "10.0.0.11"}
    assert ask(world.one, 81, check=True) == "one 10.0.0.200"
    assert answers(world.client, 86, "fd00:1::200") == {"one": "fd00:1::10", "two": "fd00:1::10"}


def test_a_member_needs_no_way_to_its_clients(world):
    assert ask(world.client, 82, check=True) == "three 10.0.0.10"
    assert ask(world.guest, 82, check=True) == "three 10.1.0.10"


def test_much_arrives_whole(world):
    for path, data in (("/large", None), ("/", LARGE)):
        wanted = hashlib.sha256(LARGE).hexdigest()
        for workload, port in ((world.client, 81), (world.client, 82), (world.guest, 81)):
            command = ["curl", "-sS", "--max-time", "60", f"http://10.0.0.200:{port}{path}"]
            if data is None:
                out = workload.namespace.popen(*command, stdout=-1).communicate()[0]
                assert hashlib.sha256(out).hexdigest() == wanted
            else:
                sent = workload.namespace.popen(*command, "--data-binary", "@-", "-H", "Expect:", stdin=-1, stdout=-1)
                assert sent.communicate(data)[0].decode() == wanted


def test_datagrams(world):
    assert udp(world.client, b"hello", patience=60) == b"two hello"
    assert udp(world.guest, b"hello", patience=60) == b"two hello"
    assert udp(world.client, b"x" * 5000, patience=60) == b"two " + b"x" * 5000, "in fragments"


def test_who_sends_too_much_at_once_learns_the_size(world):
    """The client's network takes 1300 bytes, and its member's, on another host, 1450: and the other way round."""
    data = b"x" * 1380
    world.balancer.listener("UDP", 55, [(world.narrow4, "10.3.0.10", 5353)])

    def echoed(workload, said, port, name, careless=False):
        with contextlib.suppress(OSError): # Not yet there, or the size is told just now.
            return udp(workload, said, port, careless) == name.encode() + b" " + said

    wait_for(lambda: echoed(world.guest, b"hello", 55, "thin"), "the member in the narrow network to answer")
    assert udp(world.thin, b"hello", patience=60) == b"two hello"
    # Linux forbids to fragment, and fragments by itself what is too large for the way that it has learned.
    wait_for(lambda: udp(world.thin, data) == b"two " + data, "the member to learn the size for its client's network")
    assert "mtu 1300" in world.two.run("ip", "route", "get", "10.3.0.10")
    wait_for(lambda: echoed(world.guest, data, 55, "thin"), "the client to learn the size for the member's network")
    assert "mtu 1300" in world.guest.run("ip", "route", "get", "10.0.0.200")
    # Who lets it be fragmented is not told: it is, on the way to a member and back, on one host and between two.
    for workload in (world.client, world.guest):
        wait_for(lambda: echoed(workload, data, 55, "thin", careless=True), "what is cut to arrive at the member")
    for port, name, address in ((56, "one", "10.0.0.11"), (57, "two", "10.0.0.12")):
        world.balancer.listener("UDP", port, [(world.red4, address, 5454)])
        wait_for(lambda: echoed(world.thin, data, port, name), f"what {name} answers to be cut")
    assert "mtu" not in world.one.run("ip", "route", "get", "10.3.0.10")


def test_what_is_closed_says_so(world):
    for port, reason in ((99, "service_no_listener"), (83, "service_no_member")):
        before = world.lab.hosts[0].drops(world.client.port).get(reason, 0)
        with pytest.raises(Failed, match="exit 7"):
            world.client.run("curl", "-sS", "--max-time", 50, f"http://10.0.0.200:{port}/")
        assert world.lab.hosts[0].drops(world.client.port)[reason] > before
    with pytest.raises(ConnectionRefusedError):
        udp(world.client, b"hello", 99, patience=60)
    assert world.client.ping("10.0.0.200") and world.guest.ping("10.0.0.200") and world.client.ping("fd00:1::200")


def test_a_member_that_has_no_server_says_so(world):
    """The member's own ICMP error comes back as the load balancer's."""
    world.balancer.listener("UDP", 54, [(world.red4, "10.0.0.12", 5354)])

    def drops():
        return {reason: n for reason, n in world.lab.hosts[0].drops(world.client.port).items() if reason.startswith("service_")}

    def refused_by_the_member():
        before = drops()
        try:
            return udp(world.client, b"hello", 54) and False
        except ConnectionRefusedError:
            return drops() == before

    wait_for(refused_by_the_member, "the member to refuse")


def test_a_member_that_goes_ends_its_connections(world):
    stream = world.client.popen("curl", "-sS", "-N", "--max-time", 120, "http://10.0.0.200:84/stream", stdout=-1, stderr=-1)
    try:
        assert stream.stdout.read(200)
        (member,) = world.balancer.members(world.going[1])
        world.balancer.remove(world.going[1], member)
        _, said = stream.communicate(timeout=60)
        assert re.search(rb"(?i)reset", said), said
    finally:
        stream.kill()
        stream.wait()


def test_a_trace_tells_who_is_chosen(world):
    world.balancer.listener("UDP", 4321, [(world.red4, "10.0.0.12", 5353)])
    vip = types.SimpleNamespace(address="10.0.0.200", port=world.vip_port())

    def traced():
        answer = world.lab.api.post(f"/weft/v1/ports/{world.client.port['id']}/trace", {"frame": frame(world.client, vip)})
        answer = answer.get("trace", answer)
        return answer["verdict"] == "delivered" and answer

    steps = wait_for(traced, "a trace to the member")["steps"]
    assert {step["host"] for step in steps if step["stage"] == "balance"} == {"h1", "h2"}
    assert any("10.0.0.12 port 5353" in step["text"] for step in steps)


def test_nobody_is_sent_to_an_address_without_a_port(world):
    _, pool = world.balancer.listener("TCP", 88, [(world.red4, "10.0.0.11", 8080), (world.red4, "10.0.0.99", 8080)])
    assert {member["address"]: member["operating_status"] for member in world.balancer.members(pool)} == {"10.0.0.11": "NO_MONITOR", "10.0.0.99": "ERROR"}
    wait_for(lambda: all(ask(world.client, 88) for _ in range(20)), "the other member to serve everybody")


def test_a_silent_connection_ends_when_its_listener_says(world):
    """Also one that runs when the timeout is set, at the client's host and at the member's."""
    listener, _ = world.balancer.listener("TCP", 87, [(world.red4, "10.0.0.12", 8080)])
    wait_for(lambda: ask(world.client, 87), "the listener to answer")
    with world.client.namespace.inside():
        client = socket.create_connection(("10.0.0.200", 87), timeout=60)
    with client:
        number = client.getsockname()[1]
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n")

        def entries():
            return world.lab.api.get(f"/weft/v1/connections?port_number={number}")["connections"]

        wait_for(lambda: len(entries()) == 2, "the connection at both hosts")
        answer = world.lab.api.put(f"{LBAAS}/listeners/{listener}", {"listener": {"timeout_client_data": 1000}})["listener"]
        assert (answer["timeout_client_data"], answer["timeout_member_data"]) == (1000, None)
        wait_for(lambda: not entries(), "the connection to end", 60)
        client.settimeout(60)
        with pytest.raises(OSError, match="(?i)reset|refused"):
            client.send(b"\r\n")
            while client.recv(100):
                pass
            raise OSError("closed without a reset")
    wait_for(lambda: ask(world.client, 87), "a new connection to be served")


def test_a_limit_holds_for_all_hosts_together(world):
    """Clients at two hosts have the listener's four connections between them, however they share; what one ends the other may begin."""
    world.balancer.listener("TCP", 89, [(world.red4, "10.0.0.11", 8080)], connection_limit=4)
    kept = {world.client: [], world.guest: []}

    def connect(workload):
        with workload.namespace.inside():
            return socket.create_connection(("10.0.0.200", 89), timeout=60)

    def fill(workload, n):
        with contextlib.suppress(OSError):  # Refused: not served yet, or the host's share is used up.
            kept[workload].append(connect(workload))
        assert sum(len(own) for own in kept.values()) <= 4
        return len(kept[workload]) == n

    try:
        wait_for(lambda: fill(world.client, 3), "three connections of a client at the first host")
        wait_for(lambda: fill(world.guest, 1), "the fourth, at the second")
        for workload in (world.client, world.guest) * 3:
            with pytest.raises(ConnectionRefusedError):
                connect(workload)
        while kept[world.client]:
            kept[world.client].pop().close()
        wait_for(lambda: fill(world.guest, 4), "the second host to have all", 60)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                connect(world.client)
    finally:
        for client in sum(kept.values(), []):
            client.close()
