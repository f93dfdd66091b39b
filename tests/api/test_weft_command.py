"""weft(1) against the real server: what the fake one of tests/unit/cli cannot prove."""

import json
import os
import subprocess

import pytest

from conftest import BUILD, PASSWORD, Server, wait_until


class Weft:
    def __init__(self, url, folder, user="admin", password=PASSWORD, project="admin"):
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder),
                            "LC_ALL": "C.UTF-8", "OS_AUTH_URL": f"{url}/identity/v3", "OS_USERNAME": user,
                            "OS_PASSWORD": password, "OS_PROJECT_NAME": project,
                            "WEFT_AGENT_SOCKET": f"{folder}/none.sock"}

    def run(self, *arguments, stdin=None):
        return subprocess.run([BUILD / "src/cli/weft", *map(str, arguments)], env=self.environment, capture_output=True,
                              text=True, input=stdin, timeout=60)

    def __call__(self, *arguments, stdin=None):
        result = self.run(*arguments, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def json(self, *arguments, **options):
        return json.loads(self(*arguments, "-o", "json", **options))

    def refused(self, *arguments):
        result = self.run(*arguments)
        assert result.returncode != 0
        return result.returncode, result.stderr.strip()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server")).start()
    yield running.url
    running.stop()


@pytest.fixture
def weft(url, tmp_path):
    return Weft(url, tmp_path)


@pytest.fixture
def member(url, weft, tmp_path, request):
    """A member of a project of the test's own."""
    name = request.node.name
    weft("project", "create", name)
    weft("user", "create", name, "--password-file", "-", stdin="geheim 1\n")
    weft("role", "add", "member", "--user", name, "--project", name)
    return Weft(url, tmp_path, name, "geheim 1", name)


def test_a_network_from_beginning_to_end(member):
    network = member.json("network", "create", "net", "--mtu", "1400", "--description", "größer")
    assert (network["mtu"], network["description"]) == (1400, "größer")
    member("subnet", "create", "four", "--network", "net", "--cidr", "10.0.0.0/24", "--dns", "10.0.0.2", "--host-route",
           "10.1.0.0/16=10.0.0.9", "--allocation-pool", "10.0.0.50-10.0.0.60")
    member("subnet", "create", "six", "--network", "net", "--cidr", "fd00::/64", "--ipv6-mode", "slaac")
    port = member.json("port", "create", "p1", "--network", "net", "--fixed-ip", "subnet=four,ip=10.0.0.55", "--fixed-ip",
                       "subnet=six", "--allowed-address", "10.0.0.99", "--dhcp-option", "mtu=1300")
    assert [f["ip_address"] for f in port["fixed_ips"]][0] == "10.0.0.55" and len(port["fixed_ips"]) == 2
    assert member.json("port", "show", "p1")["id"] == port["id"]
    assert [p["name"] for p in member.json("port", "list", "--fixed-ip", "10.0.0.55")] == ["p1"]
    assert member.json("port", "list", "--fixed-ip", "10.0.0.54") == []
    member("port", "set", "p1", "--name", "p2", "--no-allowed-address", "--disable", "--if-revision",
           port["revision_number"])
    changed = member.json("port", "show", "p2")
    assert changed["allowed_address_pairs"] == [] and changed["admin_state_up"] is False
    assert member.refused("port", "set", "p2", "--name", "p3", "--if-revision", "0")[0] == 1
    member("subnet", "set", "four", "--no-dns", "--no-dhcp", "--gateway", "none")
    subnet = member.json("subnet", "show", "four")
    assert (subnet["dns_nameservers"], subnet["enable_dhcp"], subnet["gateway_ip"]) == ([], False, None)
    assert member.refused("network", "delete", "net")[0] == 1
    member("port", "delete", "p2")
    member("subnet", "delete", "four", "six")
    member("network", "delete", "net")
    assert member.json("network", "list") == []


def test_pages(member):
    member("network", "create", "net")
    for i in range(7):
        member("port", "create", f"p{i}", "--network", "net")
    assert len(member.json("port", "list")) == 7
    names = [p["name"] for p in member.json("port", "list", "--limit", "3", "--sort", "name", "--sort-dir", "desc")]
    assert names == ["p6", "p5", "p4"]


def test_errors_name_the_field(member):
    member("network", "create", "net")
    status, message = member.refused("subnet", "create", "s", "--network", "net", "--cidr", "10.0.0.1/24")
    assert status == 1 and "10.0.0.1/24" in message
    status, message = member.refused("port", "create", "p", "--network", "net", "--mac", "zz")
    assert status == 1 and "zz" in message
    status, message = member.refused("network", "create", "n", "--mtu", "1")
    assert status == 1 and "mtu" in message.lower()
    assert member.refused("network", "show", "nope") == (3, "weft: there is no network 'nope'")
    assert member.refused("host", "list")[0] == 4
    assert member.refused("project", "create", "x")[0] == 4


def test_projects_do_not_see_each_other(weft, member):
    weft("network", "create", "of-admin")
    assert member.json("network", "list") == []
    assert member.refused("network", "show", "of-admin")[0] == 3
    weft("network", "set", "of-admin", "--share")
    assert [n["name"] for n in member.json("network", "list")] == ["of-admin"]
    weft("network", "delete", "of-admin")


def test_quotas(weft, member):
    project = member.json("token", "issue")["project_id"]
    assert member.json("quota", "show")["port"] == weft.json("quota", "show", project)["port"]
    weft("quota", "set", project, "--network", "1")
    member("network", "create", "one")
    status, message = member.refused("network", "create", "two")
    assert status == 1 and "uota" in message
    weft("quota", "reset", project)
    member("network", "create", "two")


def test_hosts(weft):
    host = weft.json("host", "create", "h1", "--description", "rack 1")
    assert host["join_token"]
    again = weft.json("host", "join-token", "h1")
    assert again["join_token"] != host["join_token"]
    assert "join_token" not in weft.json("host", "show", "h1")
    assert [h["name"] for h in weft.json("host", "list")] == ["h1"]
    weft("host", "delete", "h1")
    assert weft.refused("host", "show", "h1")[0] == 3


def test_status_drops_and_counters_without_hosts(weft):
    assert "Hosts     0" in weft("status")
    assert weft.json("status")["agent"] is None
    assert weft.json("drops") == [] and weft.json("counters") == []


def test_an_unbound_port_has_nothing_to_trace(member):
    member("network", "create", "net")
    member("subnet", "create", "four", "--network", "net", "--cidr", "10.0.0.0/24")
    member("port", "create", "p1", "--network", "net")
    status, message = member.refused("trace", "p1", "--dst", "255.255.255.255", "--proto", "udp")
    assert status in (1, 3) and message


def test_identity(weft, url, tmp_path):
    weft("project", "create", "red", "--description", "a tenant")
    assert weft.json("project", "show", "red")["description"] == "a tenant"
    weft("user", "create", "bob", "--password", "secret 2", "--project", "red")
    assert weft.json("user", "show", "bob")["name"] == "bob"
    bob = Weft(url, tmp_path, "bob", "secret 2", "red")
    assert bob.refused("network", "list")[0] == 4
    weft("role", "add", "reader", "--user", "bob", "--project", "red")
    assert bob.json("network", "list") == []
    assert bob.refused("network", "create", "n")[0] == 4
    weft("role", "remove", "reader", "--user", "bob", "--project", "red")
    weft("user", "delete", "bob")
    weft("project", "delete", "red")
    assert {r["name"] for r in weft.json("role", "list")} >= {"admin", "member", "reader"}


def test_debug_shows_requests_and_no_secrets(weft):
    made = weft.run("user", "create", "eve", "--password", "secret 3", "--debug")
    assert "> POST" in made.stderr and "/users (credentials)" in made.stderr and "secret 3" not in made.stderr
    changed = weft.run("network", "create", "shown", "--debug").stderr
    assert '"name":"shown"' in changed and "(token)" not in changed.split("/networks")[-1]
    host = weft.run("host", "create", "h-debug", "--debug", "-o", "json")
    assert host.returncode == 0 and json.loads(host.stdout)["join_token"] not in host.stderr
    again = weft.run("host", "join-token", "h-debug", "--debug", "-o", "json")
    assert again.returncode == 0 and json.loads(again.stdout)["join_token"] not in again.stderr
    for command in (("user", "delete", "eve"), ("network", "delete", "shown"), ("host", "delete", "h-debug")):
        weft(*command)


def test_completion_knows_what_is_there(weft):
    weft("network", "create", "completed")
    assert weft("__complete", "3", "weft", "network", "show", "comp").split() == ["completed"]
    weft("network", "delete", "completed")


def test_a_security_group_from_beginning_to_end(member):
    group = member.json("security-group", "create", "web", "--description", "d")
    assert (group["stateful"], group["description"]) == (True, "d")
    rule = member.json("security-group", "rule", "create", "web", "--protocol", "tcp", "--port", "80-443", "--remote", "10.0.0.0/8")
    assert (rule["direction"], rule["ethertype"], rule["port_range_min"], rule["port_range_max"]) == ("ingress", "IPv4", 80, 443)
    assert member.json("security-group", "rule", "create", "web", "--remote", "2001:db8::/32", "--direction", "egress")["ethertype"] == "IPv6"
    ping = member.json("security-group", "rule", "create", "web", "--protocol", "icmp", "--icmp-type", "8", "--icmp-code", "0",
                       "--remote-group", "default")
    assert (ping["port_range_min"], ping["port_range_max"]) == (8, 0)
    assert ping["remote_group_id"] == member.json("security-group", "show", "default")["id"]
    assert len(member.json("security-group", "rule", "list", "web")) == 5
    assert [r["id"] for r in member.json("security-group", "rule", "list", "web", "--protocol", "tcp")] == [rule["id"]]
    assert "10.0.0.0/8" in member("security-group", "rule", "list", "web") and "web" in member("security-group", "list")
    code, said = member.refused("security-group", "rule", "create", "web", "--port", "http", "--protocol", "tcp")
    assert code == 1 and "--port: 'http'" in said
    assert "already exists" in member.refused("security-group", "rule", "create", "web", "--protocol", "tcp", "--port", "80-443", "--remote",
                                              "10.0.0.0/8")[1]
    member("network", "create", "net")
    port = member.json("port", "create", "p", "--network", "net", "--security-group", "web", "--security-group", "default")
    assert port["security_groups"] == [group["id"], ping["remote_group_id"]]
    assert [p["name"] for p in member.json("port", "list", "--security-group", "web")] == ["p"]
    assert "in use" in member.refused("security-group", "delete", "web")[1]
    assert member.json("port", "set", "p", "--no-security-group")["security_groups"] == []
    assert member.json("security-group", "set", "web", "--stateless", "--name", "www")["stateful"] is False
    assert member.json("security-group", "rule", "show", rule["id"])["protocol"] == "tcp"
    member("security-group", "rule", "delete", rule["id"])
    assert member.refused("security-group", "rule", "show", rule["id"])[0] == 3
    assert member.refused("security-group", "rule", "show", "tcp")[0] == 3
    member("port", "delete", "p")
    member("network", "delete", "net")
    member("security-group", "delete", "www")


def test_an_address_group_from_beginning_to_end(member):
    made = member.json("address-group", "create", "office", "--address", "192.0.2.0/24", "--address", "2001:db8::1")
    assert made["addresses"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert member.json("address-group", "add", "office", "198.51.100.0/24", "203.0.113.9")["addresses"] == [
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.9/32", "2001:db8::1/128"]
    assert "already exist" in member.refused("address-group", "add", "office", "192.0.2.0/24")[1]
    member("address-group", "remove", "office", "203.0.113.9", "198.51.100.0/24")
    member("security-group", "create", "web")
    rule = member.json("security-group", "rule", "create", "web", "--remote-address-group", "office")
    assert rule["remote_address_group_id"] == made["id"]
    assert "in use" in member.refused("address-group", "delete", "office")[1]
    member("security-group", "delete", "web")
    assert member.json("address-group", "set", "office", "--name", "offices")["name"] == "offices"
    assert "192.0.2.0/24" in member("address-group", "list")
    member("address-group", "delete", "offices")
    assert member.json("address-group", "list") == []


def test_subnet_pools_and_address_scopes(weft, member):
    assert member.json("address-scope", "create", "s", "--ip-version", "4", "--description", "d")["ip_version"] == 4
    made = member.json("subnet-pool", "create", "p", "--prefix", "10.0.0.0/16", "--prefix", "10.1.0.0/16", "--default-prefix-length", "24",
                       "--quota", "1024", "--address-scope", "s")
    assert (made["prefixes"], made["default_prefixlen"], made["default_quota"]) == (["10.0.0.0/15"], 24, 1024)
    assert [pool["name"] for pool in member.json("subnet-pool", "list", "--address-scope", "s")] == ["p"]
    member("network", "create", "pooled")
    assert member.json("subnet", "create", "first", "--network", "pooled", "--subnet-pool", "p")["cidr"] == "10.0.0.0/24"
    assert member.json("subnet", "create", "second", "--network", "pooled", "--subnet-pool", "p", "--prefix-length", "28")["cidr"] == "10.0.1.0/28"
    assert len(member.json("subnet", "list", "--subnet-pool", "p")) == 2
    assert member.json("network", "show", "pooled")["ipv4_address_scope"] == made["address_scope_id"]
    assert member.json("subnet-pool", "add", "p", "192.168.0.0/24")["prefixes"] == ["10.0.0.0/15", "192.168.0.0/24"]
    assert member.json("subnet-pool", "remove", "p", "192.168.0.0/24")["prefixes"] == ["10.0.0.0/15"]
    assert "used by a subnet" in member.refused("subnet-pool", "remove", "p", "10.0.0.0/16")[1]
    assert "existing allocations" in member.refused("subnet-pool", "delete", "p")[1]
    changed = member.json("subnet-pool", "set", "p", "--name", "q", "--no-quota", "--address-scope", "none")
    assert (changed["name"], changed["default_quota"], changed["address_scope_id"]) == ("q", None, None)
    member("subnet-pool", "create", "six", "--prefix", "2001:db8::/48")
    member("network", "create", "sixth")
    assert member.json("subnet", "create", "s6", "--network", "sixth", "--subnet-pool", "six")["cidr"] == "2001:db8::/64"
    member("network", "create", "other")
    member("subnet", "create", "chosen", "--network", "other", "--cidr", "10.9.0.0/24")
    assert member.json("subnet-pool", "onboard", "q", "other")["prefixes"] == ["10.0.0.0/15", "10.9.0.0/24"]
    weft("subnet-pool", "create", "all", "--prefix", "172.16.0.0/12", "--default-prefix-length", "24", "--default", "--share")
    member("network", "create", "last")
    assert member.json("subnet", "create", "l", "--network", "last", "--use-default-subnet-pool")["cidr"] == "172.16.0.0/24"
    assert member.json("address-scope", "set", "s", "--name", "t")["name"] == "t" and "t" in member("address-scope", "list")
    member("network", "delete", "pooled", "sixth", "other", "last")
    member("subnet-pool", "delete", "q", "six")
    weft("subnet-pool", "delete", "all")
    assert member.json("address-scope", "show", "t")["shared"] is False
    member("address-scope", "delete", "t")


def test_what_new_security_groups_get(weft, member):
    before = weft.json("security-group", "default-rule", "list")
    rule = weft.json("security-group", "default-rule", "create", "--protocol", "tcp", "--port", "22", "--remote", "192.0.2.0/24",
                     "--for-default-groups")
    assert (rule["direction"], rule["port_range_min"], rule["used_in_default_sg"], rule["used_in_non_default_sg"]) == ("ingress", 22, True, True)
    assert len(weft.json("security-group", "default-rule", "list")) == len(before) + 1
    member("security-group", "create", "templated")
    assert "192.0.2.0/24" in member("security-group", "rule", "list", "templated")
    assert weft.json("security-group", "default-rule", "show", rule["id"]) == rule
    assert member.refused("security-group", "default-rule", "delete", rule["id"])[0] == 4
    weft("security-group", "default-rule", "delete", rule["id"])
    setting = weft.json("security-group", "statefulness", "create", "--stateless")
    assert (setting["project_id"], member.json("security-group", "create", "loose")["stateful"]) == (None, False)
    assert weft.json("security-group", "statefulness", "set", setting["id"], "--stateful")["stateful"] is True
    assert [found["id"] for found in weft.json("security-group", "statefulness", "list")] == [setting["id"]]
    weft("security-group", "statefulness", "delete", setting["id"])
    member("security-group", "delete", "templated", "loose")


def test_completion_knows_security_groups(member):
    member("security-group", "create", "web")
    for words in (("security-group", "show", ""), ("port", "create", "p", "--security-group", "")):
        offered = member("__complete", len(words), "weft", *words).split()
        assert {"web", "default"} <= set(offered), words
    assert "rule" in member("__complete", 2, "weft", "security-group", "").split()
    member("security-group", "delete", "web")


def test_logs_from_beginning_to_end(weft, member):
    assert weft.json("log", "types") == [{"type": "firewall_group"}, {"type": "security_group"}]
    guard = weft.json("firewall", "group", "create", "guard")
    edge = weft.json("log", "create", "edge", "--type", "firewall_group", "--firewall-group", "guard")
    assert (edge["resource_id"], edge["resource_type"]) == (guard["id"], "firewall_group")
    weft("firewall", "group", "delete", "guard")
    group = weft.json("security-group", "create", "logged")
    weft.json("network", "create", "logged-net")
    port = weft.json("port", "create", "logged-port", "--network", "logged-net", "--security-group", "logged")
    log = weft.json("log", "create", "drops", "--event", "DROP", "--security-group", "logged", "--port", "logged-port", "--disable")
    assert (log["event"], log["resource_id"], log["target_id"], log["enabled"], log["resource_type"]) == (
        "DROP", group["id"], port["id"], False, "security_group")
    assert weft.json("log", "set", "drops", "--enable", "--name", "all-drops")["enabled"] is True
    assert [entry["id"] for entry in weft.json("log", "list", "--name", "all-drops")] == [log["id"]]
    assert weft("__complete", "3", "weft", "log", "show", "all").split() == ["all-drops"]
    assert "it needs the role admin" in member.refused("log", "create", "mine")[1]
    assert "not bound" in weft.refused("log", "follow", "logged-port")[1]
    weft("log", "delete", "all-drops")
    weft("port", "delete", "logged-port")
    weft("network", "delete", "logged-net")
    weft("security-group", "delete", "logged")
    assert weft.json("log", "list") == []


def test_routers_and_floating_ips(weft, member):
    weft("network", "create", "ext", "--external")
    weft("subnet", "create", "ext-v4", "--network", "ext", "--cidr", "203.0.113.0/24", "--no-dhcp")
    net = member.json("network", "create", "net")["id"]  # The administrator sees others of that name.
    member("subnet", "create", "four", "--network", "net", "--cidr", "10.0.0.0/24")
    router = member.json("router", "create", "r", "--external-network", "ext", "--description", "d")
    assert (router["name"], router["description"], router["external_gateway_info"]["enable_snat"]) == ("r", "d", True)
    interface = member.json("router", "add-interface", "r", "--subnet", "four")
    assert interface["id"] == router["id"] and member.json("port", "show", interface["port_id"])["device_id"] == router["id"]
    routes = member.json("router", "add-route", "r", "192.0.2.0/24=10.0.0.9", "198.51.100.0/24=10.0.0.9")["routes"]
    assert len(routes) == 2
    assert member.json("router", "remove-route", "r", "192.0.2.0/24=10.0.0.9")["routes"] == routes[1:]
    assert member.json("router", "set", "r", "--route", "192.0.2.0/24=10.0.0.8")["routes"] == [
        {"destination": "192.0.2.0/24", "nexthop": "10.0.0.8"}]
    assert member.refused("router", "add-route", "r", "x") == (1, "weft: 'x' is not PREFIX=NEXTHOP")
    status, message = member.refused("router", "remove-interface", "r", "--subnet", "four")
    assert status == 1 and "required by one or more routes" in message
    assert member.json("router", "set", "r", "--no-route", "--name", "s")["routes"] == []
    shown = weft.json("router", "snat", "s")
    assert shown["router_id"] == router["id"] and shown["address"].startswith("203.0.113.") and shown["hosts"] == []
    weft("host", "create", "translator")
    weft("port", "create", "behind", "--network", net, "--host", "translator")
    wait_until(lambda: [host for host in weft.json("router", "snat", "s")["hosts"] if host["blocks"]], "a block of ports")
    lines = weft("router", "snat", "s").splitlines()
    assert "LACKS PORTS" in lines[0] and lines[1].split()[:2] == ["translator", "2048"] and lines[1].split()[-1] == "2048-4095"
    weft("port", "delete", "behind")
    assert member.refused("router", "snat", "s")[0] == 4
    # SNAT is the administrator's; the rest of the gateway stays.
    assert member.refused("router", "set", "s", "--no-snat")[0] == 4
    off = weft.json("router", "set", "s", "--no-snat")["external_gateway_info"]
    assert (off["enable_snat"], off["network_id"]) == (False, router["external_gateway_info"]["network_id"])
    moved = weft.json("router", "set", "s", "--external-address", "203.0.113.50")["external_gateway_info"]
    assert [fixed["ip_address"] for fixed in moved["external_fixed_ips"]] == ["203.0.113.50"]
    assert [r["name"] for r in member.json("router", "list", "--name", "s")] == ["s"]

    port = member.json("port", "create", "p", "--network", "net")
    floating = member.json("floating-ip", "create", "--network", "ext", "--port", "p")
    address = floating["floating_ip_address"]
    assert floating["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert member.json("floating-ip", "show", address)["id"] == floating["id"]
    assert [f["id"] for f in member.json("floating-ip", "list", "--router", "s", "--port", "p", "--status", "ACTIVE")] == [floating["id"]]
    assert member.json("floating-ip", "set", address, "--no-port", "--description", "x")["port_id"] is None
    assert member.json("floating-ip", "set", address, "--port", "p", "--fixed-address", floating["fixed_ip_address"])["port_id"] == port["id"]
    member("floating-ip", "set", address, "--no-port")
    assert address in member("floating-ip", "list")
    assert member.refused("floating-ip", "show", "192.0.2.1") == (3, "weft: there is no floatingip '192.0.2.1'")

    web = member.json("port-forwarding", "create", address, "--protocol", "tcp", "--external", "80", "--port", "p", "--internal", "8080")
    assert (web["external_port"], web["internal_port"]) == (80, 8080)
    many = member.json("port-forwarding", "create", address, "--protocol", "udp", "--external", "1000-1009", "--port", "p")
    assert many["external_port_range"] == many["internal_port_range"] == "1000:1009"
    assert len(member.json("port-forwarding", "list", address)) == 2
    assert [f["id"] for f in member.json("port-forwarding", "list", address, "--protocol", "udp")] == [many["id"]]
    assert member.json("port-forwarding", "set", address, web["id"], "--external", "81")["external_port"] == 81
    assert member.json("port-forwarding", "show", address, web["id"])["internal_port"] == 8080
    assert member.refused("port-forwarding", "create", address, "--protocol", "tcp", "--external", "x", "--port", "p") == (
        1, "weft: --external: 'x' is not a port from 1 to 65535, or FIRST-LAST")
    assert member.refused("port-forwarding", "set", address, web["id"])[0] == 1
    member("port-forwarding", "delete", address, web["id"], many["id"])
    member("floating-ip", "delete", address)
    assert member.json("floating-ip", "list") == []

    completed = member.run("__complete", "3", "weft", "router", "show", "").stdout
    assert completed == "s\n"
    member("router", "set", "s", "--no-external-network")
    member("router", "remove-interface", "s", "--port", interface["port_id"])
    status, message = member.refused("router", "set", "s", "--no-snat")
    assert (status, message) == (1, "weft: router 's' has no external network yet: use --external-network")
    assert member.refused("router", "add-interface", "s")[0] == 1
    member("router", "delete", "s")
    weft("network", "delete", "ext")


def test_provider_networks(weft):
    network = weft.json("network", "create", "wire", "--type", "vlan", "--physical-network", "physnet1", "--vlan", "77", "--external")
    assert (network["provider:network_type"], network["provider:physical_network"], network["provider:segmentation_id"]) == (
        "vlan", "physnet1", 77)
    weft("network", "delete", "wire")


def test_firewalls(member):
    member("network", "create", "net")
    member("subnet", "create", "sub", "--network", "net", "--cidr", "10.0.0.0/24")
    member("router", "create", "r")
    member("router", "add-interface", "r", "--subnet", "sub")
    port = next(p for p in member.json("port", "list", "--network", "net") if p["device_owner"] == "network:router_interface")
    six = member.json("firewall", "rule", "create", "six", "--source", "fd00::/64", "--protocol", "tcp", "--destination-port", "80:90",
                      "--action", "allow")
    assert (six["ip_version"], six["source_ip_address"], six["destination_port"]) == (6, "fd00::/64", "80:90")
    rest = member.json("firewall", "rule", "create", "rest", "--action", "reject")
    policy = member.json("firewall", "policy", "create", "policy", "--rule", "six")
    inserted = member.json("firewall", "policy", "insert", "policy", "rest", "--before", "six")
    assert inserted["firewall_rules"] == [rest["id"], six["id"]]
    assert "--before" in member.refused("firewall", "policy", "insert", "policy", "rest", "--before", "six", "--after", "six")[1]
    assert member.json("firewall", "policy", "remove", "policy", "rest")["firewall_rules"] == [six["id"]]
    group = member.json("firewall", "group", "create", "group", "--ingress-policy", "policy", "--egress-policy", "default egress", "--port", port["id"])
    assert (group["status"], group["ports"], group["ingress_firewall_policy_id"]) == ("ACTIVE", [port["id"]], policy["id"])
    member("firewall", "group", "set", "group", "--no-ingress-policy", "--no-port", "--disable")
    assert (member.json("firewall", "group", "show", "group")["status"]) == "INACTIVE"
    member("firewall", "rule", "set", "six", "--source", "none", "--protocol", "none", "--destination-port", "none")
    assert member.json("firewall", "rule", "show", "six")["source_ip_address"] is None
    assert "six" in member("firewall", "rule", "list") and "policy" in member("firewall", "policy", "list")
    member("firewall", "group", "delete", "group")
    member("firewall", "policy", "delete", "policy")
    member("firewall", "rule", "delete", "six", "rest")
    assert {rule["name"][:7] for rule in member.json("firewall", "rule", "list")} == {"default"}


def test_load_balancers(member):
    member("network", "create", "net")
    member("subnet", "create", "sub", "--network", "net", "--cidr", "10.0.0.0/24")
    member("subnet", "create", "six", "--network", "net", "--cidr", "2001:db8::/64")
    web = member.json("loadbalancer", "create", "web", "--vip-subnet", "sub", "--vip-address", "10.0.0.9", "--additional-vip", "subnet=six", "--tag", "a")
    assert (web["vip_address"], web["tags"], len(web["additional_vips"])) == ("10.0.0.9", ["a"], 1)
    http = member.json("listener", "create", "http", "--loadbalancer", "web", "--protocol", "TCP", "--port", "80", "--allow", "10.0.0.0/8")
    assert (http["protocol_port"], http["allowed_cidrs"], http["loadbalancers"]) == (80, ["10.0.0.0/8"], [{"id": web["id"]}])
    pool = member.json("pool", "create", "servers", "--listener", "http", "--protocol", "TCP", "--persistence", "SOURCE_IP")
    assert (pool["lb_algorithm"], pool["session_persistence"]["type"]) == ("ROUND_ROBIN", "SOURCE_IP")
    assert member.json("pool", "set", "servers", "--no-persistence", "--algorithm", "SOURCE_IP")["session_persistence"] is None
    monitor = member.json("healthmonitor", "create", "alive", "--pool", "servers", "--type", "HTTP", "--path", "/health", "--http-version", "1.1")
    assert (monitor["delay"], monitor["url_path"], monitor["http_version"]) == (5, "/health", 1.1)
    assert member.json("healthmonitor", "set", "alive", "--delay", "7")["delay"] == 7
    first = member.json("member", "create", "servers", "--address", "10.0.0.5", "--port", "8080", "--weight", "3", "--name", "first")
    six = member.json("member", "create", "servers", "--address", "2001:db8::5", "--port", "80", "--backup", "true")
    other = member.json("member", "create", "servers", "--address", "10.0.0.5", "--port", "8081")
    # By name, id, address and port; an address alone where it says who.
    for name in ("first", first["id"], "10.0.0.5:8080"):
        assert member.json("member", "show", "servers", name)["weight"] == 3
    assert member.json("member", "set", "servers", "2001:db8::5", "--weight", "0")["operating_status"] in ("DRAINING", "ERROR")
    assert member.json("member", "show", "servers", "[2001:db8::5]:80")["id"] == six["id"]
    assert member.refused("member", "show", "servers", "10.0.0.5") == (1, "weft: 2 members are at '10.0.0.5': add a port, or use an id")
    assert member.refused("member", "show", "servers", "10.0.0.6") == (3, "weft: there is no member '10.0.0.6' in pool 'servers'")
    assert [m["id"] for m in member.json("member", "list", "servers", "--port", "8081")] == [other["id"]]
    assert "8081" in member("member", "list", "servers") and "first" in member("member", "list", "servers")
    lines = [line.split() for line in member("loadbalancer", "status", "web").splitlines()]
    assert [line[:2] for line in lines[1:5]] == [["loadbalancer", "web"], ["listener", "http"], ["pool", "servers"], ["healthmonitor", "alive"]]
    assert sorted(line[1] for line in lines[5:] if line[1][0] in "1[") == ["10.0.0.5:8081", "[2001:db8::5]:80"] and len(lines) == 8
    assert member.json("loadbalancer", "status", "web")["listeners"][0]["pools"][0]["id"] == pool["id"]
    assert member.json("loadbalancer", "stats", "web") == member.json("listener", "stats", "http")
    assert member.json("listener", "set", "http", "--no-pool", "--no-allow", "--name", "www")["default_pool_id"] is None
    assert [line.split()[:2] for line in member("loadbalancer", "status", "web").splitlines()[2:4]] == [["listener", "www"], ["pool", "servers"]]
    assert member.json("listener", "set", "www", "--pool", "servers", "--connection-limit", "5")["default_pool_id"] == pool["id"]
    assert [x["name"] for x in member.json("listener", "list", "--loadbalancer", "web")] == ["www"]
    assert "servers" in member("pool", "list", "--loadbalancer", "web") and "alive" in member("healthmonitor", "list", "--pool", "servers")
    assert member.json("loadbalancer", "list", "--vip-address", "10.0.0.9")[0]["id"] == web["id"]
    assert member.json("loadbalancer", "set", "web", "--disable", "--no-tag", "--description", "d")["operating_status"] == "OFFLINE"
    for words in (("loadbalancer", "show", ""), ("listener", "set", ""), ("listener", "create", "x", "--pool", ""), ("healthmonitor", "show", "")):
        assert member("__complete", len(words), "weft", *words).split() in (["web"], ["www"], ["servers"], ["alive"]), words
    status, said = member.refused("listener", "create", "again", "--loadbalancer", "web", "--protocol", "TCP", "--port", "80")
    assert status == 1 and "already using protocol TCP and protocol_port 80" in said
    assert "wait" not in member.refused("pool", "create", "x", "--protocol", "TCP")[1]
    assert member.refused("loadbalancer", "show", "nope") == (3, "weft: there is no loadbalancer 'nope'")
    member("member", "delete", "servers", "10.0.0.5:8080", other["id"])
    assert member.refused("member", "delete", "servers", "nope", "2001:db8::5")[0] == 3
    assert member.json("member", "list", "servers") == []
    member("healthmonitor", "delete", "alive")
    assert member.refused("loadbalancer", "delete", "web")[0] == 1
    member("loadbalancer", "delete", "--cascade", "web")
    assert member.json("pool", "list") == []
    member("network", "delete", "net")
