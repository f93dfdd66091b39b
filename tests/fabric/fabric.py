"""Open vSwitch switches, hosts and weft-fabric on one machine, for tests.

          +---- net (a namespace) -----+   +---- ovs0 (a namespace) -------------------+
          |  weft-fabric 127.0.0.1:9697|   |  ovs-vswitchd: bridges e1 e2 ..           |
          |     bridge mgmt 198.18.0.1 ------ mgmt 198.18.0.10                         |
          |             :6653          |   |     e5-e3 ===== e3-e5   links are veths   |
          +----------------------------+   +--- e5-a ----------------------- e4-b -----+
                                                 |                             |
                                              a (a namespace, eth0)         b (a namespace, eth0)

The switches are Open vSwitch's user-space datapath, with sockets and databases of their own in the test's folder: the machine's
own Open vSwitch, if there is one, is neither needed nor touched.  Switches that must be able to die alone have an ovs-vswitchd
and a namespace each.  Everything is named after the process id and removed at the end, also what a killed run left."""

import atexit
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import requests

from echo import ping
from lab import BUILD, PREFIX, ROOT, sweep_lab
from namespaces import Namespace, run, wait_for

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
GOLDEN = ROOT / "tests/golden/fabric/ecmp-trace.txt"
REFERENCE_LINKS = [(5, 3), (5, 2), (3, 2), (3, 1), (3, 4), (2, 1), (2, 4)]  # Of the published trace; numbers are those of e1..e5.


class Vswitch:
    """One ovs-vswitchd with its database: what dies together."""

    def __init__(self, fabric, name):
        self.fabric, self.name = fabric, name
        self.folder = fabric.folder / name
        self.folder.mkdir()
        self.environment = {**os.environ, **{f"OVS_{kind}DIR": str(self.folder) for kind in ("RUN", "DB", "LOG", "SYSCONF")}}
        self.switches = []
        self.namespace = Namespace(fabric.name(name))
        self.namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        fabric.net.ip("link", "add", name, "type", "veth", "peer", "name", "mgmt", "netns", self.namespace.name)
        fabric.net.ip("link", "set", name, "master", "mgmt", "up")
        self.namespace.ip("addr", "add", f"198.18.0.{10 + len(fabric.vswitches)}/24", "dev", "mgmt")
        self.namespace.ip("link", "set", "mgmt", "up")
        run("ovsdb-tool", "create", self.folder / "conf.db", SCHEMA)
        self.database = self.process = None
        self.start()

    def program(self, *command):
        return subprocess.Popen(self.namespace.command(*command), env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)

    def start(self):
        remote = f"unix:{self.folder}/db.sock"
        if not self.database:
            self.database = self.program("ovsdb-server", "conf.db", f"--remote=p{remote}", f"--unixctl={self.folder}/db.ctl",
                                         f"--log-file={self.folder}/ovsdb-server.log", "--no-chdir")
            wait_for((self.folder / "db.sock").exists, "ovsdb-server to listen")
            self.vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:n-handler-threads=1",
                       "other_config:n-revalidator-threads=1")
        self.process = self.program("ovs-vswitchd", remote, f"--unixctl={self.folder}/ctl", f"--pidfile={self.folder}/ovs-vswitchd.pid",
                                    f"--log-file={self.folder}/ovs-vswitchd.log", "--no-chdir", "--disable-system")
        wait_for((self.folder / "ctl").exists, "ovs-vswitchd to run")

    def vsctl(self, *arguments):
        return run("ovs-vsctl", "--timeout=60", f"--db=unix:{self.folder}/db.sock", *arguments, env=self.environment)

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def log(self):
        return (self.folder / "ovs-vswitchd.log").read_text(errors="replace")

    def stop(self):
        for process in (self.process, self.database):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.namespace.delete()


class Switch:
    """A bridge of an ovs-vswitchd."""

    def __init__(self, vswitch, number):
        self.vswitch, self.fabric, self.number = vswitch, vswitch.fabric, number
        self.name, self.id = f"e{number}", 0xe0 + number if number < 16 else number
        self.ports = []

    @property
    def text(self):
        return f"0x{self.id:016x}"

    def port_number(self, interface):
        return self.ports.index(interface) + 1

    def ofctl(self, command, *arguments):
        return run("ovs-ofctl", "-O", "OpenFlow10,OpenFlow13", command, f"{self.vswitch.folder}/{self.name}.mgmt", *arguments,
                   env=self.vswitch.environment)

    def flows(self, keep=lambda flow: True):
        """Its entries as ovs-ofctl, another decoder than ours, shows them: [{cookie, n_packets, priority, match, actions}].
        'Our' forwarding entries only, unless 'keep' wants others."""
        found = []
        for line in self.ofctl("dump-flows").splitlines():
            if "actions=" not in line:
                continue
            head, actions = line.strip().split(" actions=")
            fields = dict(part.partition("=")[::2] for part in re.split(r",\s*|\s+", head))
            match = sorted(f"{key}={value}" if value else key for key, value in fields.items()
                           if key not in ("cookie", "duration", "table", "n_packets", "n_bytes", "idle_timeout", "hard_timeout", "idle_age",
                                          "priority", "send_flow_rem", "reset_counts", "hard_age"))
            found.append({"cookie": fields["cookie"], "n_packets": int(fields["n_packets"]), "priority": int(fields.get("priority", 32768)),
                          "duration": float(fields["duration"].rstrip("s")), "match": ",".join(match), "actions": actions})
        return [flow for flow in found if keep(flow)]


