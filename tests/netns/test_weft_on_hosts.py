"""weft's commands that touch a machine: plugging devices, libvirt's taps, workloads, and what it says of live traffic.

    weft-api == h1 == h2
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import xml.etree.ElementTree

import pytest

from lab import BUILD, Lab
from namespaces import wait_for


class Weft:
    def __init__(self, lab, host):
        self.lab, self.host = lab, host
        self.environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(lab.folder), "OS_AUTH_URL": lab.api.url,
                            "OS_USERNAME": "admin", "OS_PASSWORD": lab.api.PASSWORD, "OS_PROJECT_NAME": "admin",
                            "WEFT_AGENT_SOCKET": str(host.socket)}

    def command(self, *arguments):
        return [str(word) for word in self.lab.api.namespace.command(BUILD / "src/cli/weft", *arguments)]

    def run(self, *arguments):
        return subprocess.run(self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    def __call__(self, *arguments):
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture(scope="module")
def lab():
    with Lab(2) as lab:
        yield lab


@pytest.fixture
def weft(lab):
    return Weft(lab, lab.hosts[0])


@pytest.fixture(scope="module")
def network(lab):
    network = lab.api.network("office")
    lab.api.subnet(network, "10.0.0.0/24", name="four")
    lab.api.subnet(network, "fd00::/64", name="six", ip_version=6)
    return network


@pytest.fixture(scope="module")
def peer(lab, network):
    """Something to talk to, on the other host."""
    workload = lab.workload(lab.api.port(network, lab.hosts[1], name="peer"), lab.hosts[1])
    lab.api.wait_active(workload.port)
    return workload


@pytest.fixture
def names(lab):
    """Names for namespaces of a test's own; whatever is left of them is removed."""
    made = []

    def name(part):
        made.append(lab.name(part))
        return made[-1]
    yield name
    for one in made:
        for pid in subprocess.run(["ip", "netns", "pids", one], capture_output=True, text=True).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", one], capture_output=True)


def test_any_device_can_be_plugged_and_unplugged(lab, weft, network, peer):
    workload = lab.workload(lab.api.port(network, name="any"), lab.hosts[0], interface="dev7")
    lab.hosts[0].namespace.ip("link", "set", "dev7", "up")
    weft("port", "plug", "any", "dev7")
    port = weft.json("port", "show", "any")
    assert port["binding:host_id"] == lab.hosts[0].name
    workload.wait_ping(peer)
    weft("port", "unplug", "any")
    assert weft.json("port", "show", "any")["binding:host_id"] == ""
    wait_for(lambda: workload.ping(peer, wait=1) == 0, "an unplugged device to be cut off")
    workload.delete()


def test_a_device_that_is_not_there(lab, weft, network):
    lab.api.port(network, name="nowhere")
    result = weft.run("port", "plug", "nowhere", "nodev0")
    assert result.returncode == 1 and "nodev0" in result.stderr
    assert weft.json("port", "show", "nowhere")["binding:host_id"] == ""


def test_the_hosts_own_devices_are_refused(lab, weft, network, peer):
    host = lab.hosts[0]
    port = lab.api.port(network, name="own")
    refusals = {"lo": "is the loopback", "mgmt": "is the way to", "under": "is the host's underlay", "weft-tun": "is the host's underlay",
                "weft-room": "is a bridge"}
    for device, why in refusals.items():
        for force in [], ["--force"]:
            result = weft.run("port", "plug", "own", device, *force)
            assert result.returncode == 1 and device in result.stderr and why in result.stderr, result.stderr
            assert weft.json("port", "show", "own")["binding:host_id"] == ""
    assert all("from_workload" not in host.namespace.run("tc", "filter", "show", "dev", device, "ingress", check=False)
               for device in refusals)

    workload = lab.workload(port, host, interface="dev8")
    host.namespace.ip("addr", "add", "10.99.0.1/24", "dev", "dev8")
    result = weft.run("port", "plug", "own", "dev8")
    assert result.returncode == 1 and "10.99.0.1" in result.stderr and "--force" in result.stderr
    weft("port", "plug", "own", "dev8", "--force")
    workload.wait_ping(peer)

    # While it is away the port has nothing; a device of that name that is the host's is not taken, unless it was forced.
    for forced in False, True:
        weft("port", "unplug", "own")
        host.namespace.ip("addr", "flush", "dev", "dev8")
        weft("port", "plug", "own", "dev8", *(["--force"] if forced else []))
        workload.delete()
        lab.api.wait_active(port, status="DOWN")
        with host.agent.paused():
            workload = lab.workload(port, host, interface="dev8")
            host.namespace.ip("addr", "add", "10.99.0.1/24", "dev", "dev8")
        if forced:
            workload.wait_ping(peer)
        else:
            wait_for(lambda: "gets no interface" in host.agent.text(), "the agent to say that the device is the host's")
            assert "from_workload" not in host.namespace.run("tc", "filter", "show", "dev", "dev8", "ingress", check=False)
            host.namespace.ip("addr", "flush", "dev", "dev8")
            workload.wait_ping(peer)
    weft("port", "unplug", "own")
    workload.delete()


def test_the_tap_that_libvirt_makes_becomes_the_port(lab, weft, network):
    port = lab.api.port(network, name="machine")
    element = xml.etree.ElementTree.fromstring(weft("port", "libvirt-xml", "machine", "--host", lab.hosts[0].name))
    tap, namespace = element.find("target").get("dev"), lab.hosts[0].namespace
    namespace.ip("tuntap", "add", "dev", tap, "mode", "tap")
    namespace.ip("link", "set", tap, "mtu", element.find("mtu").get("size"), "up")
    try:
        wait_for(lambda: tap in [p["interface"] for p in lab.hosts[0].ask("status")["ports"]], "the agent to find the tap")
        assert element.find("mac").get("address") == port["mac_address"]
    finally:
        namespace.ip("link", "delete", tap)


