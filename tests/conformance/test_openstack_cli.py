"""Debian's 'openstack' command, unchanged, against weft-api: create, list, show, set, unset and delete."""

import contextlib
import io
import json
import os
import subprocess
from unittest import mock

import pytest

import server


@pytest.fixture(scope="module")
def openstack(api):
    """A function: openstack("network list") -> decoded JSON, None where the command prints nothing.

    The command's main() runs in this process: most of what /usr/bin/openstack takes is its imports."""
    from openstackclient import shell
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(api.folder), "LC_ALL": "C.UTF-8",
                   "OS_AUTH_URL": f"{api.url}/identity/v3", "OS_IDENTITY_API_VERSION": "3", "OS_USERNAME": "admin",
                   "OS_PASSWORD": server.PASSWORD, "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_NAME": "Default",
                   "OS_PROJECT_DOMAIN_NAME": "Default"}

    def call(text, *more, fails=False):
        words = text.split()
        verb_at = next(i for i, word in enumerate(words) if word in ("create", "list", "show", "set", "unset", "delete", "add", "remove",
                                                                                "onboard"))
        prints = words[verb_at] in ("create", "list", "show")
        arguments = [*words[:verb_at + 1], *(["-f", "json"] if prints else []), *words[verb_at + 1:], *more]
        out, errors = io.StringIO(), io.StringIO()
        with (mock.patch.dict(os.environ, environment, clear=True), contextlib.redirect_stdout(out),
              contextlib.redirect_stderr(errors)):
            status = shell.main(arguments)
        if fails:
            assert status != 0, f"'{text}' was expected to fail: {out.getvalue()}"
            return errors.getvalue()
        assert status == 0, f"openstack {text}: {out.getvalue()}{errors.getvalue()}"
        return json.loads(out.getvalue()) if prints else None

    return call


def test_the_program_itself(api):
    done = subprocess.run(["/usr/bin/python3", "/usr/bin/openstack", "--os-auth-url", f"{api.url}/identity/v3", "--os-username", "admin",
                           "--os-password", server.PASSWORD, "--os-project-name", "admin", "--os-user-domain-name", "Default",
                           "--os-project-domain-name", "Default", "network", "list", "-f", "json"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(api.folder)}, timeout=60)
    assert done.returncode == 0 and isinstance(json.loads(done.stdout), list)


def field(item, name):
    """'openstack' prints some columns as text and some as values, by version."""
    value = item[name]
    return value if not isinstance(value, str) or not value.startswith(("[", "{")) else json.loads(value.replace("'", '"'))


def names(listing):
    return {item["Name"] for item in listing}


def test_network_lifecycle(openstack):
    made = openstack("network create cli-net --description first --mtu 1400")
    assert (made["name"], made["description"], made["mtu"], made["status"]) == ("cli-net", "first", 1400, "ACTIVE")
    assert "cli-net" in names(openstack("network list"))
    assert names(openstack("network list --name cli-net")) == {"cli-net"}
    openstack("network set cli-net --name cli-net2 --description second --disable")
    shown = openstack("network show cli-net2")
    assert (shown["id"], shown["description"], shown["admin_state_up"]) == (made["id"], "second", False)
    openstack("network delete cli-net2")
    assert "cli-net2" not in names(openstack("network list"))
    assert "cli-net2" in openstack("network show cli-net2", fails=True)


@pytest.fixture
def network(openstack, api):
    made = openstack(f"network create cli-{os.getpid()}")
    yield made["name"]
    for port in api.request("GET", f"/v2.0/ports?network_id={made['id']}")["ports"]:  # Of a test that failed.
        api.request("DELETE", f"/v2.0/ports/{port['id']}")
    openstack(f"network delete {made['name']}")


