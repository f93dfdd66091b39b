"""Health monitors of load balancers in tenant networks: members that die, come back, lie and answer badly.

       network "red", 10.0.0.0/24 and fd00:1::/64:   client (h1)   one (h1)   two (h2)   spare (h2, a backup)   VIP 10.0.0.200, fd00:1::200

Members' security groups let nobody in but who is in the same group, so no probe comes in by a rule."""

import contextlib
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from lab import BUILD, Lab
from namespaces import Failed, enter, wait_for
from test_load_balancing import LBAAS, Balancer, Echo, EchoServer, WebServer, serve

HTTP = {"type": "HTTP", "url_path": "/health"}


def until(found, wanted, what):
    try:
        wait_for(lambda: found() == wanted, what, 60)
    except Failed as failed:
        raise AssertionError(f"{what}: {wanted}, not {found()}") from failed


class Web(http.server.BaseHTTPRequestHandler):
    """/ says who it is; /health is as well as server.status says; /stream never ends; the others are hard to bear."""

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.asked.append((self.path, self.client_address[0].replace("::ffff:", ""), self.headers.get("Host"), self.request_version))
        if self.path == "/health":
            self.answer(self.server.status, b"")
        elif self.path == "/stream":
            self.send_response(200)
            self.send_header("Who", self.server.who)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.server.is_over.wait(0.05):
                    self.wfile.write(b"." * 100)
        elif self.path == "/huge":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)
        elif self.path == "/slow":
            self.server.is_over.wait(30)
        elif self.path == "/redirect":
            self.answer(302, b"", Location="http://10.0.0.10:1/")
        else:
            self.answer(200, self.server.who.encode())

    do_HEAD = do_GET


class Server(WebServer):
    def __init__(self, *arguments):
        self.status, self.asked = 200, []
        super().__init__(*arguments)

    def handle_error(self, *_):
        pass


class FailingServer(Server):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.status = 500


