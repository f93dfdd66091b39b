"""What must not lose a packet, and what goes on without the API.

    sender (h1) ===== receiver (h2)      and both on one host
    sequence-numbered UDP, 50,000 packets a second, while agents are killed, restarted and upgraded
"""

import json
import os
import shutil
import signal
import subprocess

import pytest

from lab import BUILD, Lab
from namespaces import run, wait_for

RATE = int(os.environ.get("WEFT_TEST_RATE", 50000))
SEQUENCE = BUILD / "tests/tools/sequence"


class Traffic:
    """Numbered packets from one workload to another for so many seconds."""

    def __init__(self, sender, receiver, seconds, rate=RATE):
        self.receiver = receiver.popen(SEQUENCE, "receive", receiver.address, 7000, 3, stdout=subprocess.PIPE, text=True)
        assert self.receiver.stdout.readline() == "ready\n"
        self.sender = sender.popen(SEQUENCE, "send", receiver.address, 7000, rate, seconds, stdout=subprocess.PIPE, text=True)

    def result(self, what):
        sent = json.loads(self.sender.communicate()[0])
        got = json.loads(self.receiver.communicate()[0])
        print(f"{what}: sent {sent['sent']}, {got}")
        return sent, got

    def assert_nothing_lost(self, what):
        sent, got = self.result(what)
        assert got["received"] == sent["sent"], f"{what}: {got}"
        assert (got["missing"], got["duplicate"], got["reordered"]) == (0, 0, 0), f"{what}: {got}"


@pytest.fixture(scope="module")
def lab():
    with Lab(2) as lab:
        yield lab


@pytest.fixture(scope="module", params=["one host", "two hosts"])
def pair(lab, request):
    return lab.pair(lab.hosts[0], lab.hosts[0 if request.param == "one host" else 1])


def wait_for_packets(workload, n):
    """So many more frames are given to the workload."""
    received = lambda: workload.host.counters(workload.port)["rx_packets"]
    before = received()
    wait_for(lambda: received() >= before + n, f"{n} more packets at {workload.namespace.name}")


@pytest.mark.parametrize("event", ["killed", "restarted", "upgraded"])
def test_no_packet_is_lost_when_an_agent_is(lab, pair, event, tmp_path):
    a, b = pair
    a.wait_ping(b)
    traffic = Traffic(a, b, 25)
    wait_for_packets(b, RATE)  # The event is in the middle of the traffic.
    for host in {a.host, b.host}:
        if event == "killed":
            host.stop(signal.SIGKILL)
            assert a.ping(b, 2) == 2
            host.start()
        elif event == "restarted":
            assert host.stop(signal.SIGTERM) == 0
            host.start()
        else:  # Another program file takes over from the running one's tables.
            other = tmp_path / f"weft-agent-{host.name}"
            shutil.copy(BUILD / "src/agent/weft-agent", other)
            host.stop(signal.SIGTERM)
            host.start(program=other)
    wait_for_packets(b, RATE)
    assert traffic.sender.poll() is None, "the event took longer than the traffic"
    traffic.sender.terminate()
    traffic.assert_nothing_lost(event)


def test_a_restart_changes_nothing_in_the_tables(lab, pair):
    host = pair[0].host
    before = sorted(host.ask("tables")["tables"].splitlines())
    host.restart()
    assert sorted(host.ask("tables")["tables"].splitlines()) == before
    log = host.agent.text().rsplit("started", 1)[1]
    assert "rows added" not in log, log


def test_without_the_api_everything_goes_on(lab, pair):
    a, b = pair
    lab.api.stop(signal.SIGKILL)
    try:
        assert a.ping(b, 5) == 5
        # An agent that starts now knows what it knew.
        a.host.stop(signal.SIGKILL)
        a.host.start(wait=False)
        a.host.wait_ready(synced=False)
        assert a.ping(b, 5) == 5
        assert a.host.ask("status")["api"] == "disconnected"
        # An interface that comes back is found without anybody's help.
        assert {p["status"] for p in a.host.ask("status")["ports"] if p["id"] == a.port["id"]} == {"ACTIVE"}
    finally:
        lab.api.start()
    wait_for(lambda: a.host.ask("status")["api"] == "connected", "the agent to find the API again")
    assert a.ping(b, 5) == 5


