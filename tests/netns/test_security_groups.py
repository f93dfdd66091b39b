"""Security groups, end to end: what real clients see, and that nothing else passes.

       h1: server ("web" group), neighbor        h2: client ("clients" group), stranger
                       \\___________ one network, IPv4 and IPv6 __________/
"""

import contextlib
import errno
import itertools
import signal
import socket
import struct
import subprocess
import threading

import pytest

from lab import Lab
from namespaces import Failed, run, wait_for

LISTENER = """
import socket, sys, threading
def serve(connection):
    while data := connection.recv(4096):
        connection.sendall(data)
server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


class Groups:
    """The API's words for groups and rules; of one test."""

    def __init__(self, api):
        self.api, self.made = api, []

    def new(self, name, *rules, **attributes):
        """A group without any rule but 'rules'."""
        group = self.api.post("/v2.0/security-groups", {"security_group": {"name": name, **attributes}})["security_group"]
        self.made.append(group)
        for rule in group["security_group_rules"]:
            self.api.delete(f"/v2.0/security-group-rules/{rule['id']}")
        for rule in rules:
            self.allow(group, **rule)
        return group

    def allow(self, group, direction="ingress", protocol="tcp", ports=None, ethertype="IPv4", remote=None, remote_group=None):
        rule = {"security_group_id": group["id"], "direction": direction, "protocol": protocol, "ethertype": ethertype}
        if ports:
            rule.update(port_range_min=ports, port_range_max=ports)
        if remote:
            rule["remote_ip_prefix"] = remote
        if remote_group:
            rule["remote_group_id"] = remote_group["id"]
        return self.api.post("/v2.0/security-group-rules", {"security_group_rule": rule})["security_group_rule"]

    def forbid(self, rule):
        self.api.delete(f"/v2.0/security-group-rules/{rule['id']}")

    def delete(self):
        for group in reversed(self.made):  # Who is named by a rule goes after it.
            self.api.delete(f"/v2.0/security-groups/{group['id']}")


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    return tmp_path_factory.mktemp("network-log") / "network.log"


@pytest.fixture(scope="module")
def lab(log_file):
    with Lab(2, agent_options=("--network-log-file", log_file)) as lab:
        lab.network = lab.api.network()
        lab.api.subnet(lab.network, "10.0.0.0/24")
        lab.api.subnet(lab.network, "fd00::/64", ipv6_address_mode="dhcpv6-stateful", ipv6_ra_mode="dhcpv6-stateful")
        yield lab


@pytest.fixture
def groups(lab):
    made = Groups(lab.api)
    yield made
    made.delete()


@contextlib.contextmanager
def workload(lab, host, *groups):
    made = lab.workload(lab.api.port(lab.network, host, security_groups=[group["id"] for group in groups]), host)
    lab.api.wait_active(made.port)
    try:
        yield made
    finally:
        made.delete()
        lab.workloads.remove(made)
        lab.api.delete(f"/v2.0/ports/{made.port['id']}")


def address_of(workload, family):
    return next(fixed["ip_address"] for fixed in workload.port["fixed_ips"] if (":" in fixed["ip_address"]) == (family == 6))


def connect(client, server, port, timeout=60, family=4):
    with client.namespace.inside():
        return socket.create_connection((address_of(server, family), port), timeout)


def connects(client, server, port, family=4, patience=1):
    """A connection is made, and what is sent comes back, within 'patience' seconds each."""
    try:
        with connect(client, server, port, patience, family) as connection:
            connection.sendall(b"hello")
            return connection.recv(100) == b"hello"
    except OSError:
        return False


@contextlib.contextmanager
def listening(server, *ports):
    listeners = [server.popen("/usr/bin/python3", "-c", LISTENER, port, stdout=subprocess.PIPE, text=True) for port in ports]
    try:
        for listener in listeners:
            assert listener.stdout.readline() == "ready\n"
        yield
    finally:
        for listener in listeners:
            listener.kill()
            listener.communicate()


OUT = {"direction": "egress", "protocol": None}
OUT6 = {"direction": "egress", "protocol": None, "ethertype": "IPv6"}


