"""Changes under traffic, a noisy tenant, hostile packets at every stage, and real clients, all through routers, NAT and tunnels.

      far 198.51.100.7 -- 1300 -- outside 203.0.113.1 ---- up0 of h1 and of h2
                                      | gateway of x: SNAT, floating IPs
      client (h1) -- net a, 1450 -- router x -- net b, 1400 -- router y -- net c, 1450 -- server (h2)
                                                    near (h1), floating IP
      mallory (h1) -- another project's net, with the addresses of net a -- target (h2)"""

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys

import pytest
from scapy.all import ICMP, IP, TCP, UDP, Ether, IPOption, Raw

from lab import Lab
from load import FAR, Cloud, Load, Talk
from namespaces import run, wait_for
from test_security_groups import LISTENER

UDP_ECHO = """
import socket, sys
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", int(sys.argv[1])))
print("ready", flush=True)
while True:
    server.sendto(*server.recvfrom(2000))
"""


@pytest.fixture(scope="module")
def cloud():
    with Lab(2, agent_options=("--uplinks", "physnet1:up0")) as lab:
        cloud = Cloud(lab)
        try:
            cloud.wait()
            for where in (cloud.server, cloud.near, cloud.outside.far):
                cloud.serve(where, sys.executable, "-c", LISTENER, 7001)
                cloud.serve(where, sys.executable, "-c", UDP_ECHO, 7002)
            wait_for(lambda: cloud.client.ping(FAR, wait=1), "the world to be reached")
            yield cloud
        except BaseException:
            lab.show_logs()
            raise
        finally:
            cloud.close()


@contextlib.contextmanager
def applied(*hosts):
    """What is done inside has reached the hosts' tables at the end."""
    before = [host.ask("tables")["tables"] for host in hosts]
    yield
    for host, tables in zip(hosts, before):
        wait_for(lambda: host.ask("tables")["tables"] != tables, f"{host.name} to apply a change")


def test_changes_lose_nothing_that_is_allowed_before_and_after(cloud):
    lab, api, (h1, h2) = cloud.lab, cloud.api, cloud.lab.hosts
    with Load(cloud):
        # Rules: one more, gone again; the one that lets it in is replaced; a group more on the port.
        with applied(h1, h2):
            rule = cloud.groups.allow(cloud.mine, ports=7777)
        with applied(h1, h2):
            cloud.groups.forbid(rule)
        with applied(h1, h2):
            other = [cloud.groups.allow(cloud.mine, protocol=None, ethertype=ethertype) for ethertype in ("IPv4", "IPv6")]
        with applied(h1, h2):
            for one in cloud.let_in:
                cloud.groups.forbid(one)
        with applied(h1, h2):
            cloud.let_in = [cloud.groups.allow(cloud.mine, protocol=None, ethertype=ethertype, remote_group=cloud.mine)
                            for ethertype in ("IPv4", "IPv6")]
        with applied(h1, h2):
            for one in other:
                cloud.groups.forbid(one)
        more = cloud.groups.new("more", *({"ports": 8000 + n} for n in range(30)))
        for groups in ([cloud.mine, more], [cloud.mine]):
            with applied(h2):
                api.update_port(cloud.server.port, security_groups=[group["id"] for group in groups])
        # Who is in the group.
        with applied(h1, h2):
            member = api.port(cloud.networks["b"], security_groups=[cloud.mine["id"]])
        with applied(h1, h2):
            api.delete(f"/v2.0/ports/{member['id']}")
        # Routers: an interface elsewhere, routes, a floating IP.
        network = api.network("d")
        d = api.subnet(network, "10.4.0.0/24")
        for what in ("add", "remove"):
            with applied(h1, h2):
                api.put(f"/v2.0/routers/{cloud.y['id']}/{what}_router_interface", {"subnet_id": d["id"]})
        routes = api.get(f"/v2.0/routers/{cloud.x['id']}")["router"]["routes"]
        for extra in ([{"destination": "10.77.0.0/16", "nexthop": cloud.y_on_b[4]}], []):
            with applied(h1, h2):
                api.put(f"/v2.0/routers/{cloud.x['id']}", {"router": {"routes": routes + extra}})
        with applied(h1):
            floating = api.post("/v2.0/floatingips", {"floatingip": {"floating_network_id": cloud.external, "port_id": cloud.near.port["id"]}})
        with applied(h1):
            api.delete(f"/v2.0/floatingips/{floating['floatingip']['id']}")
        # A workload comes and goes, on the client's host and in the network between.
        with applied(h1):
            port = api.port(cloud.networks["b"], h1, security_groups=[cloud.mine["id"]])
            workload = lab.workload(port, h1, mtu=1400)
            api.wait_active(port)
        workload.delete()
        lab.workloads.remove(workload)
        with applied(h1):
            api.delete(f"/v2.0/ports/{port['id']}")
        # Agents.
        h1.restart(signal.SIGKILL)
        h2.restart(signal.SIGTERM)