@pytest.mark.parametrize("how", ["static", "dhcp"])
def test_a_workload_from_beginning_to_end(lab, weft, network, peer, names, how):
    name, host = names(f"lab-{how}"), lab.hosts[0].namespace.name
    port = lab.api.port(network, name=f"lab-{how}")
    made = weft.json("lab", "add", name, "--port", f"lab-{how}", "--host-netns", host, "--address", how)
    assert made["interface"] == "tap" + port["id"][:11]
    address = weft("lab", "exec", name, "ip", "-brief", "address", "show", "eth0")
    assert port["fixed_ips"][0]["ip_address"] + "/24" in address
    for reached in [peer.address] + ([peer.port["fixed_ips"][1]["ip_address"]] if how == "static" else []):
        wait_for(lambda: weft.run("lab", "exec", name, "ping", "-c", "1", "-W", "1", reached).returncode == 0, f"the other host to let it reach {reached}")
    if how == "static":
        assert port["fixed_ips"][1]["ip_address"] + "/64" in address
    assert weft.run("lab", "exec", name, "sh", "-c", "exit 7").returncode == 7
    assert name in [w["name"] for w in weft.json("lab", "list")]
    weft("lab", "remove", name)
    assert not pathlib.Path("/run/netns", name).exists()
    assert made["interface"] not in lab.hosts[0].namespace.ip("-brief", "link")
    assert weft.json("port", "show", port["id"])["binding:host_id"] == ""


def test_a_workload_that_cannot_be_made_leaves_nothing(lab, weft, network, names):
    name = names("lab-bad")
    assert weft.run("lab", "add", name, "--port", "no-such-port").returncode == 3
    lab.api.port(network, name="bad")
    assert weft.run("lab", "add", name, "--port", "bad", "--host-netns", "no-such-namespace").returncode == 1
    assert not pathlib.Path("/run/netns", name).exists()
    assert weft.run("lab", "remove", name).returncode == 3


def test_drops_are_watched_as_they_happen(lab, weft, network, peer):
    command = weft.command("drops", "--port", "peer", "--follow")
    peer.namespace.ip("address", "add", "10.0.0.77/32", "dev", "eth0")
    watcher = subprocess.Popen(command, env=weft.environment, stdout=subprocess.PIPE, text=True)
    # Again until the watcher, which first takes stock, has seen it.
    spoofer = peer.popen("ping", "-q", "-i", "0.2", "-I", "10.0.0.77", "10.0.0.200", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        line = watcher.stdout.readline()
        assert re.search(r"  peer  \+\d+  spoofed_(ip|arp): ", line), line
    finally:
        spoofer.kill()
        spoofer.wait()
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=60)
        peer.namespace.ip("address", "delete", "10.0.0.77/32", "dev", "eth0")
    assert watcher.returncode == 0


def test_flows_and_counters_of_a_port(lab, weft, network, peer):
    workload = lab.workload(lab.api.port(network, lab.hosts[0], name="talker"), lab.hosts[0])
    lab.api.wait_active(workload.port)
    workload.wait_ping(peer)
    flows = weft.json("flows", "talker")
    assert [f for f in flows if f["remote"] == peer.address and f["local"] == workload.address and f["tx_packets"] >= 1], flows
    listed = weft.json("connections", "list", "--port", "talker", "--address", peer.address, "--protocol", "icmp", "--untranslated")
    assert {(one["host"], one["local"], one["remote"]) for one in listed} == {(lab.hosts[0].name, workload.address, peer.address)}
    assert weft.json("connections", "list", "--address", peer.address, "--state", "closing") == []
    refused = weft.run("connections", "delete")
    assert refused.returncode != 0 and "--all" in refused.stderr
    assert weft.json("connections", "delete", "--port", "talker", "--protocol", "icmp") == {"deleted": len(listed), "failures": []}
    assert weft.json("connections", "list", "--port", "talker", "--protocol", "icmp") == []
    (counters,) = weft.json("counters", "talker")
    assert counters["tx_packets"] >= 1 and counters["host"] == lab.hosts[0].name
    workload.delete()


def test_traces_name_each_host_and_the_reason(lab, weft, network, peer):
    workload = lab.workload(lab.api.port(network, lab.hosts[0], name="tracer"), lab.hosts[0])
    lab.api.wait_active(workload.port)

    def delivered():  # When the other host knows who is in the group.
        trace = weft.json("trace", "tracer", "--to", "peer", "--proto", "tcp", "--dport", "443")
        return trace["verdict"] == "delivered" and trace

    trace = wait_for(delivered, "the trace to reach the other host's port")
    assert [h for i, h in enumerate(s["host"] for s in trace["steps"]) if i == 0 or trace["steps"][i - 1]["host"] != h] == [
        lab.hosts[0].name, lab.hosts[1].name]
    for arguments, reason in ((["--src", "10.0.0.250"], "spoofed_ip"), (["--src-mac", "fa:16:3e:99:99:99"], "spoofed_mac"),
                              (["--dst-mac", "fa:16:3e:99:99:98"], "unknown_destination")):
        trace = weft.json("trace", "tracer", "--to", "peer", *arguments)
        assert (trace["verdict"], trace["reason"]) == ("dropped", reason)
    assert weft.json("trace", "tracer", "--to", "peer", "--ipv6")["verdict"] == "delivered"
    assert weft.json("trace", "tracer", "--dst", peer.address, "--proto", "arp")["verdict"] == "answered"
    assert weft.json("trace", "tracer", "--dst", peer.port["fixed_ips"][1]["ip_address"], "--proto", "nd")["verdict"] == "answered"
    workload.delete()