def test_subnet_lifecycle(openstack, network):
    made = openstack(f"subnet create cli-subnet --network {network} --subnet-range 10.77.0.0/24 --gateway 10.77.0.254 "
                     "--allocation-pool start=10.77.0.10,end=10.77.0.20 --dns-nameserver 192.0.2.53 "
                     "--host-route destination=198.51.100.0/24,gateway=10.77.0.9")
    assert (made["cidr"], made["gateway_ip"], made["ip_version"]) == ("10.77.0.0/24", "10.77.0.254", 4)
    assert field(made, "allocation_pools") == [{"start": "10.77.0.10", "end": "10.77.0.20"}]
    assert field(made, "host_routes") == [{"destination": "198.51.100.0/24", "nexthop": "10.77.0.9"}]
    assert "cli-subnet" in names(openstack("subnet list"))
    openstack("subnet set cli-subnet --dns-nameserver 192.0.2.54 --gateway none --no-dhcp")
    shown = openstack("subnet show cli-subnet")
    assert sorted(field(shown, "dns_nameservers")) == ["192.0.2.53", "192.0.2.54"]
    assert shown["gateway_ip"] is None and shown["enable_dhcp"] is False
    openstack("subnet unset cli-subnet --dns-nameserver 192.0.2.53")
    assert field(openstack("subnet show cli-subnet"), "dns_nameservers") == ["192.0.2.54"]
    assert "overlap" in openstack(f"subnet create cli-twice --network {network} --subnet-range 10.77.0.0/25", fails=True)
    openstack("subnet delete cli-subnet")
    assert "cli-subnet" not in names(openstack("subnet list"))


def test_subnet_pools_and_address_scopes(openstack, network):
    scope = openstack("address scope create cli-scope --ip-version 4 --share")
    assert (scope["name"], scope["ip_version"], scope["shared"]) == ("cli-scope", 4, True)
    made = openstack("subnet pool create cli-pool --pool-prefix 10.80.0.0/16 --default-prefix-length 24 --min-prefix-length 20 "
                     "--max-prefix-length 28 --default-quota 4096 --address-scope cli-scope --description first --share --default")
    assert (field(made, "prefixes"), made["default_prefixlen"], made["default_quota"], made["is_default"], made["address_scope_id"]) == (
        ["10.80.0.0/16"], 24, 4096, True, scope["id"])
    assert names(openstack("subnet pool list --address-scope cli-scope --default --share")) == {"cli-pool"}
    assert openstack(f"subnet create cli-pooled --network {network} --subnet-pool cli-pool")["cidr"] == "10.80.0.0/24"
    assert openstack(f"subnet create cli-small --network {network} --subnet-pool cli-pool --prefix-length 28")["cidr"] == "10.80.1.0/28"
    assert openstack(f"subnet create cli-chosen --network {network} --use-default-subnet-pool --subnet-range 10.80.9.0/24")["cidr"] == "10.80.9.0/24"
    assert names(openstack("subnet list --subnet-pool cli-pool")) == {"cli-pooled", "cli-small", "cli-chosen"}
    assert openstack(f"network show {network}")["ipv4_address_scope"] == scope["id"]
    openstack("subnet pool set cli-pool --pool-prefix 10.81.0.0/16 --no-default --description second --no-address-scope")
    shown = openstack("subnet pool show cli-pool")
    assert (field(shown, "prefixes"), shown["is_default"], shown["description"], shown["address_scope_id"]) == (
        ["10.80.0.0/15"], False, "second", None)
    assert "existing allocations" in openstack("subnet pool delete cli-pool", fails=True)
    openstack("subnet delete cli-pooled cli-small cli-chosen")
    openstack(f"subnet create cli-onboarded --network {network} --subnet-range 10.90.0.0/24")
    openstack(f"network onboard subnets {network} cli-pool")
    assert openstack("subnet show cli-onboarded")["subnetpool_id"] == made["id"]
    openstack("subnet delete cli-onboarded")
    openstack("subnet pool delete cli-pool")
    openstack("address scope set cli-scope --name cli-scope2")
    assert "cli-scope2" in names(openstack("address scope list --ip-version 4 --share"))
    assert openstack("address scope show cli-scope2")["id"] == scope["id"]
    openstack("address scope delete cli-scope2")


def test_slaac_subnet_gives_an_eui64_address(openstack, network):
    openstack(f"subnet create cli-six --network {network} --ip-version 6 --subnet-range 2001:db8:77::/64 --ipv6-ra-mode slaac "
              "--ipv6-address-mode slaac")
    port = openstack(f"port create cli-six-port --network {network} --mac-address 02:00:00:aa:bb:cc")
    assert [fixed["ip_address"] for fixed in field(port, "fixed_ips")] == ["2001:db8:77::ff:feaa:bbcc"]  # RFC 4291, appendix A
    openstack("port delete cli-six-port")


