"""A director, physical servers and a client on one network, as namespaces:

                       bridge (in the namespace 'lan')
        +--------------+--------------+--------------+
     client         director          s1             s2
     10.1.0.100     10.1.0.2          10.1.0.11      10.1.0.12
     2001:db8:1::/64 the same last parts

The client reaches the virtual addresses 192.0.2.1 and 2001:db8:5::1 by the director; servers have them on lo and answer the client at
once.  Interfaces compute their checksums, as wires want them."""

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import shutil
import socket
import struct
import tempfile

from lab import BUILD, Process
from namespaces import Namespace, run, sweep, wait_for
from xdp_peer import pass_everything

PREFIX = "wfd"
VIP4, VIP6 = "192.0.2.1", "2001:db8:5::1"
SERVERS = ("s1", "s2")
VXLAN_MAC = "02:77:65:66:74:01"
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


def ethtool(interface, command, value):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        wanted = ctypes.create_string_buffer(struct.pack("II", command, value))
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), ctypes.addressof(wanted)))
        return struct.unpack("II", wanted.raw[:8])[1]


def address(number, version=4):
    return f"10.1.0.{number}" if version == 4 else f"2001:db8:1::{number}"


class DirectorLab:
    def __init__(self):
        sweep(PREFIX, [tempfile.gettempdir()])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.namespaces, self.processes = {}, []
        self.config, self.socket = self.folder / "lb.conf", str(self.folder / "s")
        self.agent = None
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _namespace(self, name):
        self.namespaces[name] = Namespace(f"{PREFIX}{os.getpid()}-{name}")
        return self.namespaces[name]

    def _host(self, name, number, mtu=1500):
        host, lan = self._namespace(name), self.namespaces["lan"]
        lan.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        lan.ip("link", "set", name, "master", "bridge", "up")
        host.ip("link", "set", "eth0", "up", "mtu", str(mtu))
        host.ip("addr", "add", f"{address(number)}/24", "dev", "eth0")
        host.ip("addr", "add", f"{address(number, 6)}/64", "dev", "eth0", "nodad")
        if name == "director":
            pass_everything(lan.name, name)
        with host.inside():
            ethtool("eth0", ETHTOOL_STXCSUM, 0)
        return host

    def _build(self):
        lan = self._namespace("lan")
        lan.ip("link", "add", "name", "bridge", "type", "bridge")
        lan.ip("link", "set", "bridge", "up")
        client = self._host("client", 100)
        client.ip("route", "add", f"{VIP4}/32", "via", address(2))
        client.ip("-6", "route", "add", f"{VIP6}/128", "via", address(2, 6))
        self._host("director", 2)
        for i, name in enumerate(SERVERS):
            self._server(name, 11 + i)
        for server in self.processes:
            wait_for(lambda: "ready" in server.text() or not server.running(), "the servers to listen")
            assert server.running(), server.text()

    def _server(self, name, number):
        host = self._host(name, number)
        for setting in ("all/rp_filter=0", "default/rp_filter=0", "eth0/rp_filter=0", "all/arp_ignore=1", "all/arp_announce=2"):
            key, value = setting.split("=")
            host.run("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/conf/{key}")
        host.ip("addr", "add", f"{VIP4}/32", "dev", "lo")
        host.ip("addr", "add", f"{VIP6}/128", "dev", "lo", "nodad")
        host.ip("link", "add", "vx", "address", VXLAN_MAC, "type", "vxlan", "id", "77", "dstport", "4789", "local", address(number))
        host.ip("link", "set", "vx", "up")
        host.run("nft", "add table inet l3dsr; add chain inet l3dsr in { type filter hook prerouting priority raw; };"
                        f"add rule inet l3dsr in ip dscp 5 ip daddr {address(number)} ip daddr set {VIP4};"
                        f"add rule inet l3dsr in ip6 dscp 5 ip6 daddr {address(number, 6)} ip6 daddr set {VIP6}")
        log = self.folder / f"{name}.log"
        server = Process(host.command("/usr/bin/python3", pathlib.Path(__file__).with_name("director_server.py"), name), log)
        self.processes.append(server)

    def add_servers(self, **numbers):
        """Servers beside the first two; those that are there already are left as they are."""
        n_before = len(self.processes)
        for name, number in numbers.items():
            if name not in self.namespaces:
                self._server(name, number)
        for server in self.processes[n_before:]:
            wait_for(lambda: "ready" in server.text() or not server.running(), "the servers to listen")
            assert server.running(), server.text()

    def give_second_chances(self, *names):
        """The servers' own agents, by name, which end with the lab if not before."""
        agents, n_before = {}, {}
        for name in names:
            config = self.folder / f"{name}.json"
            config.write_text(json.dumps({"real_server": {"interfaces": ["eth0"], "addresses": [VIP4, VIP6], "directors": [address(2), address(2, 6)],
                                                          "servers": ["10.1.0.0/27", "2001:db8:1::/123"]}}))
            command = self.namespaces[name].command(BUILD / "src/agent/weft-agent", "--config", config)
            log = self.folder / f"{name}-agent.log"
            n_before[name] = log.read_text().count("second chances for") if log.exists() else 0
            agents[name] = Process(command, log)
            self.processes.append(agents[name])
        for name, agent in agents.items():
            wait_for(lambda: agent.text().count("second chances for") > n_before[name] or not agent.running(), "an agent of a server")
            assert agent.running(), agent.text()
            agent.may_stutter()
        return agents

    def server_command(self, name, command):
        return self.namespaces[name].run(BUILD / "src/agent/weft-agent", "--config", self.folder / f"{name}.json", command)

    def close(self):
        for process in [self.agent, *self.processes]:
            if process:
                process.stop()
        if "director" in self.namespaces:
            self.detach(check=False)
        for namespace in self.namespaces.values():
            namespace.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the director ------------------------------------------------------------------------------------------------------

    def write(self, services, interfaces=("eth0",), **more):
        """Replaces the file as weft-ipvsadm does."""
        temporary = self.config.with_suffix(".new")
        temporary.write_text(json.dumps({"interfaces": list(interfaces), "services": services, **more}))
        temporary.rename(self.config)

    def start(self, *options):
        self.agent = Process(self.namespaces["director"].command(
            BUILD / "src/agent/weft-agent", "--config", self.config, "--socket", self.socket, *options), self.folder / "agent.log")
        wait_for(lambda: self._answers() or not self.agent.running(), "the director to listen")
        assert self.agent.running(), self.agent.text()
        self.agent.may_stutter()

    def detach(self, check=True):
        self.namespaces["director"].run(BUILD / "src/agent/weft-agent", "--config", self.config, "detach", check=check)

    def _answers(self):
        try:
            return self.ask()
        except OSError:  # Not yet; or the socket is one that a killed director left.
            return None

    def _ask(self, *requests):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(self.socket)
            connection.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
            with connection.makefile() as answer:
                return [json.loads(answer.readline()) for _ in requests]

    def ask(self, operation="director", **arguments):
        return self._ask({"operation": operation, **arguments})[0]

    def ask_at_once(self, *operations):
        """What comes in one piece is answered in one piece: nothing happens in between."""
        return self._ask(*({"operation": operation} for operation in operations))

    def wait_for_text(self, text):
        wait_for(lambda: text in self.agent.text(), f"the director to say {text!r}; it said:\n{self.agent.text()}")

    # ---- the client ------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def connection(self, version=4, timeout=60, port=80):
        """One connection of the client; its requests go by the same server for as long as it lives."""
        with self.namespaces["client"].inside():
            connection = http.client.HTTPConnection(VIP4 if version == 4 else VIP6, port, timeout=timeout)
            connection.connect()
        try:
            yield connection
        finally:
            connection.close()

    def get(self, version=4, body=None, timeout=60, port=80):
        """Who answered, and how many bytes it had got."""
        with self.connection(version, timeout, port) as connection:
            return request(connection, body)

    def answers(self, version=4, port=80):
        """Does the service answer by now?"""
        try:
            return self.get(version, timeout=3, port=port)
        except (OSError, http.client.HTTPException):
            return None


def request(connection, body=None):
    connection.request("POST" if body else "GET", "/", body=body)
    name, size = connection.getresponse().read().decode().split()
    return name, int(size)


def server(number, version=4, **more):
    return {"address": address(number, version), "port": 80, **more}


def service(servers, version=4, **more):
    return {"protocol": "tcp", "address": VIP4 if version == 4 else VIP6, "port": 80, "scheduler": "mh", "scheduler_flags": ["port"],
            "servers": servers, **more}
