"""A cloud with everything on, and traffic through it that must not notice what happens meanwhile: see test_under_load.py."""

import json
import socket
import subprocess
import threading

from lab import BUILD
from namespaces import Namespace, enter, run, wait_for
from test_routing import World
from test_security_groups import Groups

FAR = "198.51.100.7"
SEQUENCE = BUILD / "tests/tools/sequence"


class Outside:
    """The world: what the hosts' uplinks are plugged into, and a machine behind a narrow link further away."""

    def __init__(self, lab):
        self.namespace, self.far = Namespace(lab.name("outside")), Namespace(lab.name("far"))
        self.namespace.ip("link", "add", "world", "type", "bridge", "mcast_snooping", "0")
        self.namespace.ip("link", "set", "world", "up")
        self.namespace.ip("addr", "add", "203.0.113.1/24", "dev", "world")
        run("ip", "link", "add", "far", "mtu", 1300, "netns", self.namespace.name, "type", "veth", "peer", "name", "eth0", "mtu", 1300, "netns", self.far.name)
        self.namespace.ip("link", "set", "far", "up")
        self.far.ip("link", "set", "eth0", "up")
        self.namespace.ip("addr", "add", "198.51.100.1/24", "dev", "far")
        self.far.ip("addr", "add", f"{FAR}/24", "dev", "eth0")
        self.far.ip("route", "add", "default", "via", "198.51.100.1")
        self.namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
        for host in lab.hosts:
            run("ip", "link", "add", f"to-{host.name}", "netns", self.namespace.name, "type", "veth", "peer", "name", "up0", "netns",
                host.namespace.name)
            self.namespace.ip("link", "set", f"to-{host.name}", "master", "world", "up")
            host.namespace.ip("link", "set", "up0", "up")

    def delete(self):
        self.namespace.delete()
        self.far.delete()


class Cloud(World):
    def __init__(self, lab):
        self.outside = Outside(lab)
        self.groups = Groups(lab.api)
        everything = [{"direction": "egress", "protocol": None, "ethertype": ethertype} for ethertype in ("IPv4", "IPv6")]
        self.mine = self.groups.new("mine", *everything)
        self.let_in = [self.groups.allow(self.mine, protocol=None, ethertype=ethertype, remote_group=self.mine) for ethertype in ("IPv4", "IPv6")]
        self.groups.allow(self.mine, protocol="tcp", remote="203.0.113.0/24")
        self.groups.allow(self.mine, protocol="tcp", remote="198.51.100.0/24")
        super().__init__(lab, security_groups=[self.mine["id"]])
        external = lab.api.network("ext", **{"router:external": True, "provider:physical_network": "physnet1", "provider:network_type": "flat"})
        self.external = external["id"]
        lab.api.subnet(external, "203.0.113.0/24", gateway_ip="203.0.113.1", enable_dhcp=False,
                       allocation_pools=[{"start": "203.0.113.10", "end": "203.0.113.100"}])
        lab.api.put(f"/v2.0/routers/{self.x['id']}", {"router": {"external_gateway_info": {"network_id": self.external}}})
        self.client, self.near, self.server = (self.workloads[name] for name in ("a1", "b1", "c2"))
        self.processes = []

    def serve(self, namespace, *command, ready="ready"):
        process = namespace.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        if ready:
            line = process.stdout.readline()
            assert ready in line, line
        return process

    def close(self):
        for process in self.processes:
            process.kill()
            process.communicate()
        self.outside.delete()


class Numbered:
    """Numbered packets of one connection, until told."""

    def __init__(self, sender, receiver, address, rate=2000):
        self.receiver = receiver.popen(SEQUENCE, "receive", address, 7000, 2, stdout=subprocess.PIPE, text=True)
        assert self.receiver.stdout.readline() == "ready\n"
        self.sender = sender.popen(SEQUENCE, "send", address, 7000, rate, 60, stdout=subprocess.PIPE, text=True)

    def kill(self):
        for process in (self.sender, self.receiver):
            if process.poll() is None:
                process.kill()
                process.communicate()

    def assert_nothing_lost(self):
        self.sender.terminate()
        sent, got = (json.loads(one.communicate(timeout=60)[0]) for one in (self.sender, self.receiver))
        assert sent["sent"] > 500 and got["received"] == sent["sent"], (sent, got)
        assert (got["missing"], got["duplicate"]) == (0, 0), got


class Fresh:
    """A new connection again and again: a datagram that must be answered, each from another port."""

    def __init__(self, namespace, address, pause_s=0.005):
        self.over, self.asked, self.lost, self.error = threading.Event(), 0, [], None
        self.thread = threading.Thread(target=self._ask, args=(namespace.name, address, pause_s))
        self.thread.start()

    def _ask(self, namespace, address, pause_s):
        try:
            enter(namespace)
            while not self.over.wait(pause_s):
                self.asked += 1
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
                    one.settimeout(30)
                    one.sendto(b"?", (address, 7002))
                    try:
                        one.recv(10)
                    except TimeoutError:
                        self.lost.append(self.asked)
        except OSError as error:
            self.error = error

    def assert_nothing_lost(self):
        try:
            wait_for(lambda: self.asked > 20 or self.error, "some more new connections")
        finally:
            self.over.set()
            self.thread.join()
        assert not self.error and not self.lost, (self.error, self.lost, self.asked)


class Talk:
    """One TCP connection that lives all the time."""

    def __init__(self, namespace, address, port=7001, source=0):
        with namespace.inside():
            self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.socket.settimeout(60)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("", source))
        self.socket.connect((address, port))
        self.say(b"hello")

    def say(self, what):
        self.socket.sendall(what)
        got = b""
        while len(got) < len(what):
            data = self.socket.recv(len(what) - len(got))
            assert data, "the connection was closed"
            got += data
        assert got == what

    def close(self):
        self.socket.close()


class Load:
    """All kinds of traffic that must not notice what happens meanwhile; without 'numbered' only connections that are new or seldom used."""

    def __init__(self, cloud, numbered=True):
        client, server = cloud.client, cloud.address("c2", 4)
        self.talks = [Talk(client.namespace, server), Talk(client.namespace, cloud.address("c2", 6)), Talk(client.namespace, FAR)]
        self.fresh = [Fresh(client.namespace, server), Fresh(client.namespace, cloud.address("c2", 6), 0.02), Fresh(client.namespace, FAR, 0.02)]
        self.numbered = Numbered(client, cloud.server, server) if numbered else None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if not kind:
                for flow in [*self.fresh, *([self.numbered] if self.numbered else [])]:
                    flow.assert_nothing_lost()
                for talk in self.talks:
                    talk.say(b"still there?")
        finally:
            for fresh in self.fresh:
                fresh.over.set()
                fresh.thread.join()
            for talk in self.talks:
                talk.close()
            if self.numbered:
                self.numbered.kill()