def test_port_lifecycle(openstack, network):
    openstack(f"subnet create cli-subnet --network {network} --subnet-range 10.78.0.0/24")
    made = openstack(f"port create cli-port --network {network} --fixed-ip subnet=cli-subnet,ip-address=10.78.0.50 "
                     "--mac-address 02:00:00:00:78:50 --allowed-address ip-address=10.78.0.99 --device cli-vm --device-owner compute:nova "
                     "--extra-dhcp-option name=bootfile-name,value=pxelinux.0")
    assert (made["mac_address"], made["status"], made["device_id"]) == ("02:00:00:00:78:50", "DOWN", "cli-vm")
    assert [fixed["ip_address"] for fixed in field(made, "fixed_ips")] == ["10.78.0.50"]
    assert field(made, "allowed_address_pairs")[0]["ip_address"] == "10.78.0.99"
    assert "cli-port" in names(openstack(f"port list --network {network}"))
    assert names(openstack("port list --fixed-ip ip-address=10.78.0.50")) == {"cli-port"}
    openstack("port set cli-port --host compute-1 --description moved --disable --no-allowed-address")
    shown = openstack("port show cli-port")
    assert (shown["binding_host_id"], shown["description"], shown["admin_state_up"]) == ("compute-1", "moved", False)
    assert field(shown, "allowed_address_pairs") == []
    openstack("port set cli-port --no-security-group --disable-port-security")
    assert openstack("port show cli-port")["port_security_enabled"] is False
    openstack("port unset cli-port --fixed-ip subnet=cli-subnet,ip-address=10.78.0.50")
    assert field(openstack("port show cli-port"), "fixed_ips") == []
    assert "10.78.0.300" in openstack(f"port create bad --network {network} --fixed-ip ip-address=10.78.0.300", fails=True)
    assert openstack(f"network delete {network}", fails=True)  # A port is in use.
    openstack("port delete cli-port")
    assert "cli-port" not in names(openstack("port list"))


@pytest.fixture
def outside(openstack, api):
    made = openstack(f"network create cli-outside-{os.getpid()} --external --provider-network-type vlan "
                     "--provider-physical-network physnet1 --provider-segment 77")
    assert (made["provider:network_type"], made["provider:physical_network"], made["provider:segmentation_id"]) == ("vlan", "physnet1", 77)
    openstack(f"subnet create cli-outside-v4 --network {made['name']} --subnet-range 203.0.113.0/24 --no-dhcp")
    yield made["name"]
    for floating_ip in api.request("GET", f"/v2.0/floatingips?floating_network_id={made['id']}")["floatingips"]:  # Of a test that failed.
        for forwarding in floating_ip["port_forwardings"]:
            api.request("DELETE", f"/v2.0/floatingips/{floating_ip['id']}/port_forwardings/{forwarding['id']}")
        api.request("DELETE", f"/v2.0/floatingips/{floating_ip['id']}")
    openstack(f"network delete {made['name']}")


@pytest.fixture
def router(openstack, api, network, outside):
    """Between the two, with the subnet cli-subnet inside."""
    openstack(f"subnet create cli-subnet --network {network} --subnet-range 10.79.0.0/24")
    made = openstack("router create cli-router --description first")
    openstack(f"router set cli-router --external-gateway {outside}")
    openstack("router add subnet cli-router cli-subnet")
    yield made
    path = f"/v2.0/routers/{made['id']}"
    api.request("PUT", path, {"router": {"routes": []}})
    for port in api.request("GET", f"/v2.0/ports?device_id={made['id']}&device_owner=network:router_interface")["ports"]:
        api.request("PUT", path + "/remove_router_interface", {"port_id": port["id"]})
    api.request("DELETE", path)