def test_connections_survive_a_restart(lab, pair):
    a, b = pair
    server = b.popen("/usr/bin/python3", "-c",
                     "import socket\ns=socket.create_server(('',7001))\nprint('ready',flush=True)\nc=s.accept()[0]\n"
                     "while d:=c.recv(100): c.sendall(d)\n", stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    with a.namespace.inside():
        import socket
        client = socket.create_connection((b.address, 7001), timeout=60)
    with client:
        for number in range(6):
            client.sendall(f"{number}".encode())
            assert client.recv(100) == f"{number}".encode()
            if number in (1, 3):
                b.host.restart()
    server.communicate(timeout=60)


def test_a_second_agent_for_the_same_host_is_refused(lab):
    host = lab.hosts[0]
    done = subprocess.run(host.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "another agent uses" in done.stderr
    assert host.agent.running()


def test_detach_removes_everything():
    with Lab(2) as lab:
        a, b = lab.pair()
        host = a.host
        programs = lambda: {p["id"] for p in json.loads(run("bpftool", "-j", "prog", "show")) if p["type"] == "sched_cls"}
        maps = lambda: {m["id"] for m in json.loads(run("bpftool", "-j", "map", "show", "pinned", f"{host.pin_path}/v1/ports")) or []} \
            if os.path.exists(host.pin_path) else set()
        assert "weft-tun" in host.namespace.ip("link")
        room = host.namespace.ip("link", "show", "weft-room")
        assert "state DOWN" in room, "it must never forward"
        assert host.namespace.ip("link", "show", "master", "weft-room").count("state") > 1, "workloads have room for the header"
        host.stop()
        # Without the agent traffic still flows; after detach nothing is left to carry it.
        assert a.ping(b, 2) == 2
        before = programs()
        host.detach()
        assert not os.path.exists(host.pin_path)
        assert "weft-" not in host.namespace.ip("link")
        for interface in (a.interface, "under"):
            assert "clsact" not in host.namespace.run("tc", "qdisc", "show", "dev", interface)
        wait_for(lambda: len(before - programs()) >= 4, "the programs to be gone")
        assert a.ping(b, 1, wait=0.3) == 0
        # And it can come back.
        host.start()
        a.wait_ping(b)


def test_an_agent_tries_the_next_api_server():
    with Lab(1) as lab:
        a, b = lab.pair()
        host = lab.hosts[0]
        host.stop()
        # Flags count in their order: this one stands after the lab's.
        host.start("--api", f"http://198.18.0.99:9696,http://127.0.0.1:1,{lab.api.url}")
        assert host.ask("status")["api_url"] == lab.api.url
        assert a.ping(b, 3) == 3


def test_a_silent_api_is_left_and_found_again():
    with Lab(1) as lab:
        a, b = lab.pair()
        host = lab.hosts[0]
        with lab.api.process.paused():
            wait_for(lambda: host.ask("status")["api"] == "disconnected", "the agent to notice the silence")
            assert a.ping(b, 3) == 3
        wait_for(lambda: host.ask("status")["api"] == "connected", "the agent to be back")


def test_a_host_that_was_made_anew_joins_with_its_new_token():
    with Lab(1) as lab:
        host = lab.hosts[0]
        a, b = lab.pair()
        made = next(h for h in lab.api.get("/weft/v1/hosts")["hosts"] if h["name"] == host.name)
        token = lab.api.post(f"/weft/v1/hosts/{made['id']}/join_token", {})
        token = token.get("host", token)["join_token"]
        (lab.folder / f"{host.name}.token").write_text(token + "\n")
        host.stop()
        (host.state / "credential").write_text("not the one\n")
        host.start()
        assert host.ask("status")["api"] == "connected"
        assert (host.state / "credential").read_text() != "not the one\n"
        assert a.ping(b, 3) == 3


def test_pins_of_another_layout_go_once_the_replica_is_complete():
    with Lab(1) as lab:
        host = lab.hosts[0]
        host.stop()
        run("bpftool", "map", "create", f"{host.pin_path}/old", "type", "array", "key", "4", "value", "4", "entries", "1", "name", "old")
        os.mkdir(f"{host.pin_path}/v0")
        os.rename(f"{host.pin_path}/old", f"{host.pin_path}/v0/ports")
        host.start()
        wait_for(lambda: not os.path.exists(f"{host.pin_path}/v0"), "the old layout's pins to be gone")