# ---- what hostile tenants and strangers send ---------------------------------------------------------------------------------------------


class Noisy:
    """A tenant of its own, with the addresses of net a: mallory on h1, who may send anything; target on h2, who lets in TCP port 80."""

    def __init__(self, cloud):
        lab, api = cloud.lab, cloud.api
        project, token = api.project("noisy")
        network = api.network("noisy", token=token)
        subnet = api.subnet(network, "10.1.0.0/24", token=token)
        self.router = api.post("/v2.0/routers", {"router": {"name": "z"}}, token=token)["router"]
        api.put(f"/v2.0/routers/{self.router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
        self.router_mac = api.get(f"/v2.0/ports?device_id={self.router['id']}")["ports"][0]["mac_address"]
        closed = cloud.groups.new("closed", {"ports": 80}, project_id=project)
        self.mallory = lab.workload(api.port(network, lab.hosts[0], token=token), lab.hosts[0])
        self.target = lab.workload(api.port(network, lab.hosts[1], token=token, security_groups=[closed["id"]]), lab.hosts[1])
        api.wait_active(self.mallory.port, self.target.port)
        cloud.serve(self.target, sys.executable, "-c", LISTENER, 80)
        with self.mallory.namespace.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind(("eth0", 0))

    def frame(self, *layers, to=None, **ip):
        frame = Ether(src=self.mallory.port["mac_address"], dst=to or self.target.port["mac_address"])
        frame /= IP(src=self.mallory.address, **{"dst": self.target.address, **ip})
        for layer in layers:
            frame /= layer
        return bytes(frame)

    def send(self, *frames):
        for frame in frames:
            self.socket.send(frame)

    def close(self):
        self.socket.close()


@pytest.fixture(scope="module")
def noisy(cloud):
    made = Noisy(cloud)
    yield made
    made.close()


@contextlib.contextmanager
def counted(workload, **reasons):
    """What is done inside is counted as so many drops, at least, of the workload's port; of its host where the port is not known."""
    host = workload if not hasattr(workload, "port") else workload.host
    port = getattr(workload, "port", None)
    before = host.drops(port)
    yield
    for reason, n in reasons.items():
        wait_for(lambda: host.drops(port).get(reason, 0) >= before.get(reason, 0) + n, f"{n} drops by {reason}")


def test_a_noisy_tenant_is_counted_and_disturbs_nobody(cloud, noisy):
    mallory, target = noisy.mallory, noisy.target
    talk = Talk(mallory.namespace, target.address, 80)
    source = talk.socket.getsockname()[1]
    with Load(cloud, numbered=False):
        with counted(target, policy_ingress=1000):  # A port scan.
            noisy.send(*(noisy.frame(TCP(sport=40000, dport=1000 + port, flags="S")) for port in range(1000)))
        with counted(mallory, tcp_window=90):  # Segments of a real connection, at any place but the right one.
            start = random.randrange(1 << 32)
            noisy.send(*(noisy.frame(TCP(sport=source, dport=80, flags=flags, seq=(start + n * 0x10000001) % (1 << 32), ack=n))
                         for n in range(50) for flags in ("A", "R")))
        talk.say(b"it did not end")
        with counted(target, policy_ingress=3):  # Errors about what the target never sent; a redirect.
            quotes = [IP(src=target.address, dst=mallory.address) / UDP(sport=53, dport=53), IP(src=target.address, dst=FAR) / TCP(sport=80, dport=1)]
            noisy.send(*(noisy.frame(ICMP(type=3, code=4, nexthopmtu=68), quote) for quote in quotes), noisy.frame(ICMP(type=5, code=1), quotes[0]))
        with counted(mallory, fragment_header=2, fragment_unknown=1):
            whole = bytes(TCP(sport=50000, dport=80, flags="S")) + bytes(28)
            noisy.send(noisy.frame(Raw(whole), proto=6, flags="MF", id=7),                # Let in;
                       noisy.frame(Raw(whole[8:]), proto=6, flags="MF", frag=1, id=7),     # this would write over its flags,
                       noisy.frame(Raw(whole[8:]), proto=6, frag=5, id=7),                 # and this over its data: the target's business.
                       noisy.frame(Raw(whole[:8]), proto=6, flags="MF", id=8),             # Hides the flags.
                       noisy.frame(Raw(whole), proto=6, frag=6, id=9))                     # Of nothing.
        told = mallory.host.counters(mallory.port)["rx_packets"]
        with counted(mallory, ttl_exceeded=2000):  # The router tells a few of them.
            noisy.send(*(noisy.frame(UDP(sport=n, dport=33434), to=noisy.router_mac, dst="192.0.2.77", ttl=n % 2) for n in range(2000)))
        assert mallory.host.counters(mallory.port)["rx_packets"] - told < 1000
        with counted(mallory, router_itself=1):  # Who names the router as a station on the way gets nowhere.
            option = IPOption(b"\x83\x07\x04" + socket.inet_aton(target.address) + b"\0")
            noisy.send(noisy.frame(UDP(sport=1, dport=80), to=noisy.router_mac, dst="10.1.0.1", options=option))
        talk.say(b"still there")
        with counted(mallory, connection_limit=1000):  # A SYN flood, until the project has its share of the table.
            frame = bytearray(noisy.frame(TCP(sport=1, dport=80, flags="S")))
            for n in range(300000):
                frame[34:38] = (1024 + n % 60000).to_bytes(2, "big") + (80 if n < 60000 else 1000 + n // 60000).to_bytes(2, "big")
                noisy.socket.send(frame)
                if n % 20000 == 19999 and mallory.host.drops(mallory.port).get("connection_limit", 0) >= 1000:
                    break
        talk.say(b"an established one is kept")
        talk.close()


def test_strangers_and_broken_hosts_are_counted_and_disturb_nobody(cloud):
    (h1, h2), server = cloud.lab.hosts, cloud.server
    vni = cloud.api.get(f"/v2.0/networks/{cloud.networks['a']['id']}")["network"]["provider:segmentation_id"]
    client_mac = bytes.fromhex(cloud.client.port["mac_address"].replace(":", ""))

    def header(vni=vni, kind=0, hops=0, flags=0x08100000):
        return flags.to_bytes(4, "big") + vni.to_bytes(3, "big") + bytes([kind << 4 | hops])

    def inner(destination=client_mac, source=b"\2\0\0\0\0\1", content=b"\x08\0"):
        return destination + source + content

    with h2.namespace.inside():
        host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with cloud.lab.control.inside():
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with cloud.outside.far.inside():
        outside = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    cloud.lab.control.ip("addr", "add", "192.0.2.99/24", "dev", "under")
    stranger.bind(("192.0.2.99", 0))
    with host, stranger, outside, Load(cloud, numbered=False):
        tunnel = ("192.0.2.1", 4790)
        with counted(h1, unknown_peer=1):
            stranger.sendto(header() + inner() + bytes(40), tunnel)
        with counted(h1, tunnel_header=5, unknown_network=1, truncated=1):
            for payload in (bytes(60), header(flags=0x08200000) + inner(), header(kind=9) + inner(), header(kind=1) + inner(),
                            header() + inner(source=b"\3\0\0\0\0\1"), header(vni=0xfffffe) + inner(), header()):
                host.sendto(payload + (bytes(40) if len(payload) > 8 else b""), tunnel)
        with counted(h1, truncated=1, bad_header=1):
            host.sendto(header() + inner() + b"\x45\0\0\x30", tunnel)
            host.sendto(header() + inner() + b"\x4f" + bytes(30), tunnel)
        # Errors from outside about connections that nobody has, and some that claim to be one's own.
        address = cloud.api.get(f"/v2.0/routers/{cloud.x['id']}")["router"]["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]
        before = [one.drops().get("unknown_translation", 0) for one in (h1, h2)]
        for port in range(2000, 2100):
            for quote in (IP(src=address, dst=FAR) / TCP(sport=port, dport=7001), IP(src=address, dst=FAR) / UDP(sport=port, dport=9)):
                outside.sendto(bytes(IP(src=FAR, dst=address) / ICMP(type=3, code=4, nexthopmtu=68) / quote), (address, 0))
        wait_for(lambda: sum(one.drops().get("unknown_translation", 0) for one in (h1, h2)) >= sum(before) + 100, "forged errors to be counted")
        # Whatever the bytes.
        seed = random.randrange(1 << 30)
        print(f"seed {seed}")
        chance = random.Random(seed)
        for _ in range(500):
            host.sendto(header(kind=chance.randrange(16), hops=chance.randrange(16)) + inner() + chance.randbytes(chance.randrange(100)), tunnel)
    cloud.lab.control.ip("addr", "del", "192.0.2.99/24", "dev", "under")
    assert h1.agent.running() and h2.agent.running()
    assert cloud.client.ping(server.address, 3) == 3


# ---- who looks like whom, and from where ----------------------------------------------------------------------------------------------


def test_one_source_port_to_a_floating_ip_and_to_its_member(cloud):
    """Two connections of one client port, which end at one server port: by the floating IP and directly, from inside and from outside."""
    api = cloud.api
    body = {"floating_network_id": cloud.external, "port_id": cloud.near.port["id"]}
    floating = api.post("/v2.0/floatingips", {"floatingip": body})["floatingip"]
    address = floating["floating_ip_address"]
    try:
        wait_for(lambda: address in cloud.near.host.ask("tables")["tables"], "the floating IP to be there")
        talks = [Talk(cloud.client.namespace, to, 7001, source=5555) for to in (cloud.address("b1", 4), address)]
        talks += [Talk(cloud.outside.far, address, 7001, source=5555), Talk(cloud.near.namespace, address, 7001, source=5555),
                  Talk(cloud.near.namespace, cloud.address("c2", 4), 7001, source=5555)]
        for n, talk in enumerate([*talks, *reversed(talks)]):
            talk.say(f"who am I? {n}".encode() * 50)
        for talk in talks:
            talk.close()
    finally:
        api.delete(f"/v2.0/floatingips/{floating['id']}")


def test_a_rule_that_goes_ends_what_flows_back_too(cloud):
    """The client opened the connection; what the server sends ends with the client's leave to be there, and with the server's to let it in."""
    groups, client, server = cloud.groups, cloud.client, cloud.server
    anybody = groups.new("anybody", {})
    for side, other, direction in ((server, client, "ingress"), (client, server, "egress")):
        one = groups.new("one")
        rule = groups.allow(one, direction)
        with applied(side.host, other.host):
            cloud.api.update_port(other.port, security_groups=[cloud.mine["id"], anybody["id"]])
            cloud.api.update_port(side.port, security_groups=[one["id"]])
        talk = Talk(client.namespace, cloud.address("c2", 4))
        with applied(side.host):
            groups.forbid(rule)
        received = client.host.counters(client.port)["rx_packets"]
        talk.socket.settimeout(0.3)
        talk.socket.sendall(b"anybody?")
        with pytest.raises(OSError):
            assert talk.socket.recv(10)
        talk.close()
        assert client.host.counters(client.port)["rx_packets"] - received <= 1
        for workload in (client, server):
            cloud.api.update_port(workload.port, security_groups=[cloud.mine["id"]])
        client.wait_ping(cloud.address("c2", 4))


# ---- real clients ----------------------------------------------------------------------------------------------------------------------


def hops(workload, to, *options):
    """Who answered at each TTL."""
    out = workload.run("traceroute", "-n", "-q", 1, "-w", 30, "-m", 8, *options, to)
    return [line.split()[1] for line in out.splitlines()[1:]]


def test_traceroute_through_routers_and_nat(cloud):
    client, near = cloud.client, cloud.near
    for options in ([], ["-I"], ["-T", "-p", 7001]):
        assert hops(client, cloud.address("c2", 4), *options) == ["10.1.0.1", cloud.y_on_b[4], cloud.address("c2", 4)]
        assert hops(client, cloud.address("c2", 6), *options) == ["fd01::1", cloud.y_on_b[6], cloud.address("c2", 6)]
        assert hops(near, FAR, *options) == ["10.2.0.1", "203.0.113.1", FAR]


def arrives(workload, to, size, *options, wait=30):
    return workload.run("ping", "-n", "-q", "-c", 1, "-W", wait, "-s", size, *options, to, check=False).count(" 1 received") == 1


def test_every_size_passes_with_and_without_dont_fragment(cloud):
    """Ports have groups, so fragments follow their first one; the way through the world narrows to 1300 bytes behind NAT."""
    client = cloud.client
    # Who does not know the path's MTU sends fragments that are too large on the way; all of a packet come in the order that they were sent in.
    for one in (client, cloud.server):
        one.run("ip", "route", "flush", "cache")
    for to in (cloud.address("b1", 4), cloud.address("c2", 4)):
        assert all(arrives(client, to, 4000, "-M", "dont") for _ in range(10)), to
        assert " mtu " not in client.run("ip", "route", "get", to), to
    for to, header, narrow in ((cloud.address("c2", 4), 28, 1400), (cloud.address("c2", 6), 48, 1400), (FAR, 28, 1300)):
        # Both sides are told the path's MTU.
        back = cloud.address("a1", 6 if ":" in to else 4)
        for sender, target in [(client, to)] + ([(cloud.server, back)] if to != FAR else []):
            arrives(sender, target, narrow + 40 - header, "-M", "do", wait=0.2)
            wait_for(lambda: f"mtu {narrow}" in sender.run("ip", "route", "get", target), f"the path MTU to {target}")
        for size in (narrow - header + more for more in (-9, -1, 0, 1, 8)):
            fits = size <= narrow - header
            assert arrives(client, to, size, "-M", "do", wait=30 if fits else 0.2) == fits, (to, size)
            assert arrives(client, to, size, "-M", "dont"), (to, size)
        assert arrives(client, to, 4000), to


def test_iperf3_in_both_families_and_directions(cloud):
    cases = [(cloud.server, cloud.client, cloud.address("c2", 4)), (cloud.server, cloud.client, cloud.address("c2", 6)), (cloud.outside.far, cloud.client, FAR)]
    for server, client, to in cases:
        for options in (["-n", "4M"], ["-n", "4M", "-R"], ["-n", "100K", "-u", "-b", "10M", "-l", 1200]):
            process = cloud.serve(server, "iperf3", "-s", "-1", "--forceflush", ready="")
            wait_for(lambda: "Server listening" in process.stdout.readline(), "iperf3")
            out = json.loads(client.run("iperf3", "-J", *options, "-c", to, timeout=60))
            end = out["end"]["sum"] if "-u" in options else out["end"]["sum_received"]
            assert end["bytes"] >= 100000, out["end"]
            assert end.get("lost_percent", 0) < 1, end
            process.communicate(timeout=60)


def test_dig_asks_a_name_server_at_every_place(cloud, tmp_path):
    (tmp_path / "hosts").write_text("".join(f"10.0.{n // 250}.{n % 250 + 1} many.test\n" for n in range(100)))
    for where, addresses in ((cloud.server, (cloud.address("c2", 4), cloud.address("c2", 6))), (cloud.outside.far, (FAR,))):
        cloud.serve(where, "dnsmasq", "-k", "-p", 53, "--no-resolv", "--no-hosts", "--bind-interfaces", "--conf-file=/dev/null", "--pid-file=",
                    f"--addn-hosts={tmp_path}/hosts", "--address=/one.test/192.0.2.55", "--user=root", "--edns-packet-max=4096", ready="")
        for address in addresses:
            ask = lambda *what: cloud.client.run("dig", "+short", "+time=10", "+tries=1", f"@{address}", *what, check=False).split()
            wait_for(lambda: ask("one.test") == ["192.0.2.55"], f"a name at {address}")
            assert ask("+tcp", "one.test") == ["192.0.2.55"]
            assert len(ask("+bufsize=512", "many.test")) == 100  # Is cut, and asked for again by TCP.


def test_an_ssh_session_goes_on_while_an_agent_restarts(cloud, tmp_path):
    """Through two routers and the tunnel, and from outside to a floating IP."""
    api = cloud.api
    for name in ("host", "client"):
        run("ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", tmp_path / name)
    run("/usr/lib/dropbear/dropbearconvert", "openssh", "dropbear", tmp_path / "host", tmp_path / "host.dropbear")
    floating = api.post("/v2.0/floatingips", {"floatingip": {"floating_network_id": cloud.external, "port_id": cloud.near.port["id"]}})["floatingip"]
    # The server looks for keys in the home of who logs in: it gets one of its own.
    serve = f"mount -t tmpfs -o mode=700 none /root && mkdir -m 700 /root/.ssh && cp {tmp_path}/client.pub /root/.ssh/authorized_keys && " \
            f"exec dropbear -F -E -s -p 2222 -r {tmp_path}/host.dropbear -P {tmp_path}/$$"
    sessions = []
    try:
        for server, client, to in ((cloud.server, cloud.client, cloud.address("c2", 4)), (cloud.server, cloud.client, cloud.address("c2", 6)),
                                   (cloud.near, cloud.outside.far, floating["floating_ip_address"])):
            if server not in [session[0] for session in sessions]:
                cloud.serve(server, "unshare", "-m", "sh", "-c", serve, ready="Not backgrounding")
            command = ["ssh", "-F", "/dev/null", "-i", tmp_path / "client", "-p", 2222, "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                       "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "ConnectTimeout=50", f"root@{to}"]
            assert len(client.run(*command, "head -c 300000 /dev/zero | tr '\\0' x", timeout=60)) == 300000
            sessions.append((server, client.popen(*map(str, command), "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)))

        def talk(word):
            for _, session in sessions:
                session.stdin.write(word + "\n")
                session.stdin.flush()
                assert session.stdout.readline() == word + "\n", session.stderr.read()
        talk("before")
        cloud.client.host.restart(signal.SIGKILL)
        talk("after")
    finally:
        for _, session in sessions:
            session.kill()
            session.communicate()
        api.delete(f"/v2.0/floatingips/{floating['id']}")
