"""An upgrade from the previous release's real agent, and back, under traffic.

    sender (h1) ===== receiver (h2)      and both on one host

Sequence-numbered UDP, 50,000 packets a second, and a TCP connection.  Nothing is lost, doubled or out of order; what 'weft flows'
says of a connection goes on from where it was; the maps that the new release does not share go with the old one's last program.
"""

import collections
import os
import re
import signal
import socket
import subprocess

import pytest

import previous
from lab import Lab
from namespaces import wait_for
from test_survival import Traffic


class Echo:
    """A TCP connection of a workload to another that answers with what it gets."""

    PORT = 7001

    def __init__(self, client, server, port=PORT):
        self.socket = None
        self.server = server.popen("/usr/bin/python3", "-c",
                                   f"import socket\ns=socket.create_server(('',{port}))\nprint('ready',flush=True)\n"
                                   "c=s.accept()[0]\nwhile d:=c.recv(100): c.sendall(d)\n", stdout=subprocess.PIPE, text=True)
        assert self.server.stdout.readline() == "ready\n"
        with client.namespace.inside():
            self.socket = socket.create_connection((server.address, port), timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.server.kill()
        self.server.communicate()

    def answers(self):
        self.socket.sendall(b"still there?")
        return self.socket.recv(100) == b"still there?"


def flow(workload, protocol, port):
    """What the host's agent says of the workload's latest such connection."""
    flows = [one for one in workload.host.ask("flows", port=workload.port["id"], limit=1000)["flows"]
             if one["protocol"] == protocol and one["remote_port"] == port]
    return min(flows, key=lambda one: one["idle_ms"], default={"tx_packets": 0})


@pytest.fixture(scope="module")
def old_agent():
    return previous.agent()


@pytest.fixture(params=["one host", "two hosts"])
def pair(request, old_agent):
    with Lab(2) as lab:
        for host in lab.hosts:
            host.stop()
            host.detach()
            host.start(program=old_agent)
        a, b = lab.pair(lab.hosts[0], lab.hosts[0 if request.param == "one host" else 1])
        callers = lab.api.post("/v2.0/security-groups", {"security_group": {"name": "callers"}})["security_group"]
        lab.api.open_default_groups()
        lab.api.update_port(a.port, security_groups=[callers["id"]]) # Nobody may call it: answers pass because the connection is known.
        yield a, b


def wait_sent(port_of, n):
    """So many more packets of the workload have been counted, by whichever release."""
    before = port_of.host.counters(port_of.port)["tx_packets"]
    wait_for(lambda: port_of.host.counters(port_of.port)["tx_packets"] > before + n, "traffic to be under way")


def replaced(names):
    """The maps of which another layout is there as well ("fragments" beside "fragments-2")."""
    maps = collections.Counter(re.sub(r"-[0-9]+$", "", name) for name in names)
    return [name for name, n in maps.items() if n > 1]


def under_way(a, b):
    traffic = Traffic(a, b, 40)
    wait_sent(a, 20000)
    return traffic


def replace(hosts, program, traffic, sender):
    """Another release takes over from the running one, in the middle of the traffic."""
    for host in hosts:
        assert host.stop(signal.SIGTERM) == 0
        host.start(program=program)
    wait_sent(sender, 20000)
    assert traffic.sender.poll() is None, "the event took longer than the traffic"


def test_an_upgrade_and_the_way_back_lose_nothing(pair, old_agent):
    a, b = pair
    hosts = sorted({a.host, b.host}, key=lambda host: host.name)
    pins = f"{a.host.pin_path}/v1"
    a.wait_ping(b)
    with Echo(a, b) as echo, Echo(a, b, Echo.PORT + 2) as quiet:
        assert echo.answers() and quiet.answers()
        os.symlink("fragments-2", f"{pins}/fragments") # As if left by the release before that one.

        traffic = under_way(a, b)
        before, tcp_before = flow(a, "udp", 7000), flow(a, "tcp", Echo.PORT)
        replace(hosts, None, traffic, a)
        after = flow(a, "udp", 7000)
        assert after["state"] == "established"
        assert after["tx_packets"] >= before["tx_packets"] and after["tx_bytes"] >= before["tx_bytes"]
        assert echo.answers()
        tcp_after = flow(a, "tcp", Echo.PORT)
        assert tcp_after["state"] == "established"
        assert tcp_after["tx_packets"] > tcp_before["tx_packets"]
        assert flow(a, "tcp", Echo.PORT)["idle_ms"] < 5000
        traffic.sender.terminate()
        traffic.assert_nothing_lost("upgrade")
        wait_for(lambda: not replaced(os.listdir(pins)), "the old release's maps to go")
        assert flow(a, "tcp", Echo.PORT)["tx_packets"] >= tcp_after["tx_packets"]
        assert flow(a, "tcp", Echo.PORT + 2)["state"] == "established", "what says nothing meanwhile is taken over, too"
        assert quiet.answers()

        # Back: the old release goes on with the entries, makes the map that it misses, and nobody notices.
        traffic = under_way(a, b)
        replace(hosts, old_agent, traffic, a)
        assert echo.answers()
        traffic.sender.terminate()
        traffic.assert_nothing_lost("downgrade")

        # And forward again, over what both left behind.
        traffic = under_way(a, b)
        replace(hosts, None, traffic, a)
        assert echo.answers()
        with Echo(a, b, Echo.PORT + 1) as another:
            assert another.answers()
        traffic.sender.terminate()
        traffic.assert_nothing_lost("second upgrade")
