"""weft in namespaces: weft-api and hosts, each a namespace with its own weft-agent.  Standard library only, so that it also runs in
the second kernel's guest.

    api namespace: weft-api 10.60.0.1 --- management bridge --- host 1: 10.60.0.11, agent ---+
                                      |                                                      | underlay: wire (a cable) or a bridge
                                      +------------------------ host 2: 10.60.0.12, agent ---+
    workload: namespace [eth0] --- [tap<port id>] host
"""

import http.client
import json
import socket

from lab import BUILD, Failed, command_in, run, wait_for
from namespaces import inside

API_ADDRESS = "10.60.0.1"
API_PORT = 9696
PASSWORD = "bench-secret"
BPFFS = "/sys/fs/bpf"


class ApiError(Failed):
    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body[:500]}")
        self.status = status


class Client:
    """One keep-alive connection to the API."""

    def __init__(self, namespace, address=API_ADDRESS, port=API_PORT, token=None):
        self.connection = http.client.HTTPConnection(address, port, timeout=30)
        self.namespace, self.token = namespace, token

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        data = json.dumps(body) if body is not None else None
        if self.connection.sock is None:
            with inside(self.namespace):
                self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            text = answer.read().decode()
        except (http.client.HTTPException, ConnectionError):
            self.connection.close()
            raise
        self.headers = answer.headers
        if answer.status >= 300:
            raise ApiError(method, path, answer.status, text)
        return json.loads(text) if text else None

    def log_in(self):
        self.call("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"name": "Default"},
                                                                        "password": PASSWORD}}},
            "scope": {"project": {"name": "admin", "domain": {"name": "Default"}}}}})
        self.token = self.headers["X-Subject-Token"]
        return self

    def create(self, kind, **attributes):
        attributes = {name.replace("__", ":"): value for name, value in attributes.items()}
        return self.call("POST", f"/v2.0/{kind.replace('_', '-')}s", {kind: attributes})[kind]

    def update(self, kind, identifier, **attributes):
        attributes = {name.replace("__", ":"): value for name, value in attributes.items()}
        return self.call("PUT", f"/v2.0/{kind}s/{identifier}", {kind: attributes})[kind]


