"""A pair of directors with one file: the second goes on with the connections of the first, and the first, when it is back, with the second's."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from director_lab import DirectorLab, SERVERS, VIP4, VIP6, address, request, server, service
from lab import BUILD, Process
from namespaces import wait_for
from xdp_peer import pass_everything

OTHER = {"director": "director2", "director2": "director"}
NUMBERS = {"director": 2, "director2": 3}
LOCAL = address(4)


class Pair(DirectorLab):
    def _build(self):
        super()._build()
        self._host("director2", 3)
        pass_everything(self.namespaces["lan"].name, "director2")
        for name in OTHER:  # Addresses of IPv6 stay when the link is down, as those of IPv4 do.
            self.namespaces[name].run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down")
        (self.folder / "key").write_text("nobody guesses these words\n")
        (self.folder / "key").chmod(0o600)
        self.agents = {}

    def close(self):
        for agent in getattr(self, "agents", {}).values():
            agent.stop()
        if "director2" in self.namespaces:
            self.namespaces["director2"].run(BUILD / "src/agent/weft-agent", "--config", self.config, "detach", check=False)
        super().close()

    def run_director(self, name, config=None):
        def end(which):
            return f"{address(NUMBERS[which])}:9797"
        self.agents[name] = Process(self.namespaces[name].command(
            BUILD / "src/agent/weft-agent", "--config", config or self.config, "--socket", self.folder / name, "--peer", end(OTHER[name]), "--peer-listen", end(name),
            "--peer-key-file", self.folder / "key"), self.folder / f"{name}.log")
        wait_for(lambda: self.said(name) or not self.agents[name].running(), "the director to listen")
        assert self.agents[name].running(), self.agents[name].text()
        self.agents[name].may_stutter()

    def said(self, name, operation="director"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.folder / name))
            connection.sendall(json.dumps({"operation": operation}).encode() + b"\n")
            with connection.makefile() as answer:
                return json.loads(answer.readline())

    def move_to(self, name):
        """What keepalived does: the virtual address, full NAT's, and the servers' way out, are that director's now."""
        self.namespaces[OTHER[name]].ip("addr", "del", f"{LOCAL}/24", "dev", "eth0", check=False)
        self.namespaces[name].ip("addr", "replace", f"{LOCAL}/24", "dev", "eth0")
        for one in SERVERS:  # As a gratuitous ARP does.
            self.namespaces[one].ip("neigh", "flush", "to", LOCAL)
        self.namespaces["client"].ip("route", "replace", f"{VIP4}/32", "via", address(NUMBERS[name]))
        self.namespaces["client"].ip("-6", "route", "replace", f"{VIP6}/128", "via", address(NUMBERS[name], 6))
        for one in SERVERS:
            self.namespaces[one].ip("route", "replace", address(100), "via", address(NUMBERS[name]))

    def die(self, name):
        self.agents[name].stop(signal.SIGKILL)
        self.namespaces[name].ip("link", "set", "eth0", "down")

    def come_back(self, name):
        self.namespaces[name].ip("link", "set", "eth0", "up")
        self.run_director(name)

    def established(self, name):
        return sum("ESTABLISHED" in one for one in self.said(name, "director-connections")["connections"])

    def knows(self, name, connection):
        port = connection.sock.getsockname()[1]
        return any(port in one for one in self.said(name, "director-connections")["connections"])

    def same_rows(self, name):
        """Of the hash service, as far as that director knows."""
        services = self.said(name)["services"]  # Of one that waits for the other's rows there are none yet.
        return services and services[-1].get("same_rows")

    def n_servers(self, name):
        """Of the hash service."""
        services = self.said(name)["services"]  # As above.
        return len(services[-1]["servers"]) if services else 0

    def write_services(self, *more):
        """The last is a hash service, which remembers nothing."""
        both = [server(11), server(12)]
        self.write([service(both, scheduler="rr", scheduler_flags=[]),
                    service([dict(one, forwarding="nat") for one in both], port=8001, scheduler="rr", scheduler_flags=[]),
                    service([dict(one, forwarding="nat") for one in both], port=8002, scheduler="rr", scheduler_flags=[], persistence={"timeout_s": 300}),
                    service([dict(one, forwarding="full-nat") for one in both], port=8003, scheduler="rr", scheduler_flags=[]),
                    service([server(11, 6), server(12, 6), *more], 6)], local_addresses=[LOCAL])