def test_router_lifecycle(openstack, router, network, outside):
    shown = openstack("router show cli-router")
    assert (shown["id"], shown["description"], shown["status"]) == (router["id"], "first", "ACTIVE")
    assert field(shown, "external_gateway_info")["enable_snat"] is True
    assert [item["ip_address"] for item in field(shown, "interfaces_info")] == ["10.79.0.1"]
    assert "cli-router" in names(openstack("router list"))
    openstack("router set cli-router --disable --description second --route destination=192.0.2.0/24,gateway=10.79.0.9")
    shown = openstack("router show cli-router")
    assert (shown["description"], shown["admin_state_up"]) == ("second", False)
    assert field(shown, "routes") == [{"destination": "192.0.2.0/24", "nexthop": "10.79.0.9"}]
    openstack("router add route cli-router --route destination=198.51.100.0/24,gateway=10.79.0.9")
    openstack("router remove route cli-router --route destination=192.0.2.0/24,gateway=10.79.0.9")
    assert [route["destination"] for route in field(openstack("router show cli-router"), "routes")] == ["198.51.100.0/24"]
    assert "routes" in openstack("router remove subnet cli-router cli-subnet", fails=True)
    openstack("router set cli-router --no-route")
    openstack(f"router set cli-router --external-gateway {outside} --disable-snat --fixed-ip ip-address=203.0.113.99")
    info = field(openstack("router show cli-router"), "external_gateway_info")
    assert info["enable_snat"] is False and [fixed["ip_address"] for fixed in info["external_fixed_ips"]] == ["203.0.113.99"]
    openstack("router unset cli-router --external-gateway")
    assert openstack("router show cli-router")["external_gateway_info"] is None
    port = openstack(f"port create cli-interface --network {network}")
    assert "already has a port on subnet" in openstack(f"router add port cli-router {port['id']}", fails=True)
    openstack("router remove subnet cli-router cli-subnet")
    openstack(f"router add port cli-router {port['id']}")
    openstack(f"router remove port cli-router {port['id']}")


def test_floating_ip_lifecycle(openstack, router, network, outside):
    port = openstack(f"port create cli-port --network {network}")
    fixed, = [item["ip_address"] for item in field(port, "fixed_ips")]
    made = openstack(f"floating ip create {outside} --port cli-port --description first")
    address = made["floating_ip_address"]
    assert (made["fixed_ip_address"], made["router_id"], made["status"]) == (fixed, router["id"], "ACTIVE")
    assert [item["Floating IP Address"] for item in openstack("floating ip list --port cli-port")] == [address]
    assert "required by one or more floating IPs" in openstack("router remove subnet cli-router cli-subnet", fails=True)
    openstack(f"floating ip unset {address} --port")
    assert openstack(f"floating ip show {address}")["port_id"] is None
    openstack(f"floating ip set {address} --port cli-port --fixed-ip-address {fixed}")
    assert openstack(f"floating ip show {address}")["fixed_ip_address"] == fixed
    openstack(f"floating ip unset {address} --port")
    chosen = openstack(f"floating ip create {outside} --floating-ip-address 203.0.113.200 --subnet cli-outside-v4")
    assert chosen["floating_ip_address"] == "203.0.113.200"
    openstack("floating ip delete 203.0.113.200")
    openstack(f"floating ip delete {address}")
    assert openstack("floating ip list") == []


def test_port_forwarding_lifecycle(openstack, router, network, outside):
    port = openstack(f"port create cli-port --network {network}")
    fixed, = [item["ip_address"] for item in field(port, "fixed_ips")]
    address = openstack(f"floating ip create {outside}")["floating_ip_address"]

    def forwarding(verb, text="", fails=False):
        return openstack(f"floating ip port forwarding {verb} {address} {text}", fails=fails)

    made = forwarding("create", f"--port cli-port --internal-ip-address {fixed} --internal-protocol-port 8080 --external-protocol-port 80 "
                                "--protocol tcp --description web")
    assert (made["external_port"], made["internal_port"], made["protocol"], made["description"]) == (80, 8080, "tcp", "web")
    assert [item["ID"] for item in forwarding("list", "--port cli-port --protocol tcp")] == [made["id"]]
    forwarding("set", f"{made['id']} --external-protocol-port 81")
    assert forwarding("show", made["id"])["external_port"] == 81
    assert "in use by Port Forwarding" in openstack(f"floating ip delete {address}", fails=True)
    forwarding("delete", made["id"])
    openstack(f"floating ip delete {address}")