class Host:
    def __init__(self, fabric, name, switch, number, vlan=None):
        self.fabric, self.name, self.switch, self.number = fabric, name, switch, number
        self.namespace = Namespace(fabric.name(name))
        self.interface = f"{switch.name}-{name}"
        self.mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        self.address, self.address6 = f"10.0.{number >> 8}.{number & 255}", f"fd00::{number:x}"
        run("ip", "link", "add", self.interface, "netns", switch.vswitch.namespace.name, "type", "veth", "peer", "name", "eth0",
            "address", self.mac, "netns", self.namespace.name)
        switch.vswitch.namespace.ip("link", "set", self.interface, "up")
        # No address detection, which takes a second; and checksums in software: the user-space datapath does not fill them in.
        self.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0", "net.ipv6.conf.eth0.accept_ra=0")
        self.namespace.run("ethtool", "-K", "eth0", "tx", "off")
        self.namespace.ip("link", "set", "eth0", "mtu", "1500", "up")
        self.namespace.ip("addr", "add", f"{self.address}/16", "dev", "eth0")
        self.namespace.ip("addr", "add", f"{self.address6}/64", "dev", "eth0", "nodad")

    def run(self, *command, **options):
        return self.namespace.run(*command, **options)

    def popen(self, *command, **options):
        return self.namespace.popen(*command, stdin=subprocess.DEVNULL, **options)

    def ping(self, target, count=1, wait=5):
        """How many of 'count' echoes came back."""
        return ping(self.namespace, getattr(target, "address", target), count, wait, 0.02)

    def wait_ping(self, target):
        wait_for(lambda: self.ping(target, wait=1), f"{self.name} to reach {getattr(target, 'address', target)}", interval=0)

    def know(self, *others):
        """Has no need to ask for the others' MACs, not even whether they are still there: only a controller answers that, and what is not
        answered for some seconds is not sent to any more."""
        for other in others:
            for address in (other.address, other.address6):
                self.run("ip", "neigh", "replace", address, "lladdr", other.mac, "dev", "eth0", "nud", "permanent")

    def connect(self, target, port, from_port=0, timeout=60):
        """A TCP connection to another host; the caller closes it."""
        with self.namespace.inside():
            return socket.create_connection((target.address, port), timeout, (self.address, from_port))

    @contextlib.contextmanager
    def listening(self, port):
        """Accepts connections and keeps them."""
        with self.namespace.inside(), socket.create_server((self.address, port), backlog=512) as server:
            yield server

    def send_frame(self, frame):
        with self.namespace.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("eth0", 0))
            sender.send(frame)

    def send_udp(self, target, port, from_ports, payload=b"x"):
        """A datagram from each of 'from_ports'."""
        with self.namespace.inside():
            for from_port in from_ports:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.bind((self.address, from_port))
                    sender.sendto(payload, (target.address, port))

    def delete(self):
        self.namespace.delete()


