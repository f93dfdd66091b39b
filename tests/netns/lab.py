"""Hosts, workloads and the API as network namespaces on one machine, for tests.

          +--------- control (a namespace) ----------+
          |  weft-api   198.18.0.1                   |
          |  bridge 'mgmt'        bridge 'under'     |
          +----+--------+-----------+--------+-------+
           mgmt|    mgmt|      under|   under|
          +----+--------+---+  +----+--------+---+
          | host h1         |  | host h2         |     each: weft-agent, its programs, weft-tun
          |   tapXXXX..     |  |   tapXXXX..     |
          +------|----------+  +------|----------+
            workload (a namespace)  workload

mgmt is 198.18.0.0/16, the underlay 192.0.2.0/24 (or 2001:db8:ffff::/64).  Every name carries the process id, and nothing is
in the namespace of the test itself but the veth ends' other names.  A lab cleans up after itself, also when a test fails, and
clears away what a killed run left.  Programs under test are those of $WEFT_BUILD (build/release).
"""

import atexit
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import requests

import stutter
from echo import ping
from namespaces import Namespace, run, sweep, wait_for

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release"))
PREFIX = "wft"


def sweep_lab():
    """Removes what killed runs of any lab left behind."""
    sweep(PREFIX, ["/sys/fs/bpf", tempfile.gettempdir()])


class Process:
    """A program under test: its log is kept, its end is certain."""

    def __init__(self, command, log):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.stutter = None

    def may_stutter(self):
        """From now on: programs are not loaded while signals come."""
        if stutter.WANTED and not self.stutter:
            self.stutter = stutter.Stutter(self.process)

    @property
    def pid(self):
        return self.process.pid

    @contextlib.contextmanager
    def paused(self):
        """It stands still meanwhile."""
        with self.stutter.lock if self.stutter else contextlib.nullcontext(), stutter.stopped(self.process):
            yield

    def running(self):
        return self.process.poll() is None

    def stop(self, number=signal.SIGTERM, timeout=60):
        if self.stutter:
            self.stutter.end()
        if self.running():
            self.process.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def text(self):
        return self.log.read_text(errors="replace")


class ApiError(Exception):
    def __init__(self, response):
        self.status = response.status_code
        super().__init__(f"{response.request.method} {response.request.url}: {response.status_code} {response.text}")


