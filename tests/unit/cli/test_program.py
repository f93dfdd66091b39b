"""weft as its users see it: arguments in; requests, output and exit status out."""

import json
import os
import pathlib
import signal
import stat
import subprocess
import xml.etree.ElementTree

import pytest

import fake_api

WEFT = os.environ.get("WEFT", "build/release/src/cli/weft")


class Cli:
    def __init__(self, api, folder):
        self.api = api
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C.UTF-8",
            "OS_AUTH_URL": f"{api.url}/identity/v3", "OS_USERNAME": "alice", "OS_PASSWORD": "secret",
            "OS_PROJECT_NAME": "red", "WEFT_AGENT_SOCKET": str(folder / "agent.sock"),
        }

    def run(self, *arguments, **environment):
        return subprocess.run([WEFT, *arguments], env={**self.environment, **environment}, capture_output=True, text=True,
                              timeout=60)

    def __call__(self, *arguments, **environment):
        result = self.run(*arguments, **environment)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture
def api():
    server = fake_api.Api()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def weft(api, tmp_path):
    return Cli(api, tmp_path)


@pytest.fixture
def agent(tmp_path):
    server = fake_api.Agent(tmp_path / "agent.sock")
    yield server
    server.shutdown()
    server.server_close()


# ---- who asks --------------------------------------------------------------------------------------------------------

def test_scope_and_user_are_sent_as_identity_wants_them(api, weft):
    weft("network", "list")
    (auth,) = api.sent("POST", "/identity/v3/auth/tokens")
    assert auth == {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": "alice", "domain": {"id": "default"},
                                                                    "password": "secret"}}},
        "scope": {"project": {"name": "red", "domain": {"id": "default"}}}}}


def test_token_is_kept_for_the_session_where_only_its_owner_reads_it(api, weft, tmp_path):
    weft("network", "list")
    weft("network", "list")
    assert api.tokens == 1
    (kept,) = (tmp_path / "weft").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "weft").stat().st_mode) == 0o700


def test_token_of_another_password_is_not_used(api, weft):
    weft("network", "list")
    result = weft.run("network", "list", OS_PASSWORD="wrong")
    assert (result.returncode, result.stderr) == (4, "weft: The user name or password is wrong.\n")


def test_kept_token_that_was_revoked_is_replaced(api, weft, tmp_path):
    weft("network", "list")
    (kept,) = (tmp_path / "weft").iterdir()
    kept.write_text(kept.read_text().replace(fake_api.TOKEN, "revoked"))
    weft("network", "list")
    assert api.tokens == 2


def test_token_in_a_folder_that_others_can_enter_is_not_used(api, weft, tmp_path):
    weft("network", "list")
    (tmp_path / "weft").chmod(0o755)
    weft("network", "list")
    assert api.tokens == 2


def test_given_token_needs_no_password(api, weft):
    weft("network", "list", OS_TOKEN=fake_api.TOKEN, OS_PASSWORD="", OS_USERNAME="")
    assert api.tokens == 0
    result = weft.run("network", "list", OS_TOKEN="bad")
    assert (result.returncode, result.stderr) == (4, "weft: The token is not valid.\n")


@pytest.mark.parametrize("suffix", ["", "/", "/identity", "/identity/", "/identity/v3", "/identity/v3/"])
def test_identity_is_found_below_the_url(weft, api, suffix):
    weft("network", "list", OS_AUTH_URL=api.url + suffix)


def test_credentials_file(weft, api, tmp_path):
    file = tmp_path / ".config/weft/credentials"
    file.parent.mkdir(parents=True)
    file.write_text(f"# mine\nauth-url = {api.url}\nusername = alice\npassword = secret\nproject-name = red\n")
    file.chmod(0o600)
    nothing = dict(OS_AUTH_URL="", OS_USERNAME="", OS_PASSWORD="", OS_PROJECT_NAME="")
    weft("network", "list", **nothing)
    file.chmod(0o644)
    result = weft.run("network", "list", **nothing)
    assert result.returncode == 1 and "others can read it (mode 0644)" in result.stderr
    file.chmod(0o600)
    file.write_text("pasword = x\n")
    assert "credentials:1: there is no setting 'pasword'" in weft.run("network", "list").stderr