def test_security_group_lifecycle(openstack, network):
    made = openstack("security group create cli-group --description first")
    assert (made["name"], made["description"], len(field(made, "rules"))) == ("cli-group", "first", 2)
    rule = openstack("security group rule create cli-group --protocol tcp --dst-port 80:443 --remote-ip 192.0.2.0/24 --description web")
    assert (rule["protocol"], rule["port_range_min"], rule["port_range_max"], rule["remote_ip_prefix"]) == ("tcp", 80, 443, "192.0.2.0/24")
    ping = openstack("security group rule create cli-group --protocol icmp --icmp-type 8 --icmp-code 0 --remote-group cli-group --egress")
    assert (ping["direction"], ping["port_range_min"], ping["port_range_max"]) == ("egress", 8, 0)
    assert "already exists" in openstack("security group rule create cli-group --protocol 6 --dst-port 80:443 --remote-ip 192.0.2.0/24", fails=True)
    assert {item["ID"] for item in openstack("security group rule list cli-group --ingress")} == {rule["id"]}
    openstack("port create cli-grouped --network", network, "--security-group", "cli-group")
    assert field(openstack("port show cli-grouped"), "security_group_ids") == [made["id"]]
    assert "in use" in openstack("security group delete cli-group", fails=True)
    openstack("port set cli-grouped --no-security-group")
    openstack("security group set cli-group --name cli-group2 --stateless")
    shown = openstack("security group show cli-group2")
    assert (shown["id"], shown["stateful"], len(field(shown, "rules"))) == (made["id"], False, 4)
    openstack("security group rule delete", rule["id"])
    openstack("port delete cli-grouped")
    openstack("security group delete cli-group2")
    assert "cli-group2" not in names(openstack("security group list"))


def test_network_log_lifecycle(openstack, network):
    assert {item["Supported types"] for item in openstack("network loggable resources list")} == {"security_group", "firewall_group"}
    group = openstack("security group create cli-logged")
    port = openstack("port create cli-logged-port --network", network, "--security-group", "cli-logged")
    made = openstack("network log create cli-log --resource-type security_group --resource cli-logged --target cli-logged-port --event drop "
                     "--description first --disable")
    assert (made["Name"], made["Type"], made["Resource"], made["Target"], made["Event"], made["Enabled"], made["Description"]) == (
        "cli-log", "security_group", group["id"], port["id"], "DROP", False, "first")
    openstack("network log create cli-log-all --resource-type security_group --project admin")
    assert {"cli-log", "cli-log-all"} <= names(openstack("network log list"))
    assert {item["Event"] for item in openstack("network log list --long")} == {"DROP", "ALL"}
    openstack("network log set cli-log --name cli-log2 --enable --description second")
    shown = openstack("network log show cli-log2")
    assert (shown["ID"], shown["Enabled"], shown["Description"]) == (made["ID"], True, "second")
    assert "Invalid log resource_type" in openstack("network log create bad --resource-type snat", fails=True)
    openstack("port delete cli-logged-port")
    assert names(openstack("network log list")) == {"cli-log-all"}  # A log goes with its port.
    openstack("network log delete cli-log-all")
    openstack("security group delete cli-logged")
    assert openstack("network log list") == []


def test_address_group_lifecycle(openstack):
    made = openstack("address group create cli-office --address 192.0.2.0/24 --address 198.51.100.7")
    assert sorted(field(made, "addresses")) == ["192.0.2.0/24", "198.51.100.7/32"]
    openstack("address group set cli-office --address 203.0.113.0/24 --description d")
    openstack("address group unset cli-office --address 192.0.2.0/24")
    assert sorted(field(openstack("address group show cli-office"), "addresses")) == ["198.51.100.7/32", "203.0.113.0/24"]
    openstack("security group create cli-offices")
    rule = openstack("security group rule create cli-offices --remote-address-group cli-office")
    assert rule["remote_address_group_id"] == made["id"]
    assert "in use" in openstack("address group delete cli-office", fails=True)
    openstack("security group delete cli-offices")
    openstack("address group delete cli-office")
    assert "cli-office" not in names(openstack("address group list"))