def test_what_no_rule_names_does_not_pass(lab, groups):
    """TCP 7000 is let in, in both families; 7001, UDP and ICMP are not, nor does the server get out by itself."""
    web = groups.new("web", {"ports": 7000}, {"ports": 7000, "ethertype": "IPv6"})
    clients = groups.new("clients", OUT, OUT6)
    with workload(lab, lab.hosts[0], web) as server, workload(lab, lab.hosts[1], clients) as client, \
            workload(lab, lab.hosts[0], clients) as neighbor, listening(server, 7000, 7001), listening(client, 7000):
        for one in (client, neighbor):
            for family in (4, 6):
                wait_for(lambda: connects(one, server, 7000, family), f"IPv{family} from {one.namespace.name}")
                assert not connects(one, server, 7001, family)
            assert one.ping(server, wait=1) == 0
        assert lab.hosts[0].drops(server.port)["policy_ingress"] >= 4
        assert not connects(server, client, 7000)
        assert lab.hosts[0].drops(server.port)["policy_egress"] >= 1


def test_a_rule_that_goes_ends_its_connections_at_once(lab, groups):
    clients = groups.new("clients", OUT)
    web = groups.new("web")
    rules = [groups.allow(web, ports=port) for port in (7000, 7001)]
    with workload(lab, lab.hosts[0], web) as server, workload(lab, lab.hosts[1], clients) as client, listening(server, 7000, 7001):
        wait_for(lambda: connects(client, server, 7000) and connects(client, server, 7001), "both ports to be reached")
        with connect(client, server, 7000) as ended, connect(client, server, 7001) as other:
            groups.forbid(rules[0])

            def is_over():
                try:
                    ended.settimeout(0.3)
                    ended.sendall(b"still there?")
                    return not ended.recv(100)
                except (TimeoutError, ConnectionError):
                    return True

            wait_for(is_over, "the connection to end")
            assert not connects(client, server, 7000)
            other.sendall(b"you too?")
            assert other.recv(100) == b"you too?"


def test_a_group_is_who_is_in_it(lab, groups):
    """By remote group: members on any host, from the moment that they are in until they leave."""
    clients, others = groups.new("clients", OUT), groups.new("others", OUT)
    web = groups.new("web")
    groups.allow(web, ports=7000, remote_group=clients)
    with workload(lab, lab.hosts[0], web) as server, workload(lab, lab.hosts[1], clients) as client, \
            workload(lab, lab.hosts[1], others) as stranger, listening(server, 7000):
        wait_for(lambda: connects(client, server, 7000), "the member to be let in")
        assert not connects(stranger, server, 7000)
        lab.api.update_port(stranger.port, security_groups=[clients["id"]])
        wait_for(lambda: connects(stranger, server, 7000), "the new member to be let in")
        lab.api.update_port(client.port, security_groups=[others["id"]])
        wait_for(lambda: not connects(client, server, 7000), "the former member to be left out")


def test_stateless_groups_judge_each_packet(lab, groups):
    """The server's answers need a rule of their own, by the port that the client calls from."""
    web = groups.new("web", {"ports": 7000}, stateful=False)
    clients = groups.new("clients", OUT)
    with workload(lab, lab.hosts[0], web) as server, workload(lab, lab.hosts[1], clients) as client, listening(server, 7000):
        assert not connects(client, server, 7000)
        wait_for(lambda: lab.hosts[0].drops(server.port).get("policy_egress"), "the answer to be dropped")
        groups.allow(web, direction="egress")
        wait_for(lambda: connects(client, server, 7000), "answers to be let out")


def test_timeouts_are_options_that_end_no_connection(lab, groups):
    """Another value counts from the agent's start on, for what is there as well; a wrong one is refused before anything is touched."""
    web, clients = groups.new("web", {"ports": 7000}), groups.new("clients", OUT)
    host = lab.hosts[0]

    def flow(port):
        return next(one for one in host.ask("flows", port=port["id"])["flows"] if one["protocol"] == "tcp" and one["state"] == "established")

    with workload(lab, host, web) as server, workload(lab, lab.hosts[1], clients) as client, listening(server, 7000):
        wait_for(lambda: connects(client, server, 7000), "the server to be reached")
        assert host.ask("status")["timeouts"] == {"tcp-established": 432000, "tcp-half-open": 30, "tcp-half-closed": 900, "tcp-closing": 120,
                                                  "udp": 180, "udp-new": 30, "icmp": 30, "other": 600}
        with connect(client, server, 7000) as lasting:
            lasting.sendall(b"one")
            assert lasting.recv(100) == b"one"
            before = flow(server.port)
            host.stop()
            host.start("--timeout-tcp-established", "7200", "--timeout-udp", "60")
            try:
                assert host.ask("status")["timeouts"]["tcp-established"] == 7200 and host.ask("status")["timeouts"]["udp"] == 60
                lasting.sendall(b"two")
                assert lasting.recv(100) == b"two"
                assert flow(server.port)["rx_packets"] > before["rx_packets"]
                for option, value in (("timeout-icmp", "2000001"), ("timeout-udp", "soon"), ("max-connections", "17")):
                    with pytest.raises(Failed) as failure:
                        run(*host.command(f"--{option}", value))
                    assert option in str(failure.value)
            finally:
                host.stop()
                host.start()