class TlsServer(Server):
    """Its certificate is nobody's business."""

    def __init__(self, address, handler, certificate):
        super().__init__(address, handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class EchoServer6(EchoServer):
    address_family = socket.AF_INET6


def read_until_reset(stream):
    deadline = time.monotonic() + 60
    with pytest.raises(ConnectionResetError):
        while stream.recv(65536):
            assert time.monotonic() < deadline, "the connection goes on"


class Caller:
    """Calls the VIP again and again, one connection each, and keeps who answered: a name, or what went wrong."""

    def __init__(self, workload, port=80):
        self.workload, self.port, self.said, self.over = workload, port, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def call(self):
        with socket.create_connection(("10.0.0.200", self.port), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while data := connection.recv(4096):
                answer += data
            return answer.rsplit(b"\r\n\r\n", 1)[1].decode()

    def run(self):
        enter(self.workload.namespace.name)
        while not self.over.is_set():
            try:
                self.said.append(self.call())
            except OSError as error:
                self.said.append(repr(error))
            self.over.wait(0.002)  # Servers and clients are threads of one process.

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(60)

    def next(self, count):
        """The next 'count' answers."""
        begin = len(self.said)
        wait_for(lambda: len(self.said) >= begin + count, f"{count} answers", 60)
        return self.said[begin:begin + count]


class World:
    def __init__(self, lab):
        self.lab = lab
        api, (h1, h2) = lab.api, lab.hosts
        red = self.red = api.network("red")
        self.red4 = api.subnet(red, "10.0.0.0/24")
        self.red6 = api.subnet(red, "fd00:1::/64", ipv6_address_mode="dhcpv6-stateful", ipv6_ra_mode="dhcpv6-stateful")

        def workload(name, host, number):
            port = api.port(red, host, name=name, fixed_ips=[{"subnet_id": subnet["id"], "ip_address": address} for subnet, address in
                                                             ((self.red4, f"10.0.0.{number}"), (self.red6, f"fd00:1::{number}"))])
            return lab.workload(port, host, name=name)

        self.client = workload("client", h1, 10)
        # Nobody follows the sequence numbers of a port without port security.
        port = api.port(red, h1, name="plain", port_security_enabled=False, fixed_ips=[{"subnet_id": self.red4["id"], "ip_address": "10.0.0.14"}])
        self.plain = lab.workload(port, h1, name="plain")
        (group,) = api.get("/v2.0/security-groups?name=default&project_id=" + port["project_id"])["security_groups"]
        api.post("/v2.0/security-group-rules", {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4",
                                                                        "remote_ip_prefix": "10.0.0.14/32"}})
        self.one, self.two, self.spare = workload("one", h1, 11), workload("two", h2, 12), workload("spare", h2, 13)
        self.servers = {name: serve(getattr(self, name), name, Server, ("::", 8080), Web) for name in ("one", "two", "spare")}
        api.wait_active(*(w.port for w in (self.client, self.one, self.two, self.spare)))
        self.balancer = Balancer(lab, self.red4, "10.0.0.200", [(self.red6, "fd00:1::200")])
        self.listener, self.pool = self.balancer.listener("TCP", 80, [(self.red4, "10.0.0.11", 8080), (self.red4, "10.0.0.12", 8080)])
        self.balancer.make("member", f"pools/{self.pool}/members", subnet_id=self.red4["id"], address="10.0.0.13", protocol_port=8080, backup=True)

    def monitor(self, pool, delay=1, timeout=1, max_retries=1, max_retries_down=5, **attributes):
        return self.balancer.make("healthmonitor", pool_id=pool, delay=delay, timeout=timeout, max_retries=max_retries,
                                  max_retries_down=max_retries_down, **attributes)["id"]

    def change(self, kind, id, **attributes):
        self.lab.api.put(f"{LBAAS}/{kind}s/{id}", {kind.rsplit("/", 1)[-1]: attributes})

    def watched(self, address, *ports, protocol="TCP", member=None, **attributes):
        """A pool of these ports of an address, with a monitor: a function that tells their statuses."""
        subnet = self.red6 if ":" in address else self.red4
        pool = self.balancer.make("pool", loadbalancer_id=self.balancer.id, protocol=protocol, lb_algorithm="ROUND_ROBIN")["id"]
        for port in ports:
            self.balancer.make("member", f"pools/{pool}/members", subnet_id=subnet["id"], address=address, protocol_port=port, **(member or {}))
        self.monitor(pool, **attributes)
        return lambda: [next(m["operating_status"] for m in self.balancer.members(pool) if m["protocol_port"] == port) for port in ports]

    def statuses(self, pool):
        """{last number of the address: operating_status}"""
        return {int(re.split("[.:]", member["address"])[-1]): member["operating_status"] for member in self.balancer.members(pool)}

    def wait(self, pool, **wanted):
        wanted = {int(name[1:]): status for name, status in wanted.items()}
        until(lambda: self.statuses(pool), wanted, "members' statuses")

    def tree(self):
        return self.lab.api.get(f"{LBAAS}/loadbalancers/{self.balancer.id}/status")["statuses"]["loadbalancer"]

    def shown(self, pool):
        """Operating statuses of the load balancer, and of the pool and its listeners."""
        tree = self.tree()
        listeners = [one["operating_status"] for one in tree["listeners"] for of in one["pools"] if of["id"] == pool]
        return tree["operating_status"], *listeners, next(of["operating_status"] for of in tree["pools"] if of["id"] == pool)

    def wait_gone(self, *numbers):
        """Until the client's host sends nobody to these members any more: the wait after which nothing may fail."""
        def gone():
            tables = self.lab.hosts[0].ask("tables")["tables"]
            return not any(re.search(rf"service_members .* 10\.0\.0\.{number} port 8080 .* up$", tables, re.M) for number in numbers)
        wait_for(gone, f"the client's host to know that {numbers} are down", 60)

    def stream(self, who, client=None):
        """A connection through the VIP to that member, which sends for as long as it lasts."""
        client = client or self.client
        for _ in range(200):
            with client.namespace.inside():
                connection = socket.create_connection(("10.0.0.200", 80), timeout=60)
            connection.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
            said = b""
            while b"\r\n\r\n" not in said:
                said += connection.recv(100) or b"\r\n\r\n"
            if f"Who: {who}\r\n".encode() in said:
                return connection
            connection.close()
        raise AssertionError(f"nobody gets to {who}")


@pytest.fixture(scope="module")
def world():
    with Lab(2, api_options=("--balance-drain-seconds", "3")) as lab:
        yield World(lab)


def test_members_are_watched(world):
    assert world.statuses(world.pool) == {11: "NO_MONITOR", 12: "NO_MONITOR", 13: "NO_MONITOR"}
    world.watch = world.monitor(world.pool, **HTTP, expected_codes="200,204")
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")
    assert world.shown(world.pool) == ("ONLINE", "ONLINE", "ONLINE")
    assert ("/health", "10.0.0.200", "10.0.0.12:8080", "HTTP/1.0") in world.servers["two"].asked, world.servers["two"].asked[:5]


def test_a_member_that_dies_is_left_out(world):
    """Two ways to die: nothing answers any more, and the server is not well.  Connections to it end, though their clients only listen; nobody is sent to
    it, the others serve."""
    streams = [world.stream("two", client) for client in (world.client, world.plain)]
    with streams[0], streams[1], Caller(world.client) as caller:
        assert set(caller.next(100)) == {"one", "two"}
        world.two.namespace.ip("link", "set", "eth0", "down")
        world.wait_gone(12)
        assert set(caller.next(100)[1:]) == {"one"}, "one that began before may have failed"
        for stream in streams:
            read_until_reset(stream)
        world.wait(world.pool, m11="ONLINE", m12="ERROR", m13="ONLINE")
        assert world.shown(world.pool) == ("DEGRADED", "DEGRADED", "DEGRADED")
        shown = json.loads(subprocess.run([BUILD / "src/cli/weft", "--agent-socket", world.lab.hosts[1].socket, "-o", "json", "healthmonitor", "members"],
                                          check=True, capture_output=True).stdout)
        assert [one["reason"] for one in shown if one["address"] == "10.0.0.12"] == ["timeout after 1 s"]
        answer = next(m for m in world.lab.hosts[1].ask("member_health")["members"] if m["address"] == "10.0.0.12")
        assert (answer["health"], answer["type"], answer["reason"]) == ("DOWN", "HTTP", "timeout after 1 s")

        world.servers["one"].status = 503
        world.wait_gone(11, 12)
        assert set(caller.next(100)[1:]) == {"spare"}, "the backup's turn"
        world.servers["spare"].status = 404
        world.wait(world.pool, m11="ERROR", m12="ERROR", m13="ERROR")
        assert world.shown(world.pool) == ("ERROR", "DEGRADED", "ERROR")
        wait_for(lambda: all("refused" in one.lower() for one in caller.next(3)), "nobody to serve, and clients to hear so at once", 60)
        world.two.namespace.ip("link", "set", "eth0", "up")
        for server in world.servers.values():
            server.status = 204
        wait_for(lambda: set(caller.next(50)) == {"one", "two"}, "both to serve again", 60)
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")
    for server in world.servers.values():
        server.status = 200


def test_every_kind_of_probe(world, tmp_path):
    """Each on a server that answers and on a port where another one, or nobody, does."""
    certificate = tmp_path / "certificate"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=one", "-keyout", certificate, "-out", tmp_path / "public"],
                   check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (tmp_path / "public").read_text())
    serve(world.one, "one", lambda *arguments: TlsServer(*arguments, certificate), ("::", 8443), Web)
    serve(world.one, "one", EchoServer6, ("::", 5353), Echo)
    web = {"type": "HTTP"}
    cases = []
    for address in ("10.0.0.11", "fd00:1::11"):
        cases += [(address, (8080, 99), {"type": "TCP"}), (address, (8080, 99), HTTP), (address, (8443, 8080), {"type": "HTTPS"}),
                  (address, (8443, 8080), {"type": "TLS-HELLO"}), (address, (5353, 99), {"type": "UDP-CONNECT", "protocol": "UDP"}),
                  (address, (99,), {"type": "PING"}), (address, (99,), {**web, "member": {"monitor_port": 8080}})]
    # At the member's own port: the other member has the address, and is not asked.
    cases += [("10.0.0.11", (), {"type": kind, "member": {"monitor_address": "10.0.0.12", "monitor_port": 8080}, "bad": True}) for kind in ("TCP", "PING")]
    cases += [("10.0.0.11", (8080,), {**web, "member": {"monitor_address": "fd00:1::11"}}),
              ("10.0.0.11", (8080,), {**web, "url_path": "/huge", "http_version": 1.1, "domain_name": "www.example.com"}),
              ("10.0.0.11", (8080,), {**web, "url_path": "/redirect", "expected_codes": "300-303", "http_method": "HEAD"}),
              ("10.0.0.11", (), {**web, "url_path": "/redirect", "bad": True}), ("10.0.0.11", (), {**web, "url_path": "/slow", "bad": True})]
    made = []
    for address, ports, attributes in cases:
        bad = attributes.pop("bad", False)
        expected = ["ERROR"] if bad else ["ONLINE", "ERROR"][:len(ports)]
        # The first answer decides, however late it is; or the first refusal.  Of those that never answer the first timeout.
        attributes.update({"delay": 1, "timeout": 1} if bad else {"delay": 20, "timeout": 20}, max_retries_down=1)
        made.append((address, attributes, expected, world.watched(address, *(ports or (8080,)), **attributes)))
    for address, attributes, expected, statuses in made:
        until(statuses, expected, f"{attributes} of {address}")
    assert ("/huge", "10.0.0.200", "www.example.com", "HTTP/1.1") in world.servers["one"].asked
    assert any(asked[:2] == ("/", "fd00:1::200") for asked in world.servers["one"].asked)
    metrics = world.lab.hosts[0].ask("member_health")
    assert metrics["not_asked"] == 0 and metrics["probes"] > metrics["failed"] > 0