def test_nobody_there(weft):
    result = weft.run("network", "list", OS_AUTH_URL="http://127.0.0.1:1")
    assert result.returncode == 5 and "http://127.0.0.1:1/identity/v3/auth/tokens" in result.stderr


@pytest.mark.parametrize("variable", ["OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"])
def test_what_is_not_set_is_named(weft, variable):
    result = weft.run("network", "list", **{variable: ""})
    assert result.returncode == 1 and variable in result.stderr


# ---- resources -------------------------------------------------------------------------------------------------------

def test_create_sends_what_the_flags_say(api, weft):
    weft("network", "create", "n1", "--mtu", "1400", "--share", "--description", "käse", "--port-security", "false")
    assert api.sent("POST", "/v2.0/networks") == [{"network": {
        "name": "n1", "mtu": 1400, "shared": True, "description": "käse", "port_security_enabled": False}}]


def test_subnet_knows_its_family_from_the_prefix(api, weft):
    network = api.add("networks", name="n1")
    weft("subnet", "create", "s4", "--network", "n1", "--cidr", "10.0.0.0/24", "--gateway", "none", "--dns", "10.0.0.2",
         "--dns", "10.0.0.3", "--allocation-pool", "10.0.0.10-10.0.0.20", "--host-route", "10.9.0.0/16=10.0.0.9")
    weft("subnet", "create", "s6", "--network", network["id"], "--cidr", "fd00::/64", "--ipv6-mode", "slaac")
    four, six = (body["subnet"] for body in api.sent("POST", "/v2.0/subnets"))
    assert four == {"name": "s4", "network_id": network["id"], "cidr": "10.0.0.0/24", "ip_version": 4, "gateway_ip": None,
                    "dns_nameservers": ["10.0.0.2", "10.0.0.3"],
                    "allocation_pools": [{"start": "10.0.0.10", "end": "10.0.0.20"}],
                    "host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]}
    assert six == {"name": "s6", "network_id": network["id"], "cidr": "fd00::/64", "ip_version": 6,
                   "ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}


def test_port_attributes(api, weft):
    network = api.add("networks", name="n1")
    subnet = api.add("subnets", name="s1")
    weft("port", "create", "p1", "--network", "n1", "--fixed-ip", "subnet=s1,ip=10.0.0.5", "--fixed-ip", "fd00::5",
         "--allowed-address", "10.1.0.0/16=fa:16:3e:00:00:01", "--allowed-address", "10.2.0.1",
         "--dhcp-option", "mtu=1400", "--dhcp-option", "bootfile-name=http://[fd00::1]/x,ip-version=6", "--host", "h1")
    assert api.sent("POST", "/v2.0/ports")[0]["port"] == {
        "name": "p1", "network_id": network["id"], "binding:host_id": "h1",
        "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "10.0.0.5"}, {"ip_address": "fd00::5"}],
        "allowed_address_pairs": [{"ip_address": "10.1.0.0/16", "mac_address": "fa:16:3e:00:00:01"},
                                  {"ip_address": "10.2.0.1"}],
        "extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4},
                            {"opt_name": "bootfile-name", "opt_value": "http://[fd00::1]/x", "ip_version": 6}]}


@pytest.mark.parametrize("arguments, message", [
    (["subnet", "create", "s", "--cidr", "10.0.0.0/33"], "--cidr: '10.0.0.0/33' is not a prefix such as 10.0.0.0/24"),
    (["subnet", "create", "s", "--allocation-pool", "10.0.0.1"], "--allocation-pool: '10.0.0.1' is not FIRST-LAST"),
    (["subnet", "create", "s", "--host-route", "x=y"],
     "--host-route: 'x=y' is not DESTINATION=NEXTHOP, a prefix and an IP address"),
    (["port", "create", "p", "--fixed-ip", "10.0.0.300"],
     "--fixed-ip: '10.0.0.300' is not ADDRESS or subnet=SUBNET[,ip=ADDRESS]"),
    (["port", "create", "p", "--allowed-address", "10.0.0.1=zz"],
     "--allowed-address: '10.0.0.1=zz' is not PREFIX or PREFIX=MAC"),
    (["port", "create", "p", "--dhcp-option", "mtu"], "--dhcp-option: 'mtu' is not NAME=VALUE[,ip-version=4|6]"),
    (["network", "create", "n", "--mtu", "big"], "--mtu: 'big' is not a number"),
    (["port", "create", "p", "--network", "nope"], "--network: there is no network 'nope'"),
    (["network", "set", "n"], "nothing to change was given; see 'weft network set --help'"),
])
def test_wrong_values_are_named_and_nothing_is_sent(api, weft, arguments, message):
    result = weft.run(*arguments)
    assert result.returncode in (1, 3) and result.stderr == f"weft: {message}\n"
    assert not [r for r in api.requests if r[0] != "GET" and "/auth/" not in r[1]]


def test_names_and_ids(api, weft):
    first = api.add("ports", name="twin")
    api.add("ports", name="twin")
    result = weft.run("port", "show", "twin")
    assert result.returncode == 1 and result.stderr == "weft: 2 ports are named 'twin': use an id\n"
    assert weft.json("port", "show", first["id"])["id"] == first["id"]
    result = weft.run("port", "show", "none")
    assert result.returncode == 3 and result.stderr == "weft: there is no port 'none'\n"
    odd = api.add("ports", name="a&b=c/ä")
    assert weft.json("port", "show", "a&b=c/ä")["id"] == odd["id"]
    named_like_an_id = api.add("ports", name="11111111-2222-3333-4444-555555555555")
    assert weft.json("port", "show", named_like_an_id["name"])["id"] == named_like_an_id["id"]


def test_set_replaces_lists_and_checks_the_revision(api, weft):
    port = api.add("ports", name="p1", allowed_address_pairs=[{"ip_address": "10.0.0.1"}])
    weft("port", "set", "p1", "--no-allowed-address", "--name", "p2", "--disable", "--if-revision", "3")
    method, _, body, headers = api.requests[-1]
    assert (method, body) == ("PUT", {"port": {"allowed_address_pairs": [], "name": "p2", "admin_state_up": False}})
    assert headers["If-Match"] == "revision_number=3"
    assert port["name"] == "p2"


def test_delete_goes_on_after_a_failure(api, weft):
    for name in ("a", "b"):
        api.add("networks", name=name)
    result = weft.run("network", "delete", "a", "missing", "b")
    assert result.returncode == 3 and result.stderr == "weft: there is no network 'missing'\n"
    assert not api.objects["networks"]


def test_server_words_are_passed_on(api, weft):
    api.answers["POST", "/v2.0/networks"] = (409, {"NeutronError": {
        "type": "OverQuota", "message": "Quota exceeded for resources: ['network'].", "detail": ""}})
    result = weft.run("network", "create", "n")
    assert (result.returncode, result.stderr) == (1, "weft: Quota exceeded for resources: ['network'].\n")
    api.answers["POST", "/v2.0/networks"] = (500, None)
    assert "/v2.0/networks: status 500" in weft.run("network", "create", "n").stderr


# ---- output ----------------------------------------------------------------------------------------------------------

def test_lists_follow_pages(api, weft):
    for i in range(5):
        api.add("networks", name=f"n{i}")
    assert [n["name"] for n in weft.json("network", "list")] == ["n0", "n1", "n2", "n3", "n4"]
    assert [n["name"] for n in weft.json("network", "list", "--limit", "1")] == ["n0"]


def test_filters_are_escaped(api, weft):
    api.add("ports", name="a b&c", **{"binding:host_id": "h1"})
    api.add("ports", name="other", **{"binding:host_id": "h1"})
    assert len(weft.json("port", "list", "--name", "a b&c", "--host", "h1")) == 1


def test_table_value_and_columns(api, weft):
    port = api.add("ports", name="p1", mac_address="fa:16:3e:00:00:01", status="ACTIVE",
                   fixed_ips=[{"subnet_id": "s", "ip_address": "10.0.0.5"}, {"subnet_id": "t", "ip_address": "fd00::5"}])
    heading, line = weft("port", "list").splitlines()
    assert heading.split() == ["ID", "NAME", "MAC", "ADDRESSES", "STATUS", "HOST"]
    assert line.split() == [port["id"], "p1", "fa:16:3e:00:00:01", "10.0.0.5,", "fd00::5", "ACTIVE"]
    assert weft("port", "list", "-o", "value", "-c", "id", "-c", "fixed_ips") == f"{port['id']} 10.0.0.5,fd00::5\n"
    assert weft.json("port", "list", "-c", "name") == [{"name": "p1"}]
    assert weft("port", "show", "p1", "-o", "value", "-c", "id") == port["id"] + "\n"
    result = weft.run("port", "list", "-c", "nmae")
    assert result.returncode == 1 and result.stderr == "weft: --column: there is no attribute 'nmae'\n"


def test_show_prints_each_item_of_a_list_on_its_line(api, weft):
    api.add("subnets", name="s1", allocation_pools=[{"start": "10.0.0.2", "end": "10.0.0.9"}], dns_nameservers=["a", "b"])
    lines = [line.split() for line in weft("subnet", "show", "s1").splitlines()]
    assert ["allocation_pools", "10.0.0.2-10.0.0.9"] in lines
    assert lines.index(["b"]) == lines.index(["dns_nameservers", "a"]) + 1


def test_control_characters_do_not_reach_the_terminal(api, weft):
    api.add("networks", name="evil\x1b[31m")
    assert "\x1b" not in weft("network", "list")


def test_full_disk_is_an_error(api, weft):
    api.add("networks", name="n")
    with open("/dev/full", "w") as full:
        result = subprocess.run([WEFT, "network", "list"], env=weft.environment, stdout=full, stderr=subprocess.PIPE,
                                text=True, timeout=60)
    assert result.returncode == 1 and "the output cannot be written" in result.stderr


# ---- ports on this machine -------------------------------------------------------------------------------------------

def test_plug_binds_then_tells_the_agent(api, weft, agent):
    port = api.add("ports", name="p1", **{"binding:host_id": ""})
    weft("port", "plug", "p1", "eth7")
    assert port["binding:host_id"] == "h1"
    assert {"operation": "plug", "port": port["id"], "interface": "eth7", "force": False} in agent.requests
    weft("port", "plug", "p1", "eth7", "--force")
    assert {"operation": "plug", "port": port["id"], "interface": "eth7", "force": True} in agent.requests


def test_failed_plug_leaves_the_port_where_it_was(api, weft, agent):
    port = api.add("ports", name="p1", **{"binding:host_id": "h9"})
    agent.refuse = "interface: 'eth7' does not exist"
    result = weft.run("port", "plug", "p1", "eth7")
    assert (result.returncode, result.stderr) == (1, "weft: interface: 'eth7' does not exist\n")
    assert port["binding:host_id"] == "h9"


def test_unplug(api, weft, agent):
    port = api.add("ports", name="p1", **{"binding:host_id": "h1"})
    weft("port", "unplug", "p1")
    assert port["binding:host_id"] == ""
    result = weft.run("port", "unplug", "p1")
    assert result.stderr == "weft: port: 'p1' is bound to host '', this one is 'h1'\n"


def test_no_agent(api, weft):
    api.add("ports", name="p1")
    result = weft.run("port", "plug", "p1", "eth7")
    assert result.returncode == 5 and "no agent answers at" in result.stderr


def test_libvirt_interface(api, weft):
    network = api.add("networks", name="n1", mtu=1450)
    port = api.add("ports", name="p1", network_id=network["id"], mac_address="fa:16:3e:00:00:01")
    element = xml.etree.ElementTree.fromstring(weft("port", "libvirt-xml", "p1"))
    assert (element.tag, element.get("type")) == ("interface", "ethernet")
    assert element.find("mac").get("address") == "fa:16:3e:00:00:01"
    assert element.find("target").attrib == {"dev": "tap" + port["id"][:11]}
    assert element.find("model").get("type") == "virtio" and element.find("mtu").get("size") == "1450"
    element = xml.etree.ElementTree.fromstring(weft("port", "libvirt-xml", "p1", "--existing-tap"))
    assert element.find("target").get("managed") == "no"


# ---- what the platform says of itself ----------------------------------------------------------------------------------

def test_drops_name_ports(api, weft):
    port = api.add("ports", name="p1", **{"binding:host_id": "h1"})
    api.add("hosts", name="h1", state="up")
    api.add("hosts", name="h2", state="down")
    api.answers["GET", "/weft/v1/hosts/h1/drops"] = (200, {"drops": [
        {"port": port["id"], "reason": "spoofed_ip", "text": "the source address is not the port's", "packets": 3},
        {"port": None, "reason": "unknown_peer", "text": "...", "packets": 1}]})
    rows = weft.json("drops")
    assert [(r["host"], r["port"], r["reason"], r["packets"]) for r in rows] == [
        ("h1", "p1", "spoofed_ip", 3), ("h1", None, "unknown_peer", 1)]
    assert weft("drops", "-o", "value", "-c", "reason") == "spoofed_ip\nunknown_peer\n"


def test_log_follow_prints_lines_of_bound_ports(api, weft):
    port = api.add("ports", name="p1", **{"binding:host_id": "h1"})
    api.add("ports", name="p2", **{"binding:host_id": ""})
    path = f"/weft/v1/ports/{port['id']}/log"
    api.answers["GET", path] = (200, {"lines": ["time=... action=DROP"], "next": 8, "missed": 2})
    command = subprocess.Popen([WEFT, "log", "follow"], env=weft.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert [command.stdout.readline() for _ in range(2)] == ["time=... action=DROP\n"] * 2
    finally:
        command.send_signal(signal.SIGINT)
        errors = command.communicate(timeout=60)[1]
    assert command.returncode == 0 and "2 lines were not seen in time" in errors and "following 1 ports" in errors
    asked = [asked for _, asked, _, _ in api.requests if asked.startswith(path)]
    assert asked[:2] == [path, f"{path}?since=8"]
    assert weft.run("log", "follow", "nobody").returncode == 3


def test_log_follow_of_a_tenant_finds_out_which_ports_are_bound(api, weft):
    ports = [api.add("ports", name=name) for name in ("unbound", "bound", "of another project")]
    paths = [f"/weft/v1/ports/{port['id']}/log" for port in ports]
    api.answers["GET", paths[0]] = api.answers["GET", paths[1]] = (409, {"NeutronError": {"type": "PortNotBound", "message": "it is not bound", "detail": ""}})
    api.answers["GET", paths[2]] = (404, {"NeutronError": {"type": "PortNotFound", "message": "not found", "detail": ""}})
    result = weft.run("log", "follow", "unbound")
    assert result.returncode == 1 and "it is not bound" in result.stderr, "one that is named is told about"
    assert "there is no port that is bound" in weft.run("log", "follow").stderr
    api.answers["GET", paths[1]] = (200, {"lines": ["time=... action=DROP"], "next": 8, "missed": 0})
    command = subprocess.Popen([WEFT, "log", "follow"], env=weft.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert [command.stdout.readline() for _ in range(2)] == ["time=... action=DROP\n"] * 2
    finally:
        command.send_signal(signal.SIGINT)
        errors = command.communicate(timeout=60)[1]
    assert command.returncode == 0 and errors == "weft: following 1 ports\n"
    api.answers["GET", paths[1]] = (409, {"NeutronError": {"type": "HostNotConnected", "message": "not connected", "detail": ""}})
    assert "not connected" in weft.run("log", "follow").stderr


def test_trace_builds_the_frame_with_the_right_addresses(api, weft):
    network = api.add("networks", name="n1")
    first = api.add("ports", name="p1", network_id=network["id"], mac_address="fa:16:3e:00:00:01",
                    fixed_ips=[{"subnet_id": "s", "ip_address": "10.0.0.1"}])
    api.add("ports", name="p2", network_id=network["id"], mac_address="fa:16:3e:00:00:02",
            fixed_ips=[{"subnet_id": "s", "ip_address": "10.0.0.2"}])
    path = f"/weft/v1/ports/{first['id']}/trace"
    api.answers["POST", path] = (200, {
        "steps": [{"host": "h1", "stage": "antispoof", "text": "the source is the port's"},
                  {"host": "h2", "stage": "deliver", "text": "to p2"}],
        "verdict": "dropped", "reason": "destination_down", "outputs": []})
    expected = "fa163e000002fa163e00000108004500001c0000400040112"
    for arguments in (["--to", "p2"], ["--dst", "10.0.0.2"]):
        text = weft("trace", "p1", *arguments, "--proto", "udp", "--dport", "53")
        assert api.sent("POST", path)[-1]["frame"].startswith(expected[:48])
        assert text.index("on host h1") < text.index("antispoof") < text.index("on host h2") < text.index("deliver")
        assert text.rstrip().endswith("dropped: destination_down")
    weft("trace", "p1", "--frame", "ff:ff:ff:ff:ff:ff fa163e000001 0806")
    assert api.sent("POST", path)[-1] == {"frame": "fffffffffffffa163e0000010806"}
    assert "--dst: '10.0.0.9' is no port's address" in weft.run("trace", "p1", "--dst", "10.0.0.9").stderr
    assert "--frame: 'zz'" in weft.run("trace", "p1", "--frame", "zz").stderr
    assert "say where to" in weft.run("trace", "p1").stderr


def test_status_without_being_administrator(api, weft):
    api.answers["GET", "/weft/v1/hosts"] = (403, {"NeutronError": {"type": "PolicyNotAuthorized", "message": "no"}})
    api.add("networks", name="n1")
    text = weft("status")
    assert "Networks  1" in text and "only an administrator" in text


def test_roles_and_users(api, weft, tmp_path):
    project, role = api.add("projects", name="red"), api.add("roles", name="member")
    (tmp_path / "password").write_text("geheim\nmore\n")
    weft("user", "create", "bob", "--password-file", str(tmp_path / "password"), "--project", "red")
    (body,) = api.sent("POST", "/identity/v3/users")
    assert body == {"user": {"name": "bob", "domain_id": "default", "password": "geheim",
                             "default_project_id": project["id"]}}
    user = api.objects["users"][0]
    path = f"/identity/v3/projects/{project['id']}/users/{user['id']}/roles/{role['id']}"
    api.answers["PUT", path] = (204, None)
    weft("role", "add", "member", "--user", "bob", "--project", "red")
    assert api.sent("PUT", path)


def test_quota_of_our_own_project(api, weft):
    api.answers["GET", "/v2.0/quotas/p1"] = (200, {"quota": {"port": 5}})
    assert weft.json("quota", "show") == {"port": 5}


# ---- completion --------------------------------------------------------------------------------------------------------

def test_completion_offers_words_flags_and_names(api, weft):
    api.add("networks", name="blue")
    assert weft("__complete", "2", "weft", "port", "l").split() == ["list", "libvirt-xml"]
    assert weft("__complete", "3", "weft", "network", "show", "").split() == ["blue"]
    assert weft("__complete", "4", "weft", "port", "list", "--status", "A").split() == ["ACTIVE"]
    assert "--network" in weft("__complete", "3", "weft", "port", "list", "--").split()
    assert weft("__complete", "2", "weft", "completion", "").split() == ["bash", "zsh"]


def test_completion_scripts_are_valid(weft, tmp_path):
    script = tmp_path / "weft.bash"
    script.write_text(weft("completion", "bash"))
    inside = f"source {script}; PATH={pathlib.Path(WEFT).parent}:$PATH; COMP_WORDS=(weft netw); COMP_CWORD=1; _weft;" \
             " echo ${COMPREPLY[*]}"
    assert subprocess.run(["bash", "-c", inside], capture_output=True, text=True).stdout.split() == ["network"]