def flood(sender, receiver, n):
    """So many SYNs of connections that nobody answers: the checksum is wrong, which only the receiver's kernel looks at."""
    mac = bytes.fromhex(receiver.port["mac_address"].replace(":", "") + sender.port["mac_address"].replace(":", ""))
    with sender.namespace.inside():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("eth0", 0))
    with raw:
        for i in range(n):
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, socket.inet_aton(sender.address), socket.inet_aton(receiver.address))
            half = sum(struct.unpack("!10H", ip))
            ip = ip[:10] + struct.pack("!H", ~((half & 0xffff) + (half >> 16)) & 0xffff) + ip[12:]
            tcp = struct.pack("!HHIIBBHHH", 1024 + i % 60000, 9000 + i // 60000, i, 0, 5 << 4, 2, 1024, 0xbad, 0)
            raw.send(mac + b"\x08\0" + ip + tcp)


def test_a_flood_of_syns_concerns_nobody_else(lab, groups):
    """Connections last, and others of the same project begin, at the flooded port and from the host that the flood comes from too."""
    web, clients = groups.new("web", {}), groups.new("clients", OUT)
    with workload(lab, lab.hosts[0], web) as server, workload(lab, lab.hosts[1], clients) as client, \
            workload(lab, lab.hosts[1], clients) as stranger, workload(lab, lab.hosts[0], web) as neighbor, \
            listening(server, 7000), listening(neighbor, 7000):
        wait_for(lambda: connects(client, server, 7000) and connects(stranger, server, 7000), "both to reach the server")
        with connect(client, server, 7000) as lasting:
            before = lab.hosts[0].counters(server.port)["rx_packets"]
            flooding = threading.Thread(target=flood, args=(stranger, server, 150000))
            flooding.start()
            try:
                while flooding.is_alive():
                    assert connects(client, neighbor, 7000, patience=60)
                    lasting.sendall(b"still there?")
                    assert lasting.recv(100) == b"still there?"
            finally:
                flooding.join()
            # More were let in than the project may have at once (a quarter of its half of the table).
            assert lab.hosts[0].counters(server.port)["rx_packets"] - before > 40000
            assert connects(client, server, 7000, patience=60) and connects(client, neighbor, 7000, patience=60)
            assert "connection_limit" not in {**lab.hosts[0].drops(neighbor.port), **lab.hosts[1].drops(client.port)}


def test_a_port_scan_sees_nothing(lab, groups):
    """Neither an open nor a closed port answers a neighbor, not even with a refusal."""
    nothing, clients = groups.new("nothing"), groups.new("clients", OUT)
    with workload(lab, lab.hosts[0], nothing) as server, workload(lab, lab.hosts[0], clients) as neighbor, listening(server, 7000):
        answers, pending = [], []
        with neighbor.namespace.inside():
            for port in [*range(1, 200), 7000]:
                one = socket.socket()
                one.setblocking(False)
                assert one.connect_ex((server.address, port)) == errno.EINPROGRESS
                pending.append(one)
        # All SYNs were judged when the last is counted; whoever is refused or let in knows by now.
        wait_for(lambda: lab.hosts[0].drops(server.port).get("policy_ingress", 0) >= 200, "200 probes to be dropped")
        for one in pending:
            with contextlib.suppress(BlockingIOError, OSError):
                answers += [one.getpeername()]
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            one.close()
        assert answers == [] and neighbor.ping(server, wait=1) == 0


def test_what_every_workload_needs_is_never_refused(lab, groups):
    """A port whose groups allow nothing, or that has none: ARP, DHCP and the metadata service."""
    nothing = groups.new("nothing")
    for of_port in ([nothing], []):
        with workload(lab, lab.hosts[0], *of_port) as one:
            one.namespace.ip("addr", "flush", "dev", "eth0", "scope", "global")
            try:
                out = one.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", 30, "-T", 1, "-s", "/bin/true", stderr=subprocess.STDOUT)
            except Failed as failure:
                pytest.fail(f"no lease: {failure}")
            assert f"lease of {one.address} obtained" in out
            one.namespace.ip("addr", "add", f"{one.address}/24", "dev", "eth0")
            one.namespace.ip("route", "replace", "169.254.169.254/32", "dev", "eth0")
            assert one.run("curl", "-sS", "--max-time", 50, "http://169.254.169.254/latest/meta-data/local-ipv4") == one.address


def entries(log_file, **wanted):
    """Lines of the network log, as dictionaries, that say what is wanted."""
    lines = log_file.read_text().splitlines() if log_file.exists() else []
    found = [dict(word.split("=", 1) for word in line.split(" ")) for line in lines]
    return [entry for entry in found if all(entry.get(name) == value for name, value in wanted.items())]


@contextlib.contextmanager
def logging(lab, **attributes):
    made = lab.api.post("/v2.0/log/logs", {"log": {"resource_type": "security_group", **attributes}})["log"]
    try:
        yield made
    finally:
        lab.api.delete(f"/v2.0/log/logs/{made['id']}")


def wait_logs(host, flags):
    """The tables of the host say so; '' for none at all."""
    def is_there():
        ports = [line for line in host.ask("tables")["tables"].splitlines() if line.startswith("ports ")]
        return any(f" {flags} " in line for line in ports) if flags else not any(" log-" in line for line in ports)
    wait_for(is_there, f"the host to log {flags or 'nothing'}")


def test_what_is_let_in_and_refused_is_logged(lab, groups, log_file):
    """ACCEPT once a connection, with the rule; DROP each packet; only at the port and of the group that a log names."""
    web, clients = groups.new("web"), groups.new("clients", OUT)
    rule = groups.allow(web, ports=7000)
    host = lab.hosts[0]
    with workload(lab, host, web) as server, workload(lab, lab.hosts[1], clients) as client, listening(server, 7000), \
            logging(lab, resource_id=web["id"], target_id=server.port["id"]) as log:
        wait_logs(host, "log-drop log-rules")
        with connect(client, server, 7000) as connection:
            for _ in range(3):
                connection.sendall(b"hello")
                assert connection.recv(100)
            source_port = str(connection.getsockname()[1])
        assert not connects(client, server, 7001)
        wait_for(lambda: entries(log_file, action="DROP"), "a line about what was refused")
        accepted, = entries(log_file, action="ACCEPT")
        assert accepted == {**accepted, "direction": "ingress", "project": server.port["project_id"], "port": server.port["id"],
                            "logs": log["id"], "rule": rule["id"], "source": client.address, "destination": server.address,
                            "protocol": "6", "source_port": source_port, "destination_port": "7000", "tcp_flags": "S",
                            "source_mac": client.port["mac_address"], "destination_mac": server.port["mac_address"],
                            "ethertype": "0x0800"}
        refused = entries(log_file, action="DROP")[0]
        assert refused == {**refused, "direction": "ingress", "port": server.port["id"], "reason": "policy_ingress",
                           "destination_port": "7001", "logs": log["id"]} and "rule" not in refused
        assert not entries(log_file, port=client.port["id"])

        # Rotation: what is said after SIGHUP is in a new file.
        log_file.rename(log_file.with_suffix(".1"))
        host.agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: connects(client, server, 7001) or entries(log_file, action="DROP"), "a new file")

        # Off is off: the next packets are dropped as before, and not a line is written.
        lab.api.put(f"/v2.0/log/logs/{log['id']}", {"log": {"enabled": False}})
        wait_logs(host, "")
        n_lines, dropped = len(entries(log_file)), host.drops(server.port)["policy_ingress"]
        assert not connects(client, server, 7001)
        assert host.drops(server.port)["policy_ingress"] > dropped and connects(client, server, 7000, patience=60)
        assert len(entries(log_file)) == n_lines
    wait_logs(host, "")
    log_file.write_text("")  # The agents go on at its end.