def test_what_is_known_outlives_the_agent(world):
    world.servers["two"].status = 500
    expected = {11: "ONLINE", 12: "ERROR", 13: "ONLINE"}
    world.wait(world.pool, m11="ONLINE", m12="ERROR", m13="ONLINE")
    world.wait_gone(12)
    seen, over = [], threading.Event()

    def look():
        while not over.wait(0.05):
            seen.append(world.statuses(world.pool))

    thread = threading.Thread(target=look, daemon=True)
    with Caller(world.client) as caller:
        begin = len(caller.said)
        thread.start()
        try:
            host = world.lab.hosts[1]
            n_members = len(host.ask("member_health")["members"])
            host.restart()
            wait_for(lambda: host.ask("member_health")["probes"] > 2 * n_members, "members to be asked by the new one, all of them", 60)
        finally:
            over.set()
            thread.join(30)
    assert seen and all(one == expected for one in seen), seen
    assert set(caller.said[begin:]) == {"one"}
    world.servers["two"].status = 200
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")


def test_weight_0_drains_until_the_deadline(world):
    member = next(m for m in world.balancer.members(world.pool) if m["address"] == "10.0.0.11")
    with world.stream("one") as stream, Caller(world.client) as caller:
        world.change(f"pools/{world.pool}/member", member["id"], weight=0)
        assert world.statuses(world.pool)[11] == "DRAINING"
        wait_for(lambda: set(caller.next(50)) == {"two"}, "nobody to be sent to it")
        read_until_reset(stream)
        world.change(f"pools/{world.pool}/member", member["id"], weight=1)
        wait_for(lambda: set(caller.next(50)) == {"one", "two"}, "both to serve again")
        assert set(caller.said) == {"one", "two"}, "no request failed"