def test_firewall_group_lifecycle(openstack, network):
    """The commands of Debian's python3-neutronclient."""
    openstack(f"subnet create cli-fw --network {network} --subnet-range 10.78.0.0/24")
    openstack("router create cli-fw-router")
    openstack("router add subnet cli-fw-router cli-fw")
    port = next(port["ID"] for port in openstack("port list --router cli-fw-router"))
    try:
        web = openstack("firewall group rule create --name cli-web --protocol tcp --destination-port 80:81 --action allow "
                        "--source-ip-address 192.0.2.0/24")
        assert (web["Action"], web["Protocol"], web["Destination Port"], web["Source IP Address"], web["Enabled"], web["IP Version"]) == (
            "allow", "tcp", "80:81", "192.0.2.0/24", True, 4)
        openstack("firewall group rule create --name cli-rest --action reject")
        openstack("firewall group rule set cli-rest --protocol udp --ip-version 6 --disable-rule")
        rest = openstack("firewall group rule show cli-rest")
        assert (rest["Protocol"], rest["IP Version"], rest["Enabled"], rest["Action"]) == ("udp", 6, False, "reject")
        openstack("firewall group rule unset cli-web --source-ip-address")
        assert openstack("firewall group rule show cli-web")["Source IP Address"] is None
        assert {"cli-web", "cli-rest", "default ingress ipv4"} <= names(openstack("firewall group rule list"))
        made = openstack("firewall group policy create cli-policy --firewall-rule cli-web --audited")
        assert (field(made, "Firewall Rules"), made["Audited"]) == ([web["ID"]], True)
        openstack("firewall group policy add rule cli-policy cli-rest --insert-before cli-web")
        shown = openstack("firewall group policy show cli-policy")
        assert (field(shown, "Firewall Rules"), shown["Audited"]) == ([rest["ID"], web["ID"]], False)
        openstack("firewall group policy remove rule cli-policy cli-rest")
        assert field(openstack("firewall group policy show cli-policy"), "Firewall Rules") == [web["ID"]]
        group = openstack(f"firewall group create --name cli-group --ingress-firewall-policy cli-policy --port {port}")
        log = openstack(f"network log create cli-fw-log --resource-type firewall_group --resource {group['ID']} --target {port} --event drop")
        assert (log["Type"], log["Resource"], log["Target"], log["Event"]) == ("firewall_group", group["ID"], port, "DROP")
        openstack("network log delete cli-fw-log")
        assert (group["Status"], group["Ingress Policy ID"], field(group, "Ports"), group["Egress Policy ID"]) == ("ACTIVE", made["ID"], [port], None)
        assert {"cli-group", "default"} <= names(openstack("firewall group list"))
        assert "being used" in openstack("firewall group policy delete cli-policy", fails=True)
        assert "still active" in openstack("firewall group delete cli-group", fails=True)
        openstack("firewall group set cli-group --egress-firewall-policy cli-policy --disable")
        assert openstack("firewall group show cli-group")["Status"] == "DOWN"
        openstack("firewall group unset cli-group --all-port --egress-firewall-policy")
        shown = openstack("firewall group show cli-group")
        assert (shown["Status"], field(shown, "Ports"), shown["Egress Policy ID"]) == ("INACTIVE", [], None)
        openstack("firewall group delete cli-group")
        openstack("firewall group policy delete cli-policy")
        openstack("firewall group rule delete cli-web cli-rest")
        assert not {"cli-web", "cli-rest"} & names(openstack("firewall group rule list"))
    finally:
        openstack("router remove subnet cli-fw-router cli-fw")
        openstack("router delete cli-fw-router")
        openstack("subnet delete cli-fw")


def test_extension_and_agentless_lists(openstack):
    aliases = {extension["Alias"] for extension in openstack("extension list --network")}
    assert {"binding", "external-net", "extra_dhcp_opt", "allowed-address-pairs", "port-security", "router", "extraroute-atomic",
            "floating-ip-port-forwarding", "fwaas_v2"} <= aliases


def test_wrong_password_is_refused(openstack, api):
    done = subprocess.run(["/usr/bin/python3", "/usr/bin/openstack", "--os-auth-url", f"{api.url}/identity/v3", "--os-username", "admin",
                           "--os-password", "wrong", "--os-project-name", "admin", "--os-user-domain-name", "Default",
                           "--os-project-domain-name", "Default", "network", "list"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(api.folder)}, timeout=60)
    assert done.returncode != 0 and "401" in done.stderr