def test_a_flood_is_logged_by_its_rate_and_counted(lab, groups, log_file):
    """2,000 datagrams: each is a line, or among those said to be left out; another port's lines all come."""
    nothing, clients = groups.new("nothing"), groups.new("clients", OUT)
    host = lab.hosts[0]
    with workload(lab, host, nothing) as flooded, workload(lab, host, nothing) as quiet, workload(lab, lab.hosts[1], clients) as client, \
            logging(lab, resource_id=nothing["id"], event="DROP"):
        wait_logs(host, "log-drop")
        client.ping(flooded, wait=1)
        with client.namespace.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for i in range(2000):
            sender.sendto(b"flood", (flooded.address, 9))
            if i % 200 == 0:
                sender.sendto(b"quiet", (quiet.address, 9))
        sender.close()

        def is_complete():
            left_out = sum(int(entry["count"]) for entry in entries(log_file, action="LEFT_OUT", port=flooded.port["id"]))
            lines = len(entries(log_file, action="DROP", port=flooded.port["id"]))
            return left_out > 1000 and 2000 <= left_out + lines <= sum(host.drops(flooded.port).values())

        wait_for(is_complete, "all that was dropped to be said")
        assert len(entries(log_file, action="DROP", direction="ingress", port=quiet.port["id"])) == 10
        assert not entries(log_file, action="LEFT_OUT", port=quiet.port["id"])
    wait_logs(host, "")
    log_file.write_text("")  # The agents go on at its end.