def test_a_member_moves_to_another_host(world):
    """And is down all the way: unplugged, plugged again, on another host, until it answers well there."""
    h1, h2 = world.lab.hosts

    def watchers():
        return [host.name for host in world.lab.hosts for m in host.ask("member_health")["members"] if (m["address"], m["pool"]) == ("10.0.0.12", world.pool)]

    def health(host):
        return [(m["health"], m["reason"]) for m in host.ask("member_health")["members"] if (m["address"], m["pool"]) == ("10.0.0.12", world.pool)]

    def serve_badly(host, name):
        world.two = world.lab.workload(world.two.port, host, name=name)
        world.servers["two"] = serve(world.two, "two", FailingServer, ("::", 8080), Web)

    assert watchers() == ["h2"]
    world.servers["two"].status = 500
    world.wait(world.pool, m11="ONLINE", m12="ERROR", m13="ONLINE")
    world.wait_gone(12)
    bad = [("DOWN", "expected 200,204, got 500")]
    seen = []
    with Caller(world.client) as caller:
        begin = len(caller.said)
        for host, name in ((h2, "again"), (h1, "moved")):
            world.two.unplug()
            if host is h1:
                world.two.port = world.lab.api.update_port(world.two.port, **{"binding:host_id": "h1"})
            serve_badly(host, name)
            wait_for(lambda: seen.append((world.statuses(world.pool)[12], *health(host)[:1])) or health(host) == bad, f"{host.name} to ask it", 60)
        assert set(caller.said[begin:]) == {"one"}
    assert {status for status, *_ in seen} == {"ERROR"}, seen
    assert {known[0][0] for _, *known in seen if known} <= {"DOWN"}, seen
    world.servers["two"].status = 200
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")
    assert watchers() == ["h1"]


def test_a_monitor_changes_and_goes(world):
    world.change("healthmonitor", world.watch, expected_codes="299")
    world.wait(world.pool, m11="ERROR", m12="ERROR", m13="ERROR")
    world.change("healthmonitor", world.watch, admin_state_up=False)
    world.wait(world.pool, m11="NO_MONITOR", m12="NO_MONITOR", m13="NO_MONITOR")
    with Caller(world.client) as caller:
        wait_for(lambda: set(caller.next(50)) == {"one", "two"}, "both to serve unwatched")
    world.change("healthmonitor", world.watch, admin_state_up=True, expected_codes="200")
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")
    world.lab.api.delete(f"{LBAAS}/healthmonitors/{world.watch}")
    world.wait(world.pool, m11="NO_MONITOR", m12="NO_MONITOR", m13="NO_MONITOR")
    wait_for(lambda: not [m for host in world.lab.hosts for m in host.ask("member_health")["members"] if m["pool"] == world.pool], "nobody to be asked")