class Host:
    def __init__(self, name, namespace, process, socket_path, state):
        self.name, self.namespace, self.process, self.socket_path, self.state = name, namespace, process, socket_path, state

    def ask(self, **request):
        """One question on the agent's socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket_path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
        if "error" in answer:
            raise Failed(f"agent of {self.name}: {answer['error']}")
        return answer


class Platform:
    """weft-api with hosts.  'store': "memory" or "sqlite"."""

    def __init__(self, lab, name="weft", store="memory", n_hosts=1, underlay_mtu=1600, agent_options=()):
        self.lab, self.name = lab, name
        self.hosts, self.mtu, self.subnet, self.agent_options = [], {}, {}, list(agent_options)
        self.api_namespace = lab.namespace(f"{name}-api")
        run("ip", "-n", self.api_namespace, "link", "add", "mgmt", "type", "bridge")
        run("ip", "-n", self.api_namespace, "link", "set", "mgmt", "up")
        lab.address(self.api_namespace, "mgmt", f"{API_ADDRESS}/24")
        folder = lab.folder / name
        folder.mkdir()
        self.folder = folder
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(PASSWORD + "\n")
        self.api = lab.start(BUILD / "src/api/weft-api", f"--listen={API_ADDRESS}:{API_PORT}", f"--bootstrap-file={folder}/password",
                             f"--store={'memory' if store == 'memory' else folder / 'weft.db'}", namespace=self.api_namespace,
                             log=f"{name}-api.log")
        self.admin = Client(self.api_namespace)
        wait_for(self._answers, "weft-api's first answer")
        self.admin.log_in()
        self._underlay(n_hosts, underlay_mtu)

    def _answers(self):
        if self.api.poll() is not None:
            raise Failed(f"weft-api ended: {(self.lab.folder / f'{self.name}-api.log').read_text()[-2000:]}")
        try:
            self.admin.call("GET", "/")
            return True
        except (OSError, http.client.HTTPException):
            return False

    def _underlay(self, n_hosts, mtu):
        namespaces = [self.lab.namespace(f"{self.name}-h{number}") for number in range(1, n_hosts + 1)]
        if n_hosts == 2:
            self.lab.cable(namespaces[0], "wire", namespaces[1], "wire", mtu=mtu)
        else:
            switch = self.lab.namespace(f"{self.name}-wire")
            run("ip", "-n", switch, "link", "add", "br0", "mtu", mtu, "type", "bridge")
            run("ip", "-n", switch, "link", "set", "br0", "up")
            for number, namespace in enumerate(namespaces, 1):
                self.lab.cable(namespace, "wire", switch, f"h{number}", mtu=mtu)
                run("ip", "-n", switch, "link", "set", f"h{number}", "master", "br0")
        for number, namespace in enumerate(namespaces, 1):
            self.lab.address(namespace, "wire", f"192.0.2.{number}/24")
            self.lab.cable(namespace, "mgmt", self.api_namespace, f"h{number}")
            run("ip", "-n", self.api_namespace, "link", "set", f"h{number}", "master", "mgmt")
            self.lab.address(namespace, "mgmt", f"10.60.0.{10 + number}/24")
            self._host(number, namespace)

    def _host(self, number, namespace):
        name = f"{self.lab.prefix}-{self.name}-h{number}"
        state = self.folder / f"h{number}"
        state.mkdir()
        made = self.admin.call("POST", "/weft/v1/hosts", {"host": {"name": name}})["host"]
        token_file = state / "join-token"
        token_file.touch(mode=0o600)
        token_file.write_text(made["join_token"] + "\n")
        pins = f"{BPFFS}/weft/{name}"
        options = [f"--host={name}", f"--api=http://{API_ADDRESS}:{API_PORT}", f"--join-token-file={token_file}", f"--state-dir={state}",
                   f"--pin-path={pins}", f"--socket={state}/agent.sock", "--underlay=wire", f"--tunnel-address=192.0.2.{number}", *self.agent_options]
        log = f"{self.name}-agent{number}.log"
        process = self.lab.start(BUILD / "src/agent/weft-agent", *options, namespace=namespace, log=log)
        host = Host(name, namespace, process, state / "agent.sock", state)

        def detach():
            self.lab.stop(process)
            run(*command_in(namespace, BUILD / "src/agent/weft-agent", *options, "detach"))

        self.lab.undo.append(detach)

        def connected():
            if process.poll() is not None:
                raise Failed(f"weft-agent ended: {(self.lab.folder / log).read_text()[-2000:]}")
            try:
                return host.ask(operation="status").get("api") == "connected"
            except (OSError, ValueError):
                return False

        wait_for(connected, f"agent of {name} connected", 60)
        # Networks get their MTU from what the hosts report.
        wait_for(lambda: self.admin.call("GET", f"/weft/v1/hosts/{name}")["host"]["underlay_mtu"], f"{name}'s first report", 60)
        self.hosts.append(host)

    def network(self, cidr="10.61.0.0/24", subnet_attributes=None, **attributes):
        network = self.admin.create("network", name="bench", **attributes)
        self.mtu[network["id"]] = network["mtu"]
        subnet = self.admin.create("subnet", network_id=network["id"], cidr=cidr, ip_version=6 if ":" in cidr else 4, **(subnet_attributes or {}))
        self.subnet[network["id"]] = subnet["id"]
        return network["id"]

    def router(self, *networks, outside=None):
        """Joins the networks; with a gateway on an external one."""
        attributes = {"external_gateway_info": {"network_id": outside}} if outside else {}
        router = self.admin.create("router", name="bench", **attributes)
        for network in networks:
            self.admin.call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": self.subnet[network]})
        return router

    def group(self, n_rules, prefix):
        """A security group with so many rules each way of which the last two let TCP and UDP from and to the prefix pass, and one ICMP."""
        group = self.admin.create("security_group", name="bench")
        self.admin.call("PUT", f"/v2.0/quotas/{group['project_id']}", {"quota": {"security_group_rule": -1, "security_group": -1, "port": -1}})
        for rule in group["security_group_rules"]:
            self.admin.call("DELETE", f"/v2.0/security-group-rules/{rule['id']}")
        rules = [{"protocol": "tcp", "port_range_min": 20000 + n, "port_range_max": 20000 + n, "remote_ip_prefix": f"5.0.{n}.0/24"}
                 for n in range(n_rules - 3)]
        rules += [{"protocol": protocol, "port_range_min": 1, "port_range_max": 65535, "remote_ip_prefix": prefix} for protocol in ("tcp", "udp")]
        rules += [{"protocol": "icmp", "remote_ip_prefix": prefix}]
        self.admin.call("POST", "/v2.0/security-group-rules", {"security_group_rules": [
            {"security_group_id": group["id"], "direction": direction, "ethertype": "IPv4", **rule}
            for direction in ("ingress", "egress") for rule in rules]})
        return group["id"]

    def workload(self, name, host, port):
        """A namespace that is the port's machine: its tap stands on the host, its addresses are set by hand."""
        namespace = self.lab.namespace(f"{self.name}-{name}")
        self.lab.cable(namespace, "eth0", host.namespace, "tap" + port["id"][:11], mtu=self.mtu[port["network_id"]])
        run("ip", "-n", namespace, "link", "set", "eth0", "address", port["mac_address"])
        for fixed in port["fixed_ips"]:
            address = fixed["ip_address"]
            self.lab.address(namespace, "eth0", address + ("/64" if ":" in address else "/24"))
        return namespace

    def port(self, network, host=None, **attributes):
        if host:
            attributes["binding__host_id"] = host.name
        return self.admin.create("port", network_id=network, **attributes)

    def wait_active(self, *ports, deadline_s=30):
        def active():
            return all(self.admin.call("GET", f"/v2.0/ports/{port['id']}")["port"]["status"] == "ACTIVE" for port in ports)

        wait_for(active, f"{len(ports)} ports ACTIVE", deadline_s)