@pytest.fixture(scope="module")
def pair():
    with Pair() as pair:
        pair.write_services()
        pair.run_director("director")
        pair.run_director("director2")
        pair.move_to("director")
        yield pair


def test_established_connections_go_on_by_the_other_director(pair):
    for port in (80, 8001, 8002, 8003):
        wait_for(lambda: pair.answers(port=port), f"an answer on port {port}")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(pair.connection(port=port)) for port in (80, 8001, 8003) for _ in range(20)]
        held = stack.enter_context(pair.connection(port=8002))
        names = [request(connection)[0] for connection in connections]
        name = request(held)[0]
        assert set(names[:20]) == set(names[20:40]) == set(names[40:]) == set(SERVERS)
        upload = stack.enter_context(pair.connection(port=8001))
        upload.putrequest("POST", "/")
        upload.putheader("Content-Length", "2000000")
        upload.endheaders(b"x" * 1_000_000)
        wait_for(lambda: pair.established("director2") >= 62, "the second director to know them")
        for now, before in (("director2", "director"), ("director", "director2")):
            pair.die(before)
            pair.move_to(now)
            assert [request(connection)[0] for connection in connections] == names
            assert request(held)[0] == name
            with pair.connection(port=8002) as another:  # The client is held to its server, there too.
                assert request(another)[0] == name
            if now == "director2":
                upload.send(b"x" * 1_000_000)
                assert int(upload.getresponse().read().split()[1]) == 2_000_000
            fresh = [stack.enter_context(pair.connection(port=port)) for port in (8001, 8003)]  # Begun here, they must be known there.
            connections += fresh
            names += [request(one)[0] for one in fresh]
            pair.come_back(before)
            wait_for(lambda: all(pair.knows(before, one) for one in fresh), "the director that is back to know what began meanwhile")
        for name in pair.agents:  # Taken once, however often they were told.
            wait_for(lambda: sum(one["active"] for one in pair.said(name)["services"][0]["servers"]) == 20, f"{name} to count the twenty")


def test_rows_of_hash_services_are_in_common(pair):
    """A director that starts has the rows that the other one came to have, and so its connections, of which nobody remembers anything."""
    gone = [server(number, 6) for number in (13, 14, 15)]
    for more in (gone, []):  # Rows that a director which has seen nothing would not have.
        pair.write_services(*more)
        wait_for(lambda: all(pair.n_servers(name) == 2 + len(more) for name in pair.agents), "both to have the servers")
    second = pair.namespaces["director2"]

    def begin_anew(config=None):
        pair.agents["director2"].stop()
        second.run(BUILD / "src/agent/weft-agent", "--config", pair.config, "detach")
        pair.run_director("director2", config)
    other = pair.folder / "other.conf"
    file = json.loads(pair.config.read_text())
    file["services"][-1]["servers"][0]["weight"] = 3
    other.write_text(json.dumps(file))
    begin_anew(other)
    for name in pair.agents:
        wait_for(lambda: "the other director has other rows of tcp [2001:db8:5::1]:80" in pair.agents[name].text(), "both to say that they differ")
    listing = subprocess.run([BUILD / "src/cli/weft", "lb", "list", "--socket", pair.folder / "director"], capture_output=True, text=True, timeout=60)
    assert "tcp [2001:db8:5::1]:80: the other director has other rows" in listing.stderr and listing.returncode == 0
    wait_for(lambda: pair.answers(version=6) and pair.answers(), "answers")
    with contextlib.ExitStack() as stack:
        known = stack.enter_context(pair.connection())
        request(known)
        begin_anew()
        wait_for(lambda: pair.same_rows("director2") and pair.same_rows("director"), "the two to have the same rows")
        wait_for(lambda: pair.knows("director2", known), "the second director to know a connection that it was told before it had rows")
        connections = [stack.enter_context(pair.connection(version=6)) for _ in range(30)]
        names = [request(connection)[0] for connection in connections]
        assert set(names) == set(SERVERS)
        for name in ("director2", "director"):
            pair.move_to(name)
            assert [request(connection)[0] for connection in connections] == names