class Pinger:
    """'ping' in the background.  Its replies are counted as they come, so that a test waits for them instead of for time."""

    def __init__(self, host, target, interval=0.02):
        self.log = host.fabric.folder / f"ping-{host.name}-{Fabric.count}-{id(self):x}"
        self.interval = interval
        with open(self.log, "wb") as out:
            self.process = host.popen("stdbuf", "-oL", "ping", "-n", "-i", interval, "-W", "1", getattr(target, "address", target), stdout=out,
                                      stderr=subprocess.STDOUT)

    def sequence(self):
        """Numbers of the echoes that came back."""
        return [int(n) for n in re.findall(r"bytes from .*icmp_seq=(\d+)", self.log.read_text())]

    def wait_more(self, count=10):
        """For 'count' echoes in a row from now on."""
        before = len(self.sequence())
        wait_for(lambda: len(self.sequence()) >= before + count, f"{count} more echoes; {self.log.read_text()[-500:]}")

    def stop(self):
        """(sent, received, the longest row of losses)."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", self.log.read_text()).groups())
        got = self.sequence()
        return sent, received, max((b - a - 1 for a, b in zip(got, got[1:])), default=sent)


class Controller:
    """A weft-fabric.  'number' tells several apart: they listen at 6653, 6654, .. and 9697, 9698, .."""

    def __init__(self, fabric, *options, number=0, start=True):
        self.fabric, self.options, self.number = fabric, options, number
        self.port, self.url = 6653 + number, f"http://127.0.0.1:{9697 + number}"
        self.target = f"tcp:198.18.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.log, self.output = fabric.folder / f"controller{number}.log", fabric.folder / f"controller{number}.out"
        self.process = None
        if start:
            self.start()

    def start(self, *more):
        command = self.fabric.net.command(BUILD / "src/controller/weft-fabric", "--config", "/dev/null", "--listen", f"198.18.0.1:{self.port}",
                                          "--http-listen", f"127.0.0.1:{9697 + self.number}", *self.options, *more)
        with open(self.log, "ab") as log, open(self.output, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=log)
        wait_for(self._answers, "weft-fabric to answer")

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"weft-fabric ended:\n{self.text()}")
        try:
            return self.get("")
        except requests.ConnectionError:
            return None

    def text(self):
        return self.log.read_text(errors="replace")

    def request(self, method, path, body=None, **options):
        with self.fabric.net.inside():
            return self.session.request(method, self.url + ("/fabric/v1" + path if not path.startswith("/metrics") else path), json=body,
                                        timeout=60, **options)

    def get(self, path):
        response = self.request("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def memory_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text()).group(1))

    def statistics(self):
        return self.get("/statistics")["statistics"]

    def metric(self, name):
        """The sum of a metric's samples that begin with 'name'."""
        lines = self.request("GET", "/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def state(self):
        return self.get("")["fabric"]

    def wait_discovered(self, links=None, switches=None):
        """All switches are connected and all links known."""
        wanted = {"switches": len(self.fabric.switches) if switches is None else switches,
                  "links": len(self.fabric.links) if links is None else links}
        def complete():
            state = self.state()
            return {key: state[key] for key in wanted} == wanted
        wait_for(complete, f"{wanted}; {self.state()}\n{self.text()[-3000:]}")

    def stop(self, number=signal.SIGTERM):
        self.session.close()
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process else None


class Fabric:
    """Use as a context manager.  'links' are pairs of switch numbers; 'hosts' {name: switch number}; 'domains' the sets of switches
    that have an ovs-vswitchd of their own each (all others share one); 'silent' the links that can fail while their ports stay up.
    Starts switches and hosts, and no controller."""

    count = 0

    def __init__(self, links, hosts, switches=(), openflow="OpenFlow13", domains=(), silent=()):
        sweep_lab()
        Fabric.count += 1
        self.tag = f"{PREFIX}{os.getpid()}xf{Fabric.count}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.openflow, self.silent = openflow, silent
        self.vswitches, self.switches, self.links, self.hosts, self.controllers = [], {}, [], {}, []
        self.net = None
        atexit.register(self.close)
        try:
            self.net = Namespace(self.name("net"))
            self.net.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
            self.net.ip("link", "add", "mgmt", "type", "bridge", "mcast_snooping", "0")
            self.net.ip("addr", "add", "198.18.0.1/24", "dev", "mgmt")
            self.net.ip("link", "set", "mgmt", "up")
            numbers = sorted(set(switches) | {end for link in links for end in link} | set(hosts.values()))
            shared = [n for n in numbers if not any(n in domain for domain in domains)]
            for index, domain in enumerate([shared, *domains] if shared else domains):
                vswitch = Vswitch(self, f"ovs{index}")
                self.vswitches.append(vswitch)
                for number in domain:
                    self.switches[number] = Switch(vswitch, number)
                    vswitch.switches.append(self.switches[number])
            for a, b in links:
                self.add_link(a, b)
            for index, (name, number) in enumerate(hosts.items(), 1):
                self.hosts[name] = Host(self, name, self.switches[number], index)
                self.switches[number].ports.append(self.hosts[name].interface)
            for vswitch in self.vswitches:
                self.configure(vswitch)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.show_logs()
        self.close()

    def name(self, part):
        return f"{self.tag}-{part}"

    def add_link(self, a, b):
        """A veth between two switches; two veths into a bridge where 'silent' has it: it can fail without a loss of carrier."""
        n = sum(1 for link in self.links if set(link[:2]) == {a, b})
        ends = tuple(f"e{x}-e{y}" + (f".{n}" if n else "") for x, y in ((a, b), (b, a)))
        places = [self.switches[number].vswitch.namespace for number in (a, b)]
        if (a, b) in self.silent:
            middle = f"m{a}-{b}"
            self.net.ip("link", "add", middle, "type", "bridge", "mcast_snooping", "0", "group_fwd_mask", "0x4000")  # LLDP as well.
            self.net.ip("link", "set", middle, "up")
            for place, end in zip(places, ends):
                run("ip", "link", "add", end, "netns", place.name, "type", "veth", "peer", "name", end, "netns", self.net.name)
                self.net.ip("link", "set", end, "master", middle, "up")
        else:
            run("ip", "link", "add", ends[0], "netns", places[0].name, "type", "veth", "peer", "name", ends[1], "netns", places[1].name)
        for place, number, end in zip(places, (a, b), ends):
            place.ip("link", "set", end, "up")
            self.switches[number].ports.append(end)
        self.links.append((a, b, *ends))

    def configure(self, vswitch):
        """All its bridges in one transaction."""
        words = []
        for switch in vswitch.switches:
            words += ["--", "add-br", switch.name, "--", "set", "bridge", switch.name, "datapath_type=netdev", f"protocols={self.openflow}",
                      f"other-config:datapath-id={switch.id:016x}", "fail_mode=secure", "mcast_snooping_enable=false"]
            for interface in switch.ports:
                words += ["--", "add-port", switch.name, interface, "--", "set", "interface", interface,
                          f"ofport_request={switch.port_number(interface)}"]
        vswitch.vsctl(*words[1:])

    def attach(self, *targets, vswitches=None):
        """Tells the switches their controllers, like tcp:127.0.0.1:6653."""
        for vswitch in vswitches or self.vswitches:
            words = []
            for switch in vswitch.switches:
                names = [f"@{switch.name}c{n}" for n in range(len(targets))]
                for name, target in zip(names, targets):
                    words += ["--", f"--id={name}", "create", "controller", f'target="{target}"', "connection_mode=out-of-band",
                              "max_backoff=1000", "inactivity_probe=5000"]
                words += ["--", "set", "bridge", switch.name, f"controller=[{','.join(names)}]"]
            vswitch.vsctl(*words[1:])

    def controller(self, *options, attach=True, **more):
        """Starts a weft-fabric and, where it is the first, points all switches at it."""
        controller = Controller(self, *options, number=len(self.controllers), **more)
        self.controllers.append(controller)
        if attach and len(self.controllers) == 1:
            self.attach(controller.target)
        return controller

    def cut(self, a, b, up=False):
        """The carrier is lost at both ends, as when a cable is pulled."""
        link = next(link for link in self.links if set(link[:2]) == {a, b})
        self.switches[link[0]].vswitch.namespace.ip("link", "set", link[2], "up" if up else "down")

    def mend(self, a, b):
        self.cut(a, b, up=True)

    def silence(self, a, b, up=False):
        """Nothing comes through any more, and no port notices."""
        self.net.ip("link", "set", f"m{a}-{b}", "up" if up else "down")

    def silence_towards(self, a, b, number):
        """Nothing comes to the switch 'number' any more over that link; what it sends still arrives."""
        end = f"e{number}-e{a if number == b else b}"
        self.net.ip("link", "set", end, "type", "bridge_slave", "learning", "off", "flood", "off", "mcast_flood", "off", "bcast_flood", "off")
        self.net.ip("link", "set", f"m{a}-{b}", "type", "bridge", "fdb_flush")

    def openflow_errors(self, roles_change=False):
        """Lines of the switches' logs about messages that they refused.  While controllers change roles a switch may obey the other one
        already, and says so to what this one sent just before it heard: no fault of either, and left out where that is expected."""
        return [line for vswitch in self.vswitches for line in vswitch.log().splitlines()
                if ("error" in line and "|ofproto|" in line or "error reply" in line or "|connmgr|" in line and "sending" in line or
                    "|ofp_" in line)
                and not (roles_change and re.search(r"OFPBRC_(IS_SECONDARY|IS_SLAVE|EPERM) error reply", line))]

    def show_logs(self):
        for log in sorted(self.folder.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            print(f"--- {log.relative_to(self.folder)}", *lines[-60:], sep="\n")

    def close(self):
        atexit.unregister(self.close)
        for controller in self.controllers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                controller.stop(signal.SIGKILL)
        for vswitch in self.vswitches:
            vswitch.stop()
        for host in self.hosts.values():
            host.delete()
        if self.net:
            self.net.delete()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.vswitches, self.hosts, self.controllers, self.net = [], {}, [], None


def reference(**options):
    """The five switches of the published trace, with host a at e5 and b at e4."""
    return Fabric(REFERENCE_LINKS, {"a": 5, "b": 4}, **options)