def test_a_port_is_followed_by_its_project_only(lab, groups, log_file):
    project, token = lab.api.project("followers")
    user = lab.api.post("/identity/v3/users", {"user": {"name": "follower", "password": "secret", "domain_id": "default"}})["user"]
    member = next(role for role in lab.api.get("/identity/v3/roles")["roles"] if role["name"] == "member")
    lab.api.put(f"/identity/v3/projects/{project}/users/{user['id']}/roles/{member['id']}", None)
    token = lab.api.login("followers", "follower", "secret")
    web, clients = groups.new("web"), groups.new("clients", OUT)
    with workload(lab, lab.hosts[0], web) as server, workload(lab, lab.hosts[1], clients) as client, \
            logging(lab, project_id=server.port["project_id"]):
        wait_logs(lab.hosts[0], "log-drop log-accept")
        path = f"/weft/v1/ports/{server.port['id']}/log"
        lab.api.get(path, token=token, expect=404)
        begin = lab.api.get(path)  # What the workload says by itself (MLD, router solicitations) is followed, too.
        assert begin["missed"] == 0 and begin["next"] == 1 + len(begin["lines"])
        assert client.ping(server, wait=1) == 0

        def followed():
            answer = lab.api.get(f"{path}?since={begin['next']}")
            return any("action=DROP direction=ingress" in line for line in answer["lines"]) and answer

        seen = wait_for(followed, "the line of a drop")
        assert all(f"port={server.port['id']}" in line for line in seen["lines"])
        assert not set(lab.api.get(f"{path}?since={seen['next']}")["lines"]) & set(seen["lines"])
    wait_logs(lab.hosts[0], "")
    log_file.write_text("")  # The agents go on at its end.


def make_small_tables(host, **sizes):
    """The host's agent starts with maps of these sizes: it keeps those that it finds."""
    shapes = {"rules": ("hash", 8, 512), "member_prefixes": ("lpm_trie", 24, 8), "next_hops": ("hash", 8, 24)}
    host.stop()
    host.detach()
    run("mkdir", "-p", f"{host.pin_path}/v1")
    for name, size in sizes.items():
        kind, key, value = shapes[name]
        run("bpftool", "map", "create", f"{host.pin_path}/v1/{name}", "type", kind, "key", key, "value", value, "entries", size, "name", name, "flags", 1)
    host.start()