def test_what_got_lost_on_the_way_is_told_again(pair):
    """A connection that begins while the second director hears nothing, and that the first believes to have told twice."""
    deaf = pair.namespaces["director2"]
    deaf.run("nft", "add table inet deaf; add chain inet deaf in { type filter hook input priority 0; };"
                    "add rule inet deaf in udp dport 9797 udp length > 150 counter drop; add rule inet deaf in udp dport 9797 counter drop")

    def lost():
        """How many datagrams with connections, and how many others, of which there is one a second."""
        return [int(n) for n in re.findall(r"counter packets (\d+)", deaf.run("nft", "list", "table", "inet", "deaf"))]
    try:
        wait_for(lambda: pair.answers(), "an answer")
        told, others = lost()
        with pair.connection() as connection:
            request(connection)
            wait_for(lambda: all(now >= wanted for now, wanted in zip(lost(), (told + 2, others + 4))), "it to be told in vain")
            assert not pair.knows("director2", connection)
            deaf.run("nft", "delete", "table", "inet", "deaf")
            wait_for(lambda: pair.knows("director2", connection), "the second director to know it")
    finally:
        deaf.run("nft", "delete", "table", "inet", "deaf", check=False)


@pytest.mark.parametrize("wrong, text", [("mode", "may be read by others"), ("owner", "is another user's"), ("kind", "is not a file")])
def test_a_key_that_is_not_ours_alone_is_refused(pair, wrong, text):
    key = pair.folder / "open"
    key.unlink(missing_ok=True)
    if wrong == "kind":
        os.mkfifo(key, 0o600)
    else:
        key.write_text("everybody may read these words\n")
        key.chmod(0o644 if wrong == "mode" else 0o600)
        os.chown(key, 65534 if wrong == "owner" else 0, 0)
    third = Process(pair.namespaces["client"].command(
        BUILD / "src/agent/weft-agent", "--config", pair.config, "--socket", pair.folder / "x", "--peer", "10.1.0.2:9797", "--peer-listen", "10.1.0.100:9797",
        "--peer-key-file", pair.folder / "open"), pair.folder / "x.log")
    wait_for(lambda: not third.running(), "it to refuse")
    assert text in third.text()


def test_a_director_does_not_wait_for_the_way_to_the_other(pair):
    """The link between them has no address while the other end is off: this one balances all the same, and finds the other when there is a way."""
    lan = pair.namespaces["lan"]
    alone = Process(lan.command(
        BUILD / "src/agent/weft-agent", "--config", pair.config, "--socket", pair.folder / "alone", "--peer", "10.77.0.3:9797", "--peer-listen", "10.77.0.2:9797",
        "--peer-key-file", pair.folder / "key"), pair.folder / "alone.log")
    try:
        wait_for(lambda: "director started" in alone.text() or not alone.running(), "the director to start")
        assert "there is no way to the other director" in alone.text()
        wait_for(lambda: pair.said("alone")["services"], "it to balance")
        lan.ip("addr", "add", "10.77.0.2/24", "dev", "bridge")
        wait_for(lambda: "there is a way to the other director" in alone.text(), "the director to find the way")
        assert alone.running()
    finally:
        alone.stop()
        lan.run(BUILD / "src/agent/weft-agent", "--config", pair.config, "detach", check=False)
        lan.ip("addr", "flush", "dev", "bridge")
