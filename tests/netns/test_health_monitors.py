"""Health monitors of load balancers in tenant networks: members that die, come back, lie and answer badly.

       network "red", 10.0.0.0/24 and fd00:1::/64:   client (h1)   one (h1)   two (h2)   spare (h2, a backup)   VIP 10.0.0.200, fd00:1::200

Members' security groups let nobody in but who is in the same group, so no probe comes in by a rule."""

import contextlib
import re
import socket
import ssl
import subprocess
import threading

import pytest

from lab import ApiError, Lab
from namespaces import enter, wait_for
from test_load_balancing import LBAAS, Balancer, WebServer, serve
import http.server

PING, TCP, HTTP = {"type": "PING"}, {"type": "TCP"}, {"type": "HTTP", "url_path": "/health"}


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


class Caller:
    """Calls the VIP again and again, one connection each, and keeps who answered: a name, or what went wrong."""

    def __init__(self, workload, port=80):
        self.workload, self.port, self.said, self.over = workload, port, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def call(self):
        with socket.create_connection(("10.0.0.200", self.port), timeout=5) as connection:
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

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(10)

    def next(self, count):
        """The next 'count' answers."""
        begin = len(self.said)
        wait_for(lambda: len(self.said) >= begin + count, f"{count} answers", 30)
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
        self.one, self.two, self.spare = workload("one", h1, 11), workload("two", h2, 12), workload("spare", h2, 13)
        self.servers = {name: serve(getattr(self, name), name, Server, ("::", 8080), Web) for name in ("one", "two", "spare")}
        api.wait_active(*(w.port for w in (self.client, self.one, self.two, self.spare)))
        self.balancer = Balancer(lab, self.red4, "10.0.0.200", [(self.red6, "fd00:1::200")])
        self.listener, self.pool = self.balancer.listener("TCP", 80, [(self.red4, "10.0.0.11", 8080), (self.red4, "10.0.0.12", 8080)])
        self.balancer.make("member", f"pools/{self.pool}/members", subnet_id=self.red4["id"], address="10.0.0.13", protocol_port=8080, backup=True)

    def monitor(self, pool, delay=1, timeout=1, max_retries=1, max_retries_down=1, **attributes):
        return self.balancer.make("healthmonitor", pool_id=pool, delay=delay, timeout=timeout, max_retries=max_retries,
                                  max_retries_down=max_retries_down, **attributes)["id"]

    def statuses(self, pool):
        """{last number of the address: operating_status}"""
        return {int(re.split("[.:]", member["address"])[-1]): member["operating_status"] for member in self.balancer.members(pool)}

    def wait(self, pool, **wanted):
        wanted = {int(name[1:]): status for name, status in wanted.items()}
        wait_for(lambda: self.statuses(pool) == wanted, lambda: f"members {wanted}, not {self.statuses(pool)}", 30)

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
        wait_for(gone, f"the client's host to know that {numbers} are down", 30)

    def stream(self, who):
        """A connection through the VIP to that member, which sends for as long as it lasts."""
        for _ in range(200):
            with self.client.namespace.inside():
                connection = socket.create_connection(("10.0.0.200", 80), timeout=20)
            connection.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
            connection.recv(100)
            if ("/stream", "10.0.0.10", None, "HTTP/1.0") in self.servers[who].asked:
                self.servers[who].asked.clear()
                return connection
            connection.close()
        raise AssertionError(f"nobody gets to {who}")


@pytest.fixture(scope="module")
def world():
    with Lab(2) as lab:
        yield World(lab)


def test_members_are_watched(world):
    assert world.statuses(world.pool) == {11: "NO_MONITOR", 12: "NO_MONITOR", 13: "NO_MONITOR"}
    world.monitor(world.pool, **HTTP, expected_codes="200,204")
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")
    assert world.shown(world.pool) == ("ONLINE", "ONLINE", "ONLINE")
    assert ("/health", "10.0.0.200", "10.0.0.12:8080", "HTTP/1.0") in world.servers["two"].asked, world.servers["two"].asked[:5]


def test_a_member_that_dies_is_left_out(world):
    """Two ways to die: nothing answers any more, and the server is not well.  Connections to it end, nobody is sent to it, the others serve."""
    stream = world.stream("two")
    with stream, Caller(world.client) as caller:
        assert set(caller.next(100)) == {"one", "two"}
        world.two.namespace.ip("link", "set", "eth0", "down")
        world.wait_gone(12)
        assert set(caller.next(100)[1:]) == {"one"}, "one that began before may have failed"
        with pytest.raises(ConnectionResetError):
            stream.sendall(b"?")
            while stream.recv(65536):
                pass
        world.wait(world.pool, m11="ONLINE", m12="ERROR", m13="ONLINE")
        assert world.shown(world.pool) == ("DEGRADED", "DEGRADED", "DEGRADED")
        answer = next(m for m in world.lab.hosts[1].ask("member_health")["members"] if m["address"] == "10.0.0.12")
        assert (answer["health"], answer["type"], answer["reason"]) == ("DOWN", "HTTP", "timeout after 1 s")

        world.two.namespace.ip("link", "set", "eth0", "up")
        wait_for(lambda: set(caller.next(50)) == {"one", "two"}, "both to serve again", 30)
        world.servers["one"].status = 503
        world.wait(world.pool, m11="ERROR", m12="ONLINE", m13="ONLINE")
        world.wait_gone(11)
        assert set(caller.next(100)[1:]) == {"two"}

        world.servers["two"].status = 404
        world.wait_gone(11, 12)
        assert set(caller.next(100)[1:]) == {"spare"}, "the backup's turn"
        world.servers["spare"].status = 500
        world.wait(world.pool, m11="ERROR", m12="ERROR", m13="ERROR")
        assert world.shown(world.pool) == ("ERROR", "DEGRADED", "ERROR")
        wait_for(lambda: all("refused" in one.lower() for one in caller.next(3)), "nobody to serve, and to hear so at once")
        for server in world.servers.values():
            server.status = 204
        wait_for(lambda: set(caller.next(50)) == {"one", "two"}, "both to serve again", 30)
    world.wait(world.pool, m11="ONLINE", m12="ONLINE", m13="ONLINE")
