"""Firewall groups at ports of routers: between networks, over two routers, from outside, in both families.

    outside: bridge 'world' 203.0.113.1/24
        |up0
        h1 ------- underlay ------- h2          physnet1:up0 on h1
        a1 (net a)                  b2 (net b)  c2 (net c)

    net a -- router x -- net b -- router y -- net c         router x has a gateway outside; b2 a floating IP

b2 is in no security group, a1 and c2 are in the default one, which lets all in.  Each test gives ports of routers their policies and takes them away again."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lab import Lab
from namespaces import Namespace, run, wait_for
from test_external import SERVER
from test_trace import frame

# Sends a byte each time it is told to, and says what comes back within so many seconds.
TALK = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
print("open", flush=True)
for line in sys.stdin:
    connection.settimeout(float(line))
    try:
        connection.send(b"x")
        print(len(connection.recv(9)), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""

ECHO = """
import socket, sys, threading
listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
def serve(connection):
    while data := connection.recv(9):
        connection.send(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

# What a connection or datagram to (address, port) comes to.  Silence is waited for a second, an answer as long as it takes.
KNOCK = """
import socket, sys
kind, address, port, patience = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
knock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
knock.settimeout(int(patience))
try:
    knock.connect((address, int(port)))
    if kind == "udp":
        knock.send(b"x")
        knock.recv(9)
    print("open")
except OSError as error:
    print(type(error).__name__)
"""


class World:
    def __init__(self, lab):
        api = self.api = lab.api
        self.lab, self.processes = lab, []
        h1, h2 = lab.hosts
        self.outside = Namespace(lab.name("outside"))
        self.outside.ip("link", "add", "world", "type", "bridge", "mcast_snooping", "0")
        self.outside.ip("link", "set", "world", "up")
        self.outside.ip("addr", "add", "203.0.113.1/24", "dev", "world")
        self.outside.ip("link", "set", "lo", "up")
        run("ip", "link", "add", "to-h1", "netns", self.outside.name, "type", "veth", "peer", "name", "up0", "netns", h1.namespace.name)
        self.outside.ip("link", "set", "to-h1", "master", "world", "up")
        h1.namespace.ip("link", "set", "up0", "up")
        external = api.network("ext", **{"router:external": True, "provider:physical_network": "physnet1", "provider:network_type": "flat"})
        api.subnet(external, "203.0.113.0/24", gateway_ip="203.0.113.1", enable_dhcp=False,
                   allocation_pools=[{"start": "203.0.113.10", "end": "203.0.113.100"}])
        self.networks, subnets = {}, {}
        for number, name in enumerate("abc", 1):
            self.networks[name] = api.network(name)
            subnets[name] = (api.subnet(self.networks[name], f"10.0.{number}.0/24"),
                             api.subnet(self.networks[name], f"fd00:{number}::/64", ipv6_address_mode="dhcpv6-stateful",
                                        ipv6_ra_mode="dhcpv6-stateful"))
        x = api.post("/v2.0/routers", {"router": {"name": "x", "external_gateway_info": {"network_id": external["id"]}}})["router"]
        y = api.post("/v2.0/routers", {"router": {"name": "y"}})["router"]
        self.routers = {"x": x, "y": y}
        for router, name in ((x, "a"), (x, "b"), (y, "c")):
            for subnet in subnets[name]:
                api.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
        middle = api.post("/v2.0/ports", {"port": {"network_id": self.networks["b"]["id"], "fixed_ips": [
            {"subnet_id": subnets["b"][0]["id"], "ip_address": "10.0.2.2"}, {"subnet_id": subnets["b"][1]["id"], "ip_address": "fd00:2::2"}]}})["port"]
        api.put(f"/v2.0/routers/{y['id']}/add_router_interface", {"port_id": middle["id"]})
        for router, routes in ((x, (("10.0.3.0/24", "10.0.2.2"), ("fd00:3::/64", "fd00:2::2"))),
                               (y, (("0.0.0.0/0", "10.0.2.1"), ("::/0", "fd00:2::1")))):
            api.put(f"/v2.0/routers/{router['id']}", {"router": {"routes": [{"destination": to, "nexthop": by} for to, by in routes]}})
        self.a1 = self.workload("a", h1, "1")
        self.b2 = self.workload("b", h2, "2", port_security_enabled=False, security_groups=[])
        self.c2 = self.workload("c", h2, "3")
        api.open_default_groups()
        self.floating = api.post("/v2.0/floatingips", {"floatingip": {"floating_network_id": external["id"], "port_id": self.b2.port["id"]}})["floatingip"]
        self.serve(self.outside, SERVER)
        for workload in (self.b2, self.c2):
            self.serve(workload.namespace, ECHO, "7")
            self.serve(workload.namespace, ECHO, "80")
            workload.wait_ping(self.a1.address)
        self.project = self.networks["a"]["project_id"]

    def workload(self, name, host, number, **attributes):
        port = self.api.port(self.networks[name], host, **attributes)
        workload = self.lab.workload(port, host)
        workload.port = port
        workload.six = next(ip["ip_address"] for ip in port["fixed_ips"] if ":" in ip["ip_address"])
        workload.namespace.ip("route", "add", "default", "via", f"10.0.{number}.1")
        workload.namespace.ip("-6", "route", "add", "default", "via", f"fd00:{number}::1")
        self.api.wait_active(port)
        return workload

    def serve(self, namespace, program, *arguments):
        self.processes.append(namespace.popen(sys.executable, "-c", program, *arguments))

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.outside.delete()

    # --- Firewalls. ---

    def interface(self, router, network):
        """The ids of the router's ports in the network, one for each family."""
        ports = self.api.get(f"/v2.0/ports?device_id={self.routers[router]['id']}")["ports"]
        if network == "outside":
            return [port["id"] for port in ports if port["device_owner"] == "network:router_gateway"]
        return [port["id"] for port in ports if port["network_id"] == self.networks[network]["id"]]

    def rule(self, **attributes):
        return self.api.post("/v2.0/fwaas/firewall_rules", {"firewall_rule": attributes})["firewall_rule"]

    def policy(self, *rules):
        return self.api.post("/v2.0/fwaas/firewall_policies", {"firewall_policy": {"firewall_rules": [rule["id"] for rule in rules]}})["firewall_policy"]

    def group(self, ports, ingress=None, egress=None):
        body = {"ports": ports, "ingress_firewall_policy_id": ingress and ingress["id"], "egress_firewall_policy_id": egress and egress["id"]}
        return self.api.post("/v2.0/fwaas/firewall_groups", {"firewall_group": body})["firewall_group"]

    def change(self, kind, thing, **attributes):
        collection = {"group": "groups", "policy": "policies", "rule": "rules"}[kind]
        return self.api.put(f"/v2.0/fwaas/firewall_{collection}/{thing['id']}", {f"firewall_{kind}": attributes})

    def everything(self):
        return self.policy(self.rule(action="allow"), self.rule(action="allow", ip_version=6))

    def clear(self):
        for collection, single in (("groups", "group"), ("policies", "policy"), ("rules", "rule")):
            for thing in self.api.get(f"/v2.0/fwaas/firewall_{collection}")[f"firewall_{collection}"]:
                if not thing["name"].startswith("default"):
                    if thing.get("ports"):
                        self.change("group", thing, ports=[])
                    self.api.delete(f"/v2.0/fwaas/firewall_{collection}/{thing['id']}")

    # --- What comes of it. ---

    @staticmethod
    def knock(where, kind, address, port, patience=50):
        """From a workload or a namespace."""
        return where.run("/usr/bin/python3", "-c", KNOCK, kind, address, port, patience).strip()

    def is_silent(self, where, kind, address, port):
        return self.knock(where, kind, address, port, 1) == "TimeoutError"


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory):
    log = tmp_path_factory.mktemp("network-log") / "network.log"
    with Lab(2, agent_options=("--uplinks", "physnet1:up0", "--network-log-file", log)) as lab:
        world = World(lab)
        world.log = log
        try:
            yield world
        except BaseException:
            lab.show_logs()
            raise
        finally:
            world.close()