class Api:
    """weft-api, and a client that speaks to it from its own namespace."""

    PASSWORD = "correct horse battery staple"
    ADDRESS = "198.18.0.1"

    def __init__(self, lab, namespace, options=()):
        self.lab, self.namespace, self.options = lab, namespace, list(options)
        self.url = f"http://{self.ADDRESS}:9696"
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = None
        self.process = None
        password = lab.folder / "password"
        password.write_text(self.PASSWORD + "\n")
        password.chmod(0o600)
        self.start()

    def start(self):
        self.process = Process(self.namespace.command(
            BUILD / "src/api/weft-api", "--listen", f"{self.ADDRESS}:9696", "--store", self.lab.folder / "weft.db",
            "--public-url", self.url, "--bootstrap-file", self.lab.folder / "password", *self.options),
            self.lab.folder / "api.log")
        wait_for(self._answers, f"weft-api to answer\n{self.process.text()}")
        self.process.may_stutter()

    def _answers(self):
        if not self.process.running():
            raise RuntimeError(f"weft-api ended:\n{self.process.text()}")
        try:
            with self.namespace.inside():
                self.session.get(self.url + "/", timeout=60)
            return True
        except requests.ConnectionError:
            return False

    def stop(self, number=signal.SIGTERM):
        self.session.close()
        return self.process.stop(number)

    def login(self, project="admin", user="admin", password=PASSWORD):
        """A token scoped to the project."""
        body = {"auth": {"identity": {"methods": ["password"], "password": {
            "user": {"name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}}
        with self.namespace.inside():
            response = self.session.post(self.url + "/identity/v3/auth/tokens", json=body, timeout=60)
        if response.status_code != 201:
            raise ApiError(response)
        return response.headers["X-Subject-Token"]

    def request(self, method, path, body=None, token=None, expect=None):
        if not token and not self.token:
            self.token = self.login()
        with self.namespace.inside():
            response = self.session.request(method, self.url + path, json=body, timeout=60,
                                            headers={"X-Auth-Token": token or self.token})
        if expect is None and response.status_code >= 300 or expect and response.status_code != expect:
            raise ApiError(response)
        return response.json() if response.content else None

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, body, **options)

    def put(self, path, body, **options):
        return self.request("PUT", path, body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    # What tests make again and again.

    def project(self, name):
        """A project of its own in which the administrator may work: (id, token)."""
        made = self.post("/identity/v3/projects", {"project": {"name": name, "domain_id": "default"}})["project"]
        user = next(u for u in self.get("/identity/v3/users")["users"] if u["name"] == "admin")
        role = next(r for r in self.get("/identity/v3/roles")["roles"] if r["name"] == "admin")
        self.put(f"/identity/v3/projects/{made['id']}/users/{user['id']}/roles/{role['id']}", None)
        return made["id"], self.login(project=name)

    def network(self, name="net", token=None, **attributes):
        return self.post("/v2.0/networks", {"network": {"name": name, **attributes}}, token=token)["network"]

    def subnet(self, network, cidr="10.0.0.0/24", token=None, **attributes):
        version = 6 if ":" in cidr else 4
        return self.post("/v2.0/subnets", {"subnet": {"network_id": network["id"], "cidr": cidr, "ip_version": version,
                                                      **attributes}}, token=token)["subnet"]

    def port(self, network, host=None, token=None, **attributes):
        binding = {"binding:host_id": host.name} if host else {}
        return self.post("/v2.0/ports", {"port": {"network_id": network["id"], **binding, **attributes}}, token=token)["port"]

    def open_default_groups(self):
        """Lets everything in at ports of the projects' default groups, also from addresses that are no member's: link-local ones, those of
        ports without port security."""
        for group in self.get("/v2.0/security-groups?name=default")["security_groups"]:
            for ethertype in ("IPv4", "IPv6"):
                self.post("/v2.0/security-group-rules", {"security_group_rule": {
                    "security_group_id": group["id"], "project_id": group["project_id"], "direction": "ingress", "ethertype": ethertype}})

    def update_port(self, port, **attributes):
        return self.put(f"/v2.0/ports/{port['id']}", {"port": attributes})["port"]

    def wait_active(self, *ports, status="ACTIVE"):
        for port in ports:
            wait_for(lambda: self.get(f"/v2.0/ports/{port['id']}")["port"]["status"] == status,
                     f"port {port['id']} to be {status}")


class Host:
    """A Linux host with an agent."""

    def __init__(self, lab, name, number, underlay_ipv6=False, underlay_mtu=1500):
        self.lab, self.name, self.number = lab, name, number
        self.namespace = Namespace(lab.name(name))
        self.underlay_ipv6 = underlay_ipv6
        self.tunnel_address = f"2001:db8:ffff::{number}" if underlay_ipv6 else f"192.0.2.{number}"
        self.state = lab.folder / name
        self.pin_path = f"/sys/fs/bpf/{lab.name(name)}"
        self.socket = lab.folder / f"{name}.sock"
        self.agent = None
        lab.connect(self.namespace, "mgmt", "mgmt", f"198.18.0.{10 + number}/16")
        lab.connect(self.namespace, "under", "under", self.tunnel_address + ("/64" if underlay_ipv6 else "/24"), underlay_mtu)

    def command(self, *arguments, program=None):
        return self.namespace.command(
            program or BUILD / "src/agent/weft-agent", "--host", self.name, "--api", self.lab.api.url,
            "--state-dir", self.state, "--pin-path", self.pin_path, "--socket", self.socket,
            "--join-token-file", self.lab.folder / f"{self.name}.token", "--tunnel-address", self.tunnel_address, *arguments)

    def join(self):
        made = self.lab.api.post("/weft/v1/hosts", {"host": {"name": self.name}})["host"]
        (self.lab.folder / f"{self.name}.token").write_text(made["join_token"] + "\n")
        self.start()

    def start(self, *options, program=None, wait=True):
        self.agent = Process(self.command("--log-level", "debug", *self.lab.agent_options, *options, program=program),
                             self.lab.folder / f"{self.name}.log")
        if wait:
            self.wait_ready()

    def wait_ready(self, synced=True):
        def ready():
            if not self.agent.running():
                raise RuntimeError(f"the agent of {self.name} ended:\n{self.agent.text()}")
            try:
                status = self.ask("status")
            except OSError:
                return False
            return not synced or (status["synced"] and status["applied_revision"] and status)
        status = wait_for(ready, f"the agent of {self.name} to be ready")
        self.agent.may_stutter()
        return status

    def stop(self, number=signal.SIGTERM):
        return self.agent.stop(number)

    def restart(self, number=signal.SIGKILL):
        self.stop(number)
        self.start()

    def ask(self, operation, **arguments):
        """One question to the agent's own socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(self.socket))
            client.sendall(json.dumps({"operation": operation, **arguments}).encode() + b"\n")
            return json.loads(client.makefile().readline())

    def drops(self, port=None):
        """{reason: packets} of a port, or of everything."""
        answer = self.ask("drops", **({"port": port["id"]} if port else {}))
        reasons = {}
        for row in answer["drops"]:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["packets"]
        return reasons

    def counters(self, port):
        return self.ask("counters", port=port["id"])["counters"][0]

    def detach(self):
        return run(*self.command("detach"))

    def delete(self):
        if self.agent:
            self.agent.stop(signal.SIGKILL)
        subprocess.run(self.command("detach"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.namespace.delete()
        shutil.rmtree(self.pin_path, ignore_errors=True)


class Workload:
    """A namespace with one interface, eth0, that is a port; its other end is in the host's namespace under the name that
    makes it the port."""

    def __init__(self, lab, port, host, name=None, mtu=1450, address=True, interface=None):
        self.lab, self.port, self.host = lab, port, host
        self.namespace = Namespace(lab.name(name or f"w{len(lab.workloads)}"))
        self.interface = interface or "tap" + port["id"][:11]
        run("ip", "link", "add", self.interface, "netns", host.namespace.name, "type", "veth", "peer", "name", "eth0",
            "address", port["mac_address"], "netns", self.namespace.name)
        # Duplicate address detection takes a second, and port security makes it needless.
        self.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0", "net.ipv6.conf.eth0.accept_ra=0")
        self.namespace.ip("link", "set", "eth0", "mtu", mtu, "up")
        if address:
            self.add_addresses(port)
        lab.workloads.append(self)

    def add_addresses(self, port):
        for fixed in port["fixed_ips"]:
            length = self.lab.prefix_length(fixed["subnet_id"])
            self.namespace.ip("addr", "add", f"{fixed['ip_address']}/{length}", "dev", "eth0",
                              *(["nodad"] if ":" in fixed["ip_address"] else []))

    @property
    def address(self):
        return self.port["fixed_ips"][0]["ip_address"]

    def run(self, *command, **options):
        return self.namespace.run(*command, **options)

    def popen(self, *command, **options):
        return self.namespace.popen(*command, **options)

    def ping(self, target, count=1, wait=5, size=None, interval=0.05):
        """How many of 'count' echoes came back."""
        return ping(self.namespace, target.address if isinstance(target, Workload) else target, count, wait, interval, size)

    def wait_ping(self, target, timeout=60):
        wait_for(lambda: self.ping(target, wait=1), f"{self.namespace.name} to reach {getattr(target, 'address', target)}", timeout, 0)

    def unplug(self):
        """The interface vanishes from its host, as when a virtual machine stops."""
        self.host.namespace.ip("link", "del", self.interface, check=False)

    def delete(self):
        self.namespace.delete()


class Lab:
    """Use as a context manager; 'hosts' is a number or a list of names."""

    count = 0

    def __init__(self, hosts=1, underlay_ipv6=False, underlay_mtu=1500, api_options=(), agent_options=()):
        sweep_lab()
        Lab.count += 1
        self.tag = f"{PREFIX}{os.getpid()}x{Lab.count}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.workloads, self.hosts, self.n_links = [], [], 0
        self.agent_options = agent_options
        self.control = self.api = None
        atexit.register(self.close)
        try:
            self.control = Namespace(self.name("ctl"))
            for bridge in ("mgmt", "under"):
                self.control.ip("link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
                self.control.ip("link", "set", bridge, "mtu", underlay_mtu if bridge == "under" else 1500, "up")
            self.control.ip("addr", "add", f"{Api.ADDRESS}/16", "dev", "mgmt")
            self.api = Api(self, self.control, api_options)
            names = [f"h{n + 1}" for n in range(hosts)] if isinstance(hosts, int) else hosts
            for number, name in enumerate(names, 1):
                self.hosts.append(Host(self, name, number, underlay_ipv6, underlay_mtu))
            for host in self.hosts:
                host.join()
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

    def connect(self, namespace, bridge, interface, address, mtu=1500):
        """A veth between a namespace and a bridge of the control namespace."""
        self.n_links += 1
        end = f"{bridge}{self.n_links}"
        run("ip", "link", "add", end, "netns", self.control.name, "type", "veth", "peer", "name", interface,
            "netns", namespace.name)
        self.control.ip("link", "set", end, "mtu", mtu, "master", bridge, "up")
        namespace.ip("link", "set", interface, "mtu", mtu, "up")
        namespace.ip("addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def prefix_length(self, subnet_id):
        return self.api.get(f"/v2.0/subnets/{subnet_id}")["subnet"]["cidr"].split("/")[1]

    def workload(self, port, host, **options):
        return Workload(self, port, host, **options)

    def pair(self, host_a=None, host_b=None, cidr="10.0.0.0/24", wait=True):
        """Two workloads of one network, which reach each other."""
        host_a, host_b = host_a or self.hosts[0], host_b or self.hosts[-1]
        network = self.api.network()
        self.api.subnet(network, cidr, **({"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"}
                                          if ":" in cidr else {}))
        a, b = (self.workload(self.api.port(network, host), host) for host in (host_a, host_b))
        if wait:
            self.api.wait_active(a.port, b.port)
            a.wait_ping(b)
        return a, b

    def show_logs(self):
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            print(f"--- {log.name}", *lines[-60:], sep="\n")

    def close(self):
        atexit.unregister(self.close)
        for workload in self.workloads:
            workload.delete()
        for host in self.hosts:
            host.delete()
        if self.api and self.api.process:
            self.api.stop()
        if self.control:
            self.control.delete()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.workloads, self.hosts, self.api, self.control = [], [], None, None