def test_load_balancers(openstack):
    openstack("network create lb-lan")
    subnet = openstack("subnet create lb-subnet --network lb-lan --subnet-range 10.66.0.0/24")
    openstack("port create --network lb-lan --fixed-ip ip-address=10.66.0.10 lb-server")
    balancer = openstack("loadbalancer create --name lb --wait --vip-subnet-id lb-subnet")
    assert balancer["vip_subnet_id"] == subnet["id"] and balancer["provisioning_status"] == "ACTIVE"
    openstack("loadbalancer listener create --name web --protocol TCP --protocol-port 80 --wait lb")
    openstack("loadbalancer pool create --name servers --listener web --protocol TCP --lb-algorithm ROUND_ROBIN --wait")
    openstack("loadbalancer member create --address 10.66.0.10 --protocol-port 80 --name m --wait servers")
    openstack("loadbalancer member set --weight 0 --wait servers m")
    assert [member["operating_status"] for member in openstack("loadbalancer member list servers")] == ["DRAINING"]
    openstack("loadbalancer healthmonitor create --name probe --type TCP --delay 5 --timeout 3 --max-retries 2 --wait servers")
    assert openstack("loadbalancer pool show servers")["healthmonitor_id"]
    assert "already using protocol TCP and protocol_port 80" in openstack("loadbalancer listener create --protocol TCP --protocol-port 80 lb", fails=True)
    assert openstack("loadbalancer stats show lb")["active_connections"] == 0
    openstack("loadbalancer listener set --connection-limit 5 --timeout-client-data 1000 web")
    openstack("loadbalancer listener unset --connection-limit web")
    web = openstack("loadbalancer listener show web")
    assert (web["connection_limit"], web["timeout_client_data"]) == (-1, 1000)
    # Quotas: shown, set, kept, and given back.
    defaults = openstack("loadbalancer quota defaults show")
    assert openstack("loadbalancer quota show admin") == defaults and openstack("loadbalancer quota list") == []
    openstack("loadbalancer quota set --loadbalancer 1 --listener 1 --pool 1 --member 1 --healthmonitor 1 admin")
    assert [(one["load_balancer"], one["listener"], one["pool"], one["member"], one["health_monitor"]) for one in openstack("loadbalancer quota list")] == [(1,) * 5]
    for words, what in (("create --vip-subnet-id lb-subnet", "Load Balancer"), ("listener create --protocol TCP --protocol-port 81 lb", "Listener"),
                        ("pool create --loadbalancer lb --protocol TCP --lb-algorithm ROUND_ROBIN", "Pool"),
                        ("member create --address 10.66.0.11 --protocol-port 80 servers", "Member")):
        assert f"Quota has been met for resources: {what}" in openstack("loadbalancer " + words, fails=True)
    openstack("loadbalancer quota unset --loadbalancer --listener --pool --member admin")
    other = openstack("loadbalancer pool create --loadbalancer lb --protocol TCP --lb-algorithm ROUND_ROBIN")["id"]
    assert "resources: Health Monitor" in openstack(f"loadbalancer healthmonitor create --type TCP --delay 5 --timeout 3 --max-retries 2 {other}", fails=True)
    openstack("loadbalancer quota unset --healthmonitor admin")
    assert openstack("loadbalancer quota show admin") == defaults
    # What there is none of says so.
    assert [one["name"] for one in openstack("loadbalancer provider list")] == ["weft"] and openstack("loadbalancer provider capability list weft") == []
    for kind in ("flavor", "flavorprofile", "availabilityzone", "availabilityzoneprofile", "amphora", "l7policy"):
        assert openstack(f"loadbalancer {kind} list") == []
    nobody = "44444444-0000-4000-8000-000000000000"
    for words, text in ((f"amphora stats show {nobody}", f"Amphora {nobody} not found"), (f"amphora show {nobody}", f"{nobody} not found"),
                        ("l7policy create --action REJECT web", "Provider 'weft' does not support a requested action: L7Policy"),
                        ("flavorprofile create --name f --provider weft --flavor-data {}", "does not support a requested action: Flavor Profile"),
                        ("listener create --protocol HTTP --protocol-port 8080 lb", "protocol HTTP (TCP, UDP and SCTP are)")):
        assert text in openstack("loadbalancer " + words, fails=True), words
    openstack("loadbalancer delete --cascade --wait lb")
    assert openstack("loadbalancer list") == []