def test_a_projects_many_rules_take_no_room_from_anothers(lab, groups):
    """Two projects share a host whose maps have room for 12 rule sets and 8 prefixes.  One wants more than there is, and was there first.
    (The last test of this lab: the host keeps its small tables.)"""
    host = lab.hosts[0]
    project, token = lab.api.project("loud")

    def post(kind, **attributes):
        return lab.api.post(f"/v2.0/{kind}s", {kind.replace("-", "_"): attributes}, token=token)[kind.replace("-", "_")]

    def shortages():
        lines = host.ask("tables")["tables"].splitlines()
        return {line.split()[1]: line for line in lines if line.startswith("shortage ") and line.split()[2] == project}

    make_small_tables(host, rules=12, member_prefixes=8, next_hops=100)
    network = lab.api.network("loud", token=token)
    prefixes = post("address-group", name="many", addresses=[f"192.168.{i}.0/24" for i in range(20)])
    made, ports = [post("security-group", name=f"loud {i}") for i in range(8)], []
    for i, group in enumerate(made):
        post("security-group-rule", security_group_id=group["id"], direction="ingress", ethertype="IPv4", protocol="tcp",
             port_range_min=1000 + i, port_range_max=1000 + i, remote_address_group_id=prefixes["id"])
    for pair in list(itertools.combinations(made, 2))[:15]:  # Each has a set of its own for what it receives, and all have one for what they send.
        ports.append(lab.api.port(network, host, token=token, security_groups=[group["id"] for group in pair]))
    wait_for(lambda: set(shortages()) == {"rules", "member_prefixes"}, "the tables to be full")

    # A router that wants 64 next hops twice is not there, and its owner sees that.
    def router_is(status):
        return lab.api.get(f"/v2.0/routers/{router['id']}")["router"]["status"] == status

    subnet = lab.api.subnet(network, "10.5.0.0/24", token=token)
    routes = [{"destination": f"192.168.{i}.0/24", "nexthop": f"10.5.0.{200 + k}"} for i in (1, 2) for k in (1, 2)]
    router = post("router", name="loud")
    lab.api.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]}, token=token)
    lab.api.put(f"/v2.0/routers/{router['id']}", {"router": {"routes": routes[:2]}}, token=token)
    wait_for(lambda: "\nnext_hops " in host.ask("tables")["tables"] and router_is("ACTIVE"), "the router to be there")
    lab.api.put(f"/v2.0/routers/{router['id']}", {"router": {"routes": routes}}, token=token)
    wait_for(lambda: "next_hops" in shortages() and router_is("ERROR"), "the router to be left out, and shown so")
    lab.api.put(f"/v2.0/routers/{router['id']}", {"router": {"routes": []}}, token=token)
    wait_for(lambda: "next_hops" not in shortages() and router_is("ACTIVE"), "the router to be there again")
    lab.api.put(f"/v2.0/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]}, token=token)
    lab.api.delete(f"/v2.0/routers/{router['id']}")
    lab.api.delete(f"/v2.0/subnets/{subnet['id']}")
    slots = {line.split()[1] for line in host.ask("tables")["tables"].splitlines() if line.startswith("policies ") and "without room" in line}
    closed = next(one["id"] for one in host.ask("status")["ports"] if str(one["slot"]) in slots)
    left_out = lab.workload(next(port for port in ports if port["id"] == closed), host, address=False)
    offices = lab.api.post("/v2.0/address-groups", {"address_group": {"name": "offices", "addresses": ["10.0.0.0/24"]}})["address_group"]
    clients, web = groups.new("clients", OUT), groups.new("web", {"ports": 7000})
    try:
        with workload(lab, host, web) as server, workload(lab, lab.hosts[1], clients) as client, listening(server, 7000, 7001):
            wait_for(lambda: connects(client, server, 7000), "the other project's new port to be reached")
            lab.api.post("/v2.0/security-group-rules", {"security_group_rule": {
                "security_group_id": web["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 7001,
                "port_range_max": 7001, "remote_address_group_id": offices["id"]}})
            wait_for(lambda: connects(client, server, 7001), "its new rule and prefix to arrive")
            wait_for(lambda: connects(client, server, 7000), "its former rule to hold as before")
            # Who has no room is closed, and that is said; what goes makes room.
            assert set(shortages()) == {"rules", "member_prefixes"}
            assert f"'rules' has no room for all of project {project}" in host.agent.text()
            wait_for(lambda: any(one["id"] == closed and one["interface"] and one["status"] == "DOWN" for one in host.ask("status")["ports"]),
                     "the port without room to be plugged and down")
            for port in [port for port in ports if port["id"] != closed][:10]:
                lab.api.delete(f"/v2.0/ports/{port['id']}")
            wait_for(lambda: "rules" not in shortages(), "room for all rules")
            lab.api.wait_active(left_out.port)
    finally:
        left_out.delete()
        lab.workloads.remove(left_out)
        for port in lab.api.get(f"/v2.0/ports?project_id={project}")["ports"]:
            lab.api.delete(f"/v2.0/ports/{port['id']}")
        for group in groups.made:
            for rule in lab.api.get(f"/v2.0/security-group-rules?security_group_id={group['id']}")["security_group_rules"]:
                lab.api.delete(f"/v2.0/security-group-rules/{rule['id']}")
        lab.api.delete(f"/v2.0/address-groups/{offices['id']}")