@pytest.fixture
def world(shared_world):
    yield shared_world
    shared_world.clear()
    wait_for(lambda: shared_world.a1.ping(shared_world.c2.address, wait=1) and shared_world.c2.ping(shared_world.a1.address, wait=1), "all passes again")


@pytest.mark.parametrize("family", ["address", "six"])
def test_who_may_begin_is_answered_and_nobody_else(world, family):
    a1, c2 = getattr(world.a1, family), getattr(world.c2, family)
    world.group(world.interface("x", "a"), ingress=world.policy(), egress=world.everything())
    wait_for(lambda: not world.c2.ping(a1, wait=1), "c2 does not reach net a any more")
    assert world.a1.ping(c2) and world.knock(world.a1, "tcp", c2, 80) == "open"
    assert world.is_silent(world.c2, "udp", a1, 9)
    assert world.lab.hosts[1].drops(world.c2.port)["firewall_ingress"] >= 2


@pytest.mark.parametrize("family", ["address", "six"])
def test_a_change_ends_a_running_connection(world, family):
    """By the policy of the second router, whose ports are at neither workload's network."""
    c2 = getattr(world.c2, family)
    version = 4 if family == "address" else 6
    web = world.rule(action="allow", protocol="tcp", destination_port="80", ip_version=version)
    policy = world.policy(web)
    world.group(world.interface("y", "c"), ingress=policy, egress=world.policy())
    wait_for(lambda: not world.a1.ping(c2, wait=1), "the policy holds")
    talk = world.a1.popen("/usr/bin/python3", "-c", TALK, c2, "80", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(patience=60):
        talk.stdin.write(f"{patience}\n")
        talk.stdin.flush()
        return talk.stdout.readline().strip()

    try:
        assert talk.stdout.readline().strip() == "open" and [say(), say()] == ["1", "1"]
        assert world.is_silent(world.a1, "tcp", c2, 7)
        other = world.rule(action="allow", protocol="tcp", destination_port="7", ip_version=version)
        world.api.put(f"/v2.0/fwaas/firewall_policies/{policy['id']}/insert_rule", {"firewall_rule_id": other["id"]})
        wait_for(lambda: world.knock(world.a1, "tcp", c2, 7, 1) == "open", "the inserted rule holds")
        assert say() == "1", "what was allowed and is goes on"
        world.api.put(f"/v2.0/fwaas/firewall_policies/{policy['id']}/remove_rule", {"firewall_rule_id": web["id"]})
        wait_for(lambda: say(0.5) == "TimeoutError", "the running connection is closed to both sides")
        assert world.is_silent(world.a1, "tcp", c2, 80) and world.knock(world.a1, "tcp", c2, 7) == "open"
    finally:
        talk.kill()
        talk.wait()


@pytest.mark.parametrize("family", ["address", "six"])
def test_a_rejected_client_hears_of_it(world, family):
    version = 4 if family == "address" else 6
    world.group(world.interface("x", "a"), ingress=world.everything(),
                egress=world.policy(world.rule(action="reject", ip_version=version, protocol="tcp", destination_port="80"),
                                    world.rule(action="reject", ip_version=version, protocol="udp"),
                                    world.rule(action="allow", ip_version=version)))
    target = getattr(world.c2, family)
    wait_for(lambda: world.knock(world.a1, "tcp", target, 80, 1) == "ConnectionRefusedError", "a reset comes")
    # "Administratively prohibited": EHOSTUNREACH, and EACCES of IPv6.
    assert world.knock(world.a1, "udp", target, 9) == ("OSError" if version == 4 else "PermissionError"), "an ICMP error comes"
    assert world.knock(world.a1, "tcp", target, 7) == "open"


def test_a_group_that_is_down_lets_nothing_pass(world):
    group = world.group(world.interface("x", "a"), ingress=world.everything(), egress=world.everything())
    assert world.a1.ping(world.c2.address)
    world.change("group", group, admin_state_up=False)
    wait_for(lambda: not world.a1.ping(world.c2.address, wait=1), "nothing passes")
    assert not world.c2.ping(world.a1.address, wait=1) and world.a1.ping("10.0.1.1"), "the router itself still answers"
    world.change("group", group, admin_state_up=True)
    wait_for(lambda: world.a1.ping(world.c2.address, wait=1), "it passes again")


def test_from_outside_and_to_it(world):
    """Addresses are those inside: behind the translation of a floating IP, before that of the source."""
    floating, url = world.floating["floating_ip_address"], "http://203.0.113.1/"
    fetch = lambda workload, patience=50: workload.run("curl", "-s", "-m", patience, url, check=False).strip()
    wait_for(lambda: world.outside.run("ping", "-c1", "-W1", floating, check=False).count("1 received"), "the floating IP answers")
    assert fetch(world.a1) and fetch(world.b2) == floating
    world.group(world.interface("x", "outside"),
                ingress=world.policy(world.rule(action="allow", source_ip_address=world.b2.address, protocol="tcp", destination_port="80")),
                egress=world.policy(world.rule(action="allow", destination_ip_address=world.b2.address, protocol="tcp", destination_port="7")))
    wait_for(lambda: not world.outside.run("ping", "-c1", "-W1", floating, check=False).count("1 received"), "echo requests are dropped")
    assert world.knock(world.outside, "tcp", floating, 7) == "open" and world.is_silent(world.outside, "tcp", floating, 80)
    assert fetch(world.b2) == floating and not fetch(world.a1, 2)
    assert world.b2.ping(world.a1.address) and world.a1.ping(world.c2.address), "between networks nothing changed"


def test_who_is_rejected_outside_hears_of_it(world):
    """A reset, or an ICMP error, whether the workload is behind the uplink or on another host."""
    near = world.api.post("/v2.0/floatingips", {"floatingip": {"floating_network_id": world.floating["floating_network_id"],
                                                               "port_id": world.a1.port["id"]}})["floatingip"]
    world.group(world.interface("x", "outside"), ingress=world.everything(),
                egress=world.policy(world.rule(action="allow", protocol="icmp"), world.rule(action="allow", protocol="tcp", destination_port="7"),
                                    world.rule(action="reject")))
    outside = lambda *what: world.knock(world.outside, *what)
    far = world.floating["floating_ip_address"]
    for address in (near["floating_ip_address"], far):
        wait_for(lambda: outside("tcp", address, 80) == "ConnectionRefusedError", f"a reset comes of {address}")
        assert outside("udp", address, 9) == "OSError", "an ICMP error comes: no route to host"
    assert outside("tcp", far, 7) == "open"
    for caller in (world.a1, world.b2): # Workloads that call by a floating IP, on its host and on another.
        assert world.knock(caller, "tcp", near["floating_ip_address"], 80) == "ConnectionRefusedError"
        assert world.knock(caller, "udp", near["floating_ip_address"], 9) == "OSError"
    world.api.delete(f"/v2.0/floatingips/{near['id']}")


def test_what_it_decides_is_logged(world):
    """At the port and with the rule, once a connection and each packet that is dropped, on the host that asks; and nothing else."""
    x = world.interface("x", "a")
    web = world.rule(action="allow", protocol="tcp", destination_port="80")
    closed = world.rule(action="deny", protocol="tcp", destination_port="7")
    group = world.group(x, egress=world.policy(web, closed), ingress=world.everything())
    made = world.api.post("/v2.0/log/logs", {"log": {"resource_type": "firewall_group", "resource_id": group["id"]}})["log"]

    def wait_logs(there):
        for host in world.lab.hosts:
            wait_for(lambda: (" log-drop log-accept" in host.ask("tables")["tables"]) == there, "the host to log it" if there else "it to log it no more")

    def lines(action):
        found = [dict(word.split("=", 1) for word in line.split(" ")) for line in world.log.read_text().splitlines()] if world.log.exists() else []
        return [entry for entry in found if entry["action"] == action and entry["logs"] == made["id"]]
    wait_logs(True)
    assert world.knock(world.a1, "tcp", world.c2.address, 80) == "open" and world.is_silent(world.a1, "tcp", world.c2.address, 7)
    wait_for(lambda: lines("DROP"), "a line about what was refused")
    accepted, = (entry for entry in lines("ACCEPT") if entry.get("tcp_flags") == "S")  # What earlier tests still end is judged anew, and logged, too.
    assert accepted == {**accepted, "direction": "egress", "project": world.project, "rule": web["id"], "source": world.a1.address,
                        "destination": world.c2.address, "destination_port": "80", "tcp_flags": "S"} and accepted["port"] in x
    refused = lines("DROP")[0]
    assert refused == {**refused, "direction": "egress", "rule": closed["id"], "reason": "firewall_egress", "destination_port": "7"}
    assert world.knock(world.c2, "tcp", world.a1.six, 9) == "ConnectionRefusedError"  # By the group's other policy, asked on the other host.
    wait_for(lambda: any(entry["direction"] == "ingress" and entry["destination"] == world.a1.six for entry in lines("ACCEPT")), "a line of the other host")
    world.api.delete(f"/v2.0/log/logs/{made['id']}")
    wait_logs(False)


def test_trace_names_the_rule(world):
    """The rule that lets the packet out of net a, and the one that does not let it into net c."""
    denying, allowing = world.rule(action="deny", protocol="udp", destination_port="4321"), world.rule(action="allow")
    world.group(world.interface("x", "a"), ingress=world.everything(), egress=world.policy(allowing))
    world.group(world.interface("y", "c"), ingress=world.policy(denying), egress=world.everything())
    router = next(port for port in world.api.get("/v2.0/ports")["ports"] if port["id"] in world.interface("x", "a")
                  and port["fixed_ips"][0]["ip_address"] == "10.0.1.1")
    packet = frame(world.a1, SimpleNamespace(port=router, address=world.c2.address))
    wait_for(lambda: "denies it" in json.dumps(world.lab.hosts[0].ask("trace", port=world.a1.port["id"], frame=packet)), "the rule holds")
    answer = world.lab.hosts[0].ask("trace", port=world.a1.port["id"], frame=packet)
    steps = [step["text"] for step in answer["steps"] if step["stage"] == "firewall"]
    assert (answer["verdict"], answer["reason"]) == ("dropped", "firewall_ingress")
    assert f"rule {allowing['id'][:8]} lets it pass" in steps[0] and f"rule {denying['id'][:8]} denies it" in steps[1], steps
