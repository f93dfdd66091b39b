"""The Networking API over HTTP: what works, what is refused, with which status, type and message.

    this test --- HTTP on 127.0.0.1, a free port ---> weft-api --store memory (and SQLite where durability matters)

The projects and the people in them are those of projects.py."""

import ipaddress
import pathlib
import threading
import time

import pytest
import requests

from projects import NOBODY, Server, admin, alice, clean, olga, rita, server  # noqa: F401: fixtures


# --- The things themselves. ---

def test_index_and_extensions(alice):
    assert {r["name"] for r in alice.get("")["resources"]} >= {"network", "subnet", "port"}
    extensions = alice.get("/extensions")["extensions"]
    assert {"alias", "name", "description", "updated", "links"} <= set(extensions[0])
    for extension in extensions:
        assert alice.get(f"/extensions/{extension['alias']}")["extension"] == extension
    alice.refused("GET", "/extensions/warp-drive", 404, "ExtensionNotFound", "warp-drive")


def test_a_network_has_what_clients_expect(alice, admin):
    network = alice.network(name="n", description="d")
    assert network["status"] == "ACTIVE" and network["subnets"] == [] and network["mtu"] == 1450
    assert network["project_id"] == network["tenant_id"] == alice.project
    assert network["shared"] is network["router:external"] is False and network["port_security_enabled"] is True
    assert network["created_at"] == network["updated_at"] and network["revision_number"] == 0
    assert not [key for key in network if key.startswith("provider:")]
    seen = admin.get(f"/networks/{network['id']}")["network"]
    assert seen["provider:network_type"] == "vxlan" and 1 <= seen["provider:segmentation_id"] < 1 << 24
    changed = alice.put(f"/networks/{network['id']}", {"network": {"name": "m", "admin_state_up": False, "mtu": 1400}})["network"]
    assert (changed["name"], changed["admin_state_up"], changed["mtu"], changed["revision_number"]) == ("m", False, 1400, 1)
    same = alice.put(f"/networks/{network['id']}", {"network": {"name": "m"}})["network"]
    assert same == changed, "a change of nothing changes nothing"
    alice.delete(f"/networks/{network['id']}")
    alice.refused("GET", f"/networks/{network['id']}", 404, "NetworkNotFound", network["id"])


def test_vnis_are_unique_and_not_used_again_at_once(admin):
    network = admin.network(**{"provider:network_type": "vxlan", "provider:segmentation_id": 4242})
    assert network["provider:segmentation_id"] == 4242
    admin.refused("POST", "/networks", 409, "TunnelIdInUse", "4242", body={"network": {"provider:segmentation_id": 4242}})
    admin.delete(f"/networks/{network['id']}")
    deadline = time.monotonic() + 60
    while True:  # No host is up: the quarantine ends with the next sweep.
        answer = admin.session.post(admin.server.url + "/v2.0/networks", json={"network": {"provider:segmentation_id": 4242}}, timeout=60)
        if answer.status_code == 201:
            break
        assert answer.status_code == 409 and time.monotonic() < deadline
        time.sleep(0.1)


def test_a_subnet_gets_gateway_and_pools(alice):
    network = alice.network()
    subnet = alice.subnet(network, "10.1.0.0/24", dns_nameservers=["8.8.4.4"], host_routes=[
        {"destination": "10.20.0.0/16", "nexthop": "10.1.0.9"}])
    assert subnet["gateway_ip"] == "10.1.0.1" and subnet["enable_dhcp"] is True
    assert subnet["allocation_pools"] == [{"start": "10.1.0.2", "end": "10.1.0.254"}]
    assert subnet["dns_nameservers"] == ["8.8.4.4"] and subnet["host_routes"][0]["nexthop"] == "10.1.0.9"
    assert alice.get(f"/networks/{network['id']}")["network"]["subnets"] == [subnet["id"]]

    middle = alice.subnet(network, "10.2.0.0/24", gateway_ip="10.2.0.100")
    assert middle["allocation_pools"] == [{"start": "10.2.0.1", "end": "10.2.0.99"}, {"start": "10.2.0.101", "end": "10.2.0.254"}]
    none = alice.subnet(network, "10.3.0.0/30", gateway_ip=None)
    assert none["gateway_ip"] is None and none["allocation_pools"] == [{"start": "10.3.0.1", "end": "10.3.0.2"}]
    six = alice.subnet(network, "2001:db8::/64")
    assert six["gateway_ip"] == "2001:db8::1" and six["allocation_pools"][0]["start"] == "2001:db8::2"
    point = alice.subnet(network, "10.4.0.0/31", enable_dhcp=False)
    assert (point["gateway_ip"], point["allocation_pools"]) == ("10.4.0.1", [{"start": "10.4.0.0", "end": "10.4.0.0"}])

    changed = alice.put(f"/subnets/{subnet['id']}", {"subnet": {
        "gateway_ip": "10.1.0.254", "allocation_pools": [{"start": "10.1.0.10", "end": "10.1.0.20"}], "dns_nameservers": []}})["subnet"]
    assert changed["gateway_ip"] == "10.1.0.254" and changed["dns_nameservers"] == []
    assert changed["allocation_pools"] == [{"start": "10.1.0.10", "end": "10.1.0.20"}]
    gone = alice.put(f"/subnets/{subnet['id']}", {"subnet": {"gateway_ip": None}})["subnet"]
    assert gone["gateway_ip"] is None


def test_a_port_gets_addresses_of_both_families(alice):
    network = alice.network()
    four, six = alice.subnet(network, "10.0.0.0/24"), alice.subnet(network, "2001:db8:1::/64")
    slaac = alice.subnet(network, "2001:db8:2::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac")
    port = alice.port(network)
    assert port["mac_address"].startswith("fa:16:3e:") and port["status"] == "DOWN" and port["device_id"] == ""
    by_subnet = {fixed["subnet_id"]: fixed["ip_address"] for fixed in port["fixed_ips"]}
    assert set(by_subnet) == {four["id"], six["id"], slaac["id"]}
    mac = [int(part, 16) for part in port["mac_address"].split(":")]
    interface_id = bytes([mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, *mac[3:]])
    assert by_subnet[slaac["id"]] == str(ipaddress.ip_address("2001:db8:2::") + int.from_bytes(interface_id, "big"))
    assert not [key for key in port if key.startswith("binding:") and key != "binding:vnic_type"]


def test_fixed_ips_by_subnet_by_address_and_several(alice):
    network = alice.network()
    one, two = alice.subnet(network, "10.0.0.0/24"), alice.subnet(network, "10.0.1.0/24")
    port = alice.port(network, fixed_ips=[{"subnet_id": two["id"]}, {"ip_address": "10.0.0.77"},
                                          {"subnet_id": one["id"], "ip_address": "10.0.0.78"}])
    assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == ["10.0.1.2", "10.0.0.77", "10.0.0.78"]
    none = alice.port(network, fixed_ips=[])
    assert none["fixed_ips"] == []
    kept = alice.put(f"/ports/{port['id']}", {"port": {"fixed_ips": [{"subnet_id": one["id"]}]}})["port"]
    assert kept["fixed_ips"] == [{"subnet_id": one["id"], "ip_address": "10.0.0.77"}]
    again = alice.port(network, fixed_ips=[{"ip_address": "10.0.0.78"}])
    assert again["fixed_ips"][0]["ip_address"] == "10.0.0.78", "what an update gave up is free"
    moved = alice.put(f"/ports/{port['id']}", {"port": {"fixed_ips": [{"subnet_id": one["id"]}, {"subnet_id": two["id"]}]}})["port"]
    assert moved["fixed_ips"][0]["ip_address"] == "10.0.0.77" and moved["fixed_ips"][1]["subnet_id"] == two["id"]


def test_slaac_subnet_reaches_ports_that_exist(alice):
    network = alice.network()
    port = alice.port(network)
    assert port["fixed_ips"] == []
    slaac = alice.subnet(network, "2001:db8:2::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac")
    after = alice.get(f"/ports/{port['id']}")["port"]
    assert [fixed["subnet_id"] for fixed in after["fixed_ips"]] == [slaac["id"]] and after["revision_number"] == 1
    alice.delete(f"/subnets/{slaac['id']}")
    assert alice.get(f"/ports/{port['id']}")["port"]["fixed_ips"] == []


def test_a_full_subnet_says_so_and_frees_again(alice):
    network = alice.network()
    subnet = alice.subnet(network, "10.0.0.0/29", allocation_pools=[{"start": "10.0.0.2", "end": "10.0.0.4"}])
    ports = [alice.port(network) for _ in range(3)]
    assert sorted(port["fixed_ips"][0]["ip_address"] for port in ports) == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    body = {"port": {"network_id": network["id"]}}
    alice.refused("POST", "/ports", 409, "IpAddressGenerationFailure", network["id"], body=body)
    body["port"]["fixed_ips"] = [{"subnet_id": subnet["id"]}]
    alice.refused("POST", "/ports", 409, "IpAddressGenerationFailureForSubnet", subnet["id"], body=body)
    alice.delete(f"/ports/{ports[1]['id']}")
    assert alice.port(network)["fixed_ips"] == ports[1]["fixed_ips"]


def test_extra_dhcp_options_merge(alice):
    network = alice.network()
    port = alice.port(network, extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400"}, {"opt_name": "66", "opt_value": "a", "ip_version": 6}])
    path = f"/ports/{port['id']}"
    changed = alice.put(path, {"port": {"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": None}, {"opt_name": "67", "opt_value": "b"}]}})
    assert changed["port"]["extra_dhcp_opts"] == [{"opt_name": "66", "opt_value": "a", "ip_version": 6},
                                                  {"opt_name": "67", "opt_value": "b", "ip_version": 4}]


def test_allowed_address_pairs_and_port_security(alice):
    network = alice.network()
    port = alice.port(network, allowed_address_pairs=[{"ip_address": "10.9.0.0/16"}, {"ip_address": "10.0.0.9", "mac_address": "fa:16:3e:00:00:09"}])
    assert port["allowed_address_pairs"] == [{"ip_address": "10.9.0.0/16", "mac_address": port["mac_address"]},
                                             {"ip_address": "10.0.0.9", "mac_address": "fa:16:3e:00:00:09"}]
    path = f"/ports/{port['id']}"
    alice.refused("PUT", path, 409, "AddressPairAndPortSecurityRequired", body={"port": {"port_security_enabled": False}})
    changed = alice.put(path, {"port": {"port_security_enabled": False, "allowed_address_pairs": [], "security_groups": []}})["port"]
    assert changed["port_security_enabled"] is False
    loose = alice.network(port_security_enabled=False)
    assert alice.port(loose)["port_security_enabled"] is False
    assert alice.port(loose, port_security_enabled=True)["port_security_enabled"] is True


def test_binding_is_for_admins(alice, admin):
    port = alice.port(alice.network())
    path = f"/ports/{port['id']}"
    alice.refused("PUT", path, 403, "PolicyNotAuthorized", "binding:host_id", body={"port": {"binding:host_id": "h1"}})
    seen = admin.get(path)["port"]
    assert seen["binding:host_id"] == "" and seen["binding:vif_type"] == "unbound" and seen["binding:profile"] == {}
    bound = admin.put(path, {"port": {"binding:host_id": "no-such-host", "binding:profile": {"a": 1}}})["port"]
    assert bound["binding:vif_type"] == "binding_failed" and bound["binding:profile"] == {"a": 1}
    admin.refused("PUT", path, 409, "PortBound", "mac_address", body={"port": {"mac_address": "fa:16:3e:11:22:33"}})
    assert [p["id"] for p in admin.get("/ports?binding:host_id=no-such-host")["ports"]] == [port["id"]]


# --- Who sees and may do what. ---

def test_projects_do_not_see_each_other(alice, olga, admin):
    network = alice.network(name="mine")
    subnet, port = alice.subnet(network), alice.port(network)
    for path, type_ in ((f"/networks/{network['id']}", "NetworkNotFound"), (f"/subnets/{subnet['id']}", "SubnetNotFound"),
                        (f"/ports/{port['id']}", "PortNotFound")):
        kind = path.split("/")[1][:-1]
        olga.refused("GET", path, 404, type_)
        olga.refused("PUT", path, 404, type_, body={kind: {"name": "x"}})
        olga.refused("DELETE", path, 404, type_)
    assert olga.get("/networks")["networks"] == olga.get("/ports")["ports"] == olga.get("/subnets")["subnets"] == []
    assert olga.get(f"/networks?id={network['id']}")["networks"] == []
    olga.refused("POST", "/ports", 404, "NetworkNotFound", body={"port": {"network_id": network["id"]}})
    olga.refused("POST", "/subnets", 404, "NetworkNotFound", body={"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.8.0.0/24"}})
    assert admin.get(f"/networks/{network['id']}")["network"]["name"] == "mine"


def test_a_shared_network_is_seen_by_all_and_kept_by_its_owner(admin, alice, olga):
    network = admin.network(shared=True)
    subnet = admin.subnet(network)
    assert olga.get(f"/subnets/{subnet['id']}")["subnet"]["id"] == subnet["id"]
    path = f"/networks/{network['id']}"
    olga.refused("PUT", path, 403, "PolicyNotAuthorized", body={"network": {"name": "x"}})
    olga.refused("DELETE", path, 403, "PolicyNotAuthorized")
    olga.refused("POST", "/subnets", 403, "PolicyNotAuthorized", body={"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.8.0.0/24"}})
    port = olga.port(network, fixed_ips=[{"subnet_id": subnet["id"]}])
    assert port["project_id"] == olga.project
    for attributes, name in (({"mac_address": "fa:16:3e:01:02:03"}, "mac_address"), ({"port_security_enabled": False}, "port_security_enabled"),
                             ({"fixed_ips": [{"ip_address": "10.0.0.99"}]}, "fixed_ips"), ({"device_owner": "network:dhcp"}, "device_owner"),
                             ({"allowed_address_pairs": [{"ip_address": "10.0.0.1"}]}, "allowed_address_pairs")):
        olga.refused("POST", "/ports", 403, "PolicyNotAuthorized", name, body={"port": {"network_id": network["id"], **attributes}})
    # Who owns the network sees the port, and not what its workload is told.
    mine = alice.network()
    theirs = admin.port(mine, project_id=olga.project, name="theirs", **{"weft:metadata": {"user_data": "secret"}})
    path_of_theirs = f"/ports/{theirs['id']}"
    assert olga.get(path_of_theirs)["port"]["weft:metadata"] == admin.get(path_of_theirs)["port"]["weft:metadata"] == {"user_data": "secret"}
    seen = [alice.get(path_of_theirs)["port"], *alice.get(f"/ports?network_id={mine['id']}")["ports"]]
    assert [one["name"] for one in seen] == ["theirs"] * 2 and not any("weft:metadata" in one for one in seen)
    assert alice.get(path_of_theirs + "?fields=weft:metadata")["port"] == {}
    alice.delete(path_of_theirs)
    alice.refused("GET", f"/ports/{port['id']}", 404, "PortNotFound")
    assert alice.get("/ports")["ports"] == [] and [p["id"] for p in olga.get("/ports")["ports"]] == [port["id"]]
    admin.refused("PUT", path, 409, "InvalidSharedSetting", body={"network": {"shared": False}})
    admin.put(path, {"network": {"shared": False, "router:external": True}})
    admin.refused("PUT", path, 409, "ExternalNetworkInUse", body={"network": {"router:external": False}})
    admin.put(path, {"network": {"shared": True, "router:external": False}})
    olga.delete(f"/ports/{port['id']}")
    assert admin.put(path, {"network": {"shared": False}})["network"]["shared"] is False
    olga.refused("GET", path, 404, "NetworkNotFound")


def test_the_owner_of_a_network_sees_the_ports_of_others_on_it(admin, alice, olga):
    network = alice.network()
    own, foreign = alice.port(network), admin.port(network)
    elsewhere = admin.port(admin.network(), tenant_id=alice.project)
    assert foreign["project_id"] != alice.project
    assert [p["id"] for p in alice.get("/ports")["ports"]] == sorted(p["id"] for p in (own, foreign, elsewhere))
    assert alice.get(f"/ports/{foreign['id']}")["port"]["id"] == foreign["id"]
    alice.refused("PUT", f"/ports/{foreign['id']}", 403, "PolicyNotAuthorized", body={"port": {"name": "x"}})
    assert olga.get("/ports")["ports"] == []
    alice.delete(f"/ports/{foreign['id']}")


def test_external_networks_are_seen_by_all(admin, olga):
    network = admin.network(**{"router:external": True})
    assert olga.get(f"/networks/{network['id']}")["network"]["router:external"] is True
    assert [n["id"] for n in olga.get("/networks?router:external=True")["networks"]] == [network["id"]]


def test_admin_attributes_are_refused_to_others(alice):
    for attributes in ({"shared": True}, {"router:external": True}, {"provider:segmentation_id": 7}, {"is_default": True}):
        alice.refused("POST", "/networks", 403, "PolicyNotAuthorized", next(iter(attributes)), body={"network": attributes})
    alice.network(shared=False)  # The default may be said.
    alice.refused("POST", "/networks", 400, "HTTPBadRequest", "project_id", body={"network": {"project_id": "somebody"}})
    alice.refused("GET", "/ports?binding:host_id=h1", 400, "HTTPBadRequest", "binding:host_id")


def test_admins_create_for_others(admin, alice):
    network = admin.network(tenant_id=alice.project)
    assert alice.get(f"/networks/{network['id']}")["network"]["project_id"] == alice.project
    admin.refused("POST", "/networks", 400, "HTTPBadRequest", "differ", body={"network": {"tenant_id": "a", "project_id": "b"}})


def test_readers_only_read(rita, alice):
    network = alice.network()
    assert rita.get(f"/networks/{network['id']}")["network"]["id"] == network["id"]
    rita.call("POST", "/v2.0/networks", 403, {"network": {}})
    rita.call("DELETE", f"/v2.0/networks/{network['id']}", 403)


def test_no_token_is_401(server):
    answer = requests.get(server.url + "/v2.0/networks", timeout=60)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


# --- Wrong input. ---

NETWORK_ERRORS = [
    ({"name": 1}, "network.name", "'1' is not a string"),
    ({"name": "x" * 256}, "network.name", "256 characters"),
    ({"description": []}, "network.description", "is not a string"),
    ({"admin_state_up": "maybe"}, "network.admin_state_up", "'maybe' is not a boolean"),
    ({"admin_state_up": None}, "network.admin_state_up", "null is not allowed"),
    ({"shared": 3}, "network.shared", "'3' is not a boolean"),
    ({"mtu": 67}, "network.mtu", "'67' is not between 68 and 65535"),
    ({"mtu": 70000}, "network.mtu", "'70000'"),
    ({"mtu": "large"}, "network.mtu", "'large' is not an integer"),
    ({"mtu": 1.5}, "network.mtu", "'1.5' is not an integer"),
    ({"mtu": 9000}, "network.mtu", "'9000' is more than the 1450"),
    ({"provider:segmentation_id": 0}, "network.provider:segmentation_id", "'0' is not between 1 and 16777215"),
    ({"provider:segmentation_id": 1 << 24}, "network.provider:segmentation_id", "16777216"),
    ({"provider:network_type": "gre"}, "network.provider:network_type", "'gre' is not one of 'vxlan'"),
    ({"provider:physical_network": "eth0"}, "network.provider:physical_network", "'eth0'"),
    ({"id": NOBODY}, "network.id", "read-only"),
    ({"status": "ACTIVE"}, "network.status", "read-only"),
    ({"subnets": []}, "network.subnets", "read-only"),
    ({"revision_number": 3}, "network.revision_number", "read-only"),
    ({"created_at": "2026-01-01T00:00:00Z"}, "network.created_at", "read-only"),
    ({"quota_slot": 1}, "network.quota_slot", "Unrecognized"),
    ({"colour": "red"}, "network.colour", "Unrecognized attribute(s) 'colour'"),
]

SUBNET_ERRORS = [
    ({}, "HTTPBadRequest", "subnet.ip_version", "Required"),
    ({"ip_version": 4}, "BadRequest", "subnet.cidr", "a subnetpool must be specified"),
    ({"ip_version": 5, "cidr": "10.0.0.0/24"}, "HTTPBadRequest", "subnet.ip_version", "'5'"),
    ({"ip_version": 6, "cidr": "10.0.0.0/24"}, "InvalidInput", "subnet.cidr", "does not match"),
    ({"ip_version": 4, "cidr": "10.0.0.1/24"}, "HTTPBadRequest", "subnet.cidr", "did you mean '10.0.0.0/24'"),
    ({"ip_version": 4, "cidr": "10.0.0.0"}, "HTTPBadRequest", "subnet.cidr", "'10.0.0.0'"),
    ({"ip_version": 4, "cidr": "10.0.0.0/33"}, "HTTPBadRequest", "subnet.cidr", "'10.0.0.0/33'"),
    ({"ip_version": 4, "cidr": 7}, "HTTPBadRequest", "subnet.cidr", "'7'"),
    ({"ip_version": 4, "cidr": "0.0.0.0/0"}, "InvalidInput", "subnet.cidr", "0 is not allowed"),
    ({"ip_version": 4, "cidr": "224.0.0.0/24"}, "InvalidInput", "subnet.cidr", "multicast"),
    ({"ip_version": 4, "cidr": "127.0.0.0/24"}, "InvalidInput", "subnet.cidr", "loopback"),
    ({"ip_version": 4, "cidr": "10.0.0.0/31"}, "InvalidInput", "subnet.cidr", "DHCP"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.300"}, "HTTPBadRequest", "subnet.gateway_ip", "'10.0.0.300'"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "fe80::1"}, "InvalidInput", "subnet.gateway_ip", "does not match"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.0"}, "InvalidInput", "subnet.gateway_ip", "not valid on subnet"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.255"}, "InvalidInput", "subnet.gateway_ip", "not valid on subnet"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "ipv6_ra_mode": "slaac"}, "InvalidInput", "subnet.ipv6_ra_mode", "ip_version is 4"),
    ({"ip_version": 6, "cidr": "2001:db8::/64", "ipv6_ra_mode": "dhcp"}, "HTTPBadRequest", "subnet.ipv6_ra_mode", "'dhcp' is not one of"),
    ({"ip_version": 6, "cidr": "2001:db8::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, "InvalidInput",
     "subnet.ipv6_ra_mode", "same value"),
    ({"ip_version": 6, "cidr": "2001:db8::/64", "ipv6_ra_mode": "slaac", "enable_dhcp": False}, "InvalidInput", "subnet.enable_dhcp", "cannot be set"),
    ({"ip_version": 6, "cidr": "2001:db8::/80", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}, "InvalidInput", "subnet.cidr", "/64"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "dns_nameservers": ["one"]}, "HTTPBadRequest", "subnet.dns_nameservers[0]", "'one'"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "dns_nameservers": ["1.1.1.1"] * 2}, "HTTPBadRequest", "subnet.dns_nameservers[1]", "duplicate"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "dns_nameservers": [f"1.1.1.{i}" for i in range(6)]}, "HTTPBadRequest", "subnet.dns_nameservers", "6"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "host_routes": [{"destination": "10.0.0.0/8"}]}, "HTTPBadRequest",
     "subnet.host_routes[0].nexthop", "is required"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "host_routes": [{"destination": "::/0", "nexthop": "10.0.0.1"}]}, "InvalidInput",
     "subnet.host_routes[0].destination", "does not match"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9"}]}, "HTTPBadRequest",
     "subnet.allocation_pools[0].end", "is required"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.8"}]}, "InvalidAllocationPool",
     "subnet.allocation_pools[0]", "10.0.0.9-10.0.0.8"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.1.8"}]}, "OutOfBoundsAllocationPool",
     "subnet.allocation_pools[0]", "10.0.0.0/24"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": "all"}, "HTTPBadRequest", "subnet.allocation_pools", "'all' is not a list"),
    ({"ip_version": 4, "cidr": "10.0.0.0/24", "dns_publish_fixed_ip": True}, "HTTPBadRequest", "subnet.dns_publish_fixed_ip", "Unrecognized"),
]

PORT_ERRORS = [
    ({"mac_address": "fa:16:3e"}, "HTTPBadRequest", "port.mac_address", "'fa:16:3e' is not a MAC address"),
    ({"mac_address": "ff:ff:ff:ff:ff:ff"}, "HTTPBadRequest", "port.mac_address", "multicast"),
    ({"fixed_ips": {}}, "HTTPBadRequest", "port.fixed_ips", "is not a list"),
    ({"fixed_ips": [{}]}, "InvalidInput", "port.fixed_ips[0]", "neither"),
    ({"fixed_ips": ["10.0.0.3"]}, "HTTPBadRequest", "port.fixed_ips[0]", "is not an object"),
    ({"fixed_ips": [{"ip_address": "10.0.0.300"}]}, "HTTPBadRequest", "port.fixed_ips[0].ip_address", "'10.0.0.300' is not an IP address"),
    ({"fixed_ips": [{"subnet_id": "x"}]}, "HTTPBadRequest", "port.fixed_ips[0].subnet_id", "'x' is not a UUID"),
    ({"fixed_ips": [{"subnet_id": NOBODY}]}, "InvalidInput", "port.fixed_ips[0]", NOBODY),
    ({"fixed_ips": [{"ip_address": "192.0.2.1"}]}, "InvalidIpForNetwork", "port.fixed_ips[0]", "192.0.2.1"),
    ({"fixed_ips": [{"ip_address": "10.0.0.0"}]}, "InvalidIpForSubnet", "port.fixed_ips[0]", "10.0.0.0"),
    ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, "InvalidIpForSubnet", "port.fixed_ips[0]", "10.0.0.255"),
    ({"fixed_ips": [{"ip_address": "10.0.0.9"}] * 2}, "HTTPBadRequest", "port.fixed_ips[1]", "Duplicate IP address '10.0.0.9'"),
    ({"fixed_ips": [{"ip_address": f"10.0.0.{9 + i}"} for i in range(6)]}, "HTTPBadRequest", "port.fixed_ips", "a list of 6"),
    ({"allowed_address_pairs": [{"mac_address": "fa:16:3e:00:00:01"}]}, "HTTPBadRequest", "port.allowed_address_pairs[0].ip_address", "required"),
    ({"allowed_address_pairs": [{"ip_address": "10.0.0.0/40"}]}, "HTTPBadRequest", "port.allowed_address_pairs[0].ip_address", "'10.0.0.0/40'"),
    ({"allowed_address_pairs": [{"ip_address": f"10.0.0.{i}"} for i in range(11)]}, "HTTPBadRequest", "port.allowed_address_pairs", "11"),
    ({"mac_address": "fa:16:3e:00:00:07", "allowed_address_pairs": [{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.9",
      "mac_address": "fa:16:3e:00:00:07"}]}, "DuplicateAddressPairInRequest", "port.allowed_address_pairs[1]", "10.0.0.9"),
    ({"extra_dhcp_opts": [{"opt_value": "x"}]}, "HTTPBadRequest", "port.extra_dhcp_opts[0].opt_name", "required"),
    ({"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": ""}]}, "HTTPBadRequest", "port.extra_dhcp_opts[0].opt_value", "blank"),
    ({"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1", "ip_version": 7}]}, "HTTPBadRequest", "port.extra_dhcp_opts[0].ip_version", "'7'"),
    ({"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1"}] * 2}, "HTTPBadRequest", "port.extra_dhcp_opts[1].opt_name", "twice"),
    ({"device_owner": 5}, "HTTPBadRequest", "port.device_owner", "'5' is not a string"),
    ({"binding:profile": "x"}, "HTTPBadRequest", "port.binding:profile", "is not a JSON object"),
    ({"binding:profile": {"x": "y" * 5000}}, "HTTPBadRequest", "port.binding:profile", "exceeds"),
    ({"binding:vnic_type": "direct"}, "HTTPBadRequest", "port.binding:vnic_type", "'direct'"),
    ({"binding:vif_type": "ovs"}, "HTTPBadRequest", "port.binding:vif_type", "read-only"),
    ({"security_groups": "all"}, "HTTPBadRequest", "port.security_groups", "'all'"),
    ({"security_groups": ["all"]}, "HTTPBadRequest", "port.security_groups[0]", "'all' is not a UUID"),
]


@pytest.mark.parametrize("attributes,field,text", NETWORK_ERRORS, ids=lambda value: str(value)[:40])
def test_wrong_networks_are_refused(admin, attributes, field, text):
    error = admin.call("POST", "/v2.0/networks", 400, {"network": attributes})["NeutronError"]
    assert error["message"].startswith(field + ": ") and text in error["message"], error
    assert admin.get("/networks")["networks"] == []


def test_wrong_subnets_are_refused(admin):
    network = admin.network()
    for attributes, type_, field, text in SUBNET_ERRORS:
        error = admin.refused("POST", "/subnets", 400, type_, text, body={"subnet": {"network_id": network["id"], **attributes}})
        assert error["message"].startswith(field + ": "), (attributes, error)
    assert admin.get("/subnets")["subnets"] == []
    admin.refused("POST", "/subnets", 400, "HTTPBadRequest", "subnet.network_id", body={"subnet": {"ip_version": 4, "cidr": "10.0.0.0/24"}})
    admin.refused("POST", "/subnets", 404, "NetworkNotFound", NOBODY, body={"subnet": {"network_id": NOBODY, "ip_version": 4, "cidr": "10.0.0.0/24"}})


def test_subnets_in_conflict_are_refused(admin):
    network = admin.network()

    def conflict(status, type_, *texts, **attributes):
        admin.refused("POST", "/subnets", status, type_, *texts, body={"subnet": {
            "network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", **attributes}})
    conflict(409, "OverlappingAllocationPools", "subnet.allocation_pools", allocation_pools=[
        {"start": "10.0.0.9", "end": "10.0.0.20"}, {"start": "10.0.0.2", "end": "10.0.0.9"}])
    conflict(409, "GatewayConflictWithAllocationPools", "subnet.gateway_ip", "10.0.0.5",
             gateway_ip="10.0.0.5", allocation_pools=[{"start": "10.0.0.2", "end": "10.0.0.9"}])
    subnet = admin.subnet(network)
    conflict(400, "InvalidInput", "subnet.cidr", "overlaps", subnet["id"], cidr="10.0.0.128/25")
    conflict(400, "InvalidInput", "subnet.cidr", "overlaps", cidr="10.0.0.0/8")
    admin.refused("PUT", f"/subnets/{subnet['id']}", 409, "GatewayConflictWithAllocationPools", body={"subnet": {"gateway_ip": "10.0.0.7"}})
    admin.refused("PUT", f"/subnets/{subnet['id']}", 400, "HTTPBadRequest", "subnet.cidr", body={"subnet": {"cidr": "10.0.0.0/25"}})
    bulk = {"subnets": [{"network_id": network["id"], "ip_version": 4, "cidr": cidr} for cidr in ("10.5.0.0/24", "10.5.0.0/25")]}
    admin.refused("POST", "/subnets", 400, "InvalidInput", "subnets[1].cidr", "overlaps", body=bulk)
    assert len(admin.get("/subnets")["subnets"]) == 1, "all or nothing"


def test_wrong_ports_are_refused(admin):
    network = admin.network()
    admin.subnet(network)
    for attributes, type_, field, text in PORT_ERRORS:
        error = admin.refused("POST", "/ports", 400, type_, text, body={"port": {"network_id": network["id"], **attributes}})
        assert error["message"].startswith(field + ": "), (attributes, error)
    assert admin.get("/ports")["ports"] == []
    assert admin.port(network)["fixed_ips"][0]["ip_address"] == "10.0.0.2", "failures keep no address"


def test_addresses_in_use_are_refused(alice):
    network = alice.network()
    subnet = alice.subnet(network)
    port = alice.port(network)
    address = port["fixed_ips"][0]["ip_address"]
    alice.refused("POST", "/ports", 409, "IpAddressAlreadyAllocated", address, body={"port": {"network_id": network["id"], "fixed_ips": [{"ip_address": address}]}})
    alice.refused("POST", "/ports", 409, "MacAddressInUse", port["mac_address"], body={"port": {"network_id": network["id"], "mac_address": port["mac_address"]}})
    bulk = {"ports": [{"network_id": network["id"], "mac_address": "fa:16:3e:00:00:01"}] * 2}
    alice.refused("POST", "/ports", 409, "MacAddressInUse", "ports[1].mac_address", body=bulk)
    bulk = {"ports": [{"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.50"}]}] * 2}
    alice.refused("POST", "/ports", 409, "IpAddressAlreadyAllocated", "ports[1].fixed_ips", body=bulk)
    assert len(alice.get("/ports")["ports"]) == 1
    other = alice.network()
    alice.subnet(other)
    assert alice.port(other, mac_address=port["mac_address"])["mac_address"] == port["mac_address"], "unique within a network only"
    slaac = alice.subnet(network, "2001:db8::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    alice.refused("POST", "/ports", 400, "AllocationOnAutoAddressSubnet", slaac["id"], body={
        "port": {"network_id": network["id"], "fixed_ips": [{"ip_address": "2001:db8::77"}]}})
    alice.refused("DELETE", f"/subnets/{subnet['id']}", 409, "SubnetInUse", subnet["id"])
    alice.refused("DELETE", f"/networks/{network['id']}", 409, "NetworkInUse", network["id"])
    alice.delete(f"/ports/{port['id']}")
    alice.delete(f"/networks/{network['id']}")
    alice.refused("GET", f"/subnets/{subnet['id']}", 404, "SubnetNotFound")


@pytest.mark.parametrize("data", ["", "{", "[]", "7", '"x"', "null", '{"port": 1, "port": 2}', '{"port": {"name": "\ud800"}}', "{\"port\": \x00}",
                                  '{"ports": {}}', '{"ports": []}', '{"ports": [1]}', '{"port": []}', '{"port": null}', '{"network": {}}',
                                  '{"port": {}, "ports": []}', "[" * 5000, '{"a":' * 3000, '{"port": {"name": 1e999}}'], ids=lambda data: data[:24] or "empty")
def test_bodies_that_are_no_ports_are_400(alice, data):
    error = alice.call("POST", "/v2.0/ports", 400, data=data.encode("utf-8", "surrogatepass"),
                       headers={"Content-Type": "application/json"})["NeutronError"]
    assert error["message"]


def test_a_body_beyond_the_limit_is_413(alice):
    body = b'{"port": {"name": "' + b"x" * (5 << 20) + b'"}}'
    answer = alice.session.post(alice.server.url + "/v2.0/ports", data=body, timeout=60)
    assert answer.status_code == 413


@pytest.mark.parametrize("query,text", [
    ("limit=-1", "limit"), ("limit=x", "'x'"), ("limit=", "limit"), ("page_reverse=perhaps", "page_reverse"),
    ("sort_key=colour", "'colour'"), ("sort_key=name&sort_dir=up", "'up'"), ("sort_key=name&sort_dir=asc&sort_dir=desc", "same"),
    ("sort_dir=asc", "same"), ("colour=red", "'colour'"), ("admin_state_up=perhaps", "'perhaps'"), ("fixed_ips=10.0.0.1", "fixed_ips"),
    ("revision_number=x", "'x'"), ("changed_since=yesterday", "'yesterday'"), ("quota_slot=1", "quota_slot"), ("fixed_ips=color=red", "fixed_ips"),
])
def test_wrong_queries_are_400(alice, query, text):
    alice.refused("GET", "/ports?" + query, 400, "HTTPBadRequest", text)


def test_errors_that_cut_a_character_are_still_told(alice):
    alice.refused("GET", "/ports?colour" + "\u00e9" * 120 + "=1", 400, "HTTPBadRequest", "colour")
    alice.refused("GET", "/ports?limit=x" + "\u00e9" * 120, 400, "HTTPBadRequest", "limit: 'x")
    alice.refused("POST", "/networks", 400, "HTTPBadRequest", "network.x", body={"network": {"x" + "\u20ac" * 90: 1}})


def test_ids_that_are_none_are_404(alice):
    for kind, type_ in (("networks", "NetworkNotFound"), ("subnets", "SubnetNotFound"), ("ports", "PortNotFound")):
        for text in ("x", NOBODY, "%00", "a%2Fb", "x" * 300):
            answer = alice.session.get(f"{alice.server.url}/v2.0/{kind}/{text}", timeout=60)
            assert answer.status_code in (404, 400), (text, answer.text)
        alice.refused("GET", f"/{kind}/{NOBODY}", 404, type_, NOBODY)
        alice.refused("GET", f"/{kind}?limit=1&marker={NOBODY}", 404, type_, NOBODY)


def test_if_match_guards_changes(alice):
    network = alice.network(name="a")
    path = f"/networks/{network['id']}"
    body = {"network": {"name": "b"}}
    alice.refused("PUT", path, 412, "RevisionNumberConstraintFailed", "5", "0", body=body, headers={"If-Match": "revision_number=5"})
    alice.refused("PUT", path, 400, "HTTPBadRequest", "If-Match", body=body, headers={"If-Match": "five"})
    assert alice.put(path, body, headers={"If-Match": "revision_number=0"})["network"]["revision_number"] == 1
    alice.refused("DELETE", path, 412, "RevisionNumberConstraintFailed", headers={"If-Match": "revision_number=0"})
    alice.delete(path, headers={"If-Match": "revision_number=1"})


# --- Lists. ---

def test_filters_fields_sorting_and_pages(alice):
    network = alice.network()
    alice.subnet(network)
    ports = [alice.port(network, name=f"p{i % 3}", device_id=f"d{i}", admin_state_up=i % 2 == 0) for i in range(9)]
    ids = sorted(port["id"] for port in ports)

    def listed(query):
        return [port["id"] for port in alice.get("/ports?" + query)["ports"]]
    assert listed("") == ids
    assert sorted(listed("name=p0&name=p1")) == sorted(p["id"] for p in ports if p["name"] in ("p0", "p1"))
    assert sorted(listed("admin_state_up=False&name=p1")) == sorted(p["id"] for p in ports if p["name"] == "p1" and not p["admin_state_up"])
    assert listed(f"id={ids[3]}&id={ids[5]}&id={ids[5]}") == [ids[3], ids[5]]
    assert listed("device_id=d4") == [ports[4]["id"]] and listed("device_id=") == [] and listed(f"network_id={NOBODY}") == []
    assert listed(f"mac_address={ports[2]['mac_address'].upper()}") == [ports[2]["id"]]
    address = ports[7]["fixed_ips"][0]["ip_address"]
    assert listed(f"fixed_ips=ip_address%3D{address}") == [ports[7]["id"]]
    assert listed(f"fixed_ips=subnet_id={NOBODY}&fixed_ips=ip_address={address}") == []
    assert len(listed("fixed_ips=ip_address_substr=10.0.0.")) == 9
    assert listed("changed_since=2100-01-01T00:00:00Z") == [] and len(listed("changed_since=2020-01-01T00:00:00Z")) == 9

    fields = alice.get("/ports?fields=id&fields=mac_address&fields=nonsense")["ports"]
    assert all(set(port) == {"id", "mac_address"} for port in fields)
    assert set(alice.get(f"/ports/{ids[0]}?fields=tenant_id")["port"]) == {"tenant_id"}

    by_name = [(p["name"], p["device_id"]) for p in alice.get("/ports?sort_key=name&sort_dir=desc&sort_key=device_id&sort_dir=asc")["ports"]]
    assert by_name == sorted(by_name, key=lambda pair: (-int(pair[0][1:]), pair[1]))

    for query in ("limit=4", "limit=4&sort_key=name&sort_dir=desc", "limit=2&name=p0&name=p2", "limit=9", "limit=100"):
        whole = listed(query.partition("&")[2])
        seen, url, pages = [], "/ports?" + query, 0
        while url:
            page = alice.get(url)
            seen += [port["id"] for port in page["ports"]]
            links = {link["rel"]: link["href"] for link in page["ports_links"]}
            url = links["next"].split("/v2.0", 1)[1] if "next" in links else None
            last, pages = page, pages + 1
            assert pages < 20
        assert seen == whole, query
        back, url = [], {link["rel"]: link["href"] for link in last["ports_links"]}.get("previous")
        back = [port["id"] for port in last["ports"]]
        while url and pages < 60:
            page = alice.get(url.split("/v2.0", 1)[1])
            back = [port["id"] for port in page["ports"]] + back
            url = {link["rel"]: link["href"] for link in page["ports_links"]}.get("previous")
            pages += 1
        if last["ports"]:
            assert back == whole, query


def test_other_lists_filter(admin, alice):
    a, b = alice.network(name="a"), alice.network(name="")
    subnet = alice.subnet(a, "10.7.0.0/24")
    assert [n["id"] for n in alice.get("/networks?name=")["networks"]] == [b["id"]]
    assert len(alice.get("/networks?status=ACTIVE")["networks"]) == 2 and alice.get("/networks?status=DOWN")["networks"] == []
    assert [s["id"] for s in alice.get("/subnets?cidr=10.7.0.0/24&ip_version=4&enable_dhcp=true")["subnets"]] == [subnet["id"]]
    assert alice.get("/subnets?ip_version=6")["subnets"] == []
    assert [s["id"] for s in alice.get("/subnets?gateway_ip=10.7.0.1")["subnets"]] == [subnet["id"]]
    vni = admin.get(f"/networks/{a['id']}")["network"]["provider:segmentation_id"]
    assert [n["id"] for n in admin.get(f"/networks?provider:segmentation_id={vni}")["networks"]] == [a["id"]]
    assert len(admin.get(f"/networks?tenant_id={alice.project}")["networks"]) == 2


# --- Quotas. ---

def test_quotas_limit_projects(admin, alice):
    path = f"/quotas/{alice.project}"
    default = alice.get(path)["quota"]
    assert default == admin.get(path + "/default")["quota"]
    assert default.items() >= {"network": 100, "subnet": 100, "port": 500}.items()
    assert admin.put(path, {"quota": {"port": 3, "network": 1}})["quota"] == {**default, "network": 1, "port": 3}
    assert [quota["project_id"] for quota in admin.get("/quotas")["quotas"]] == [alice.project]
    network = alice.network()
    alice.refused("POST", "/networks", 409, "OverQuota", "network", body={"network": {}})
    bulk = {"ports": [{"network_id": network["id"]}] * 4}
    alice.refused("POST", "/ports", 409, "OverQuota", "port", body=bulk)
    assert alice.get("/ports")["ports"] == [], "all or nothing"
    ports = [alice.port(network) for _ in range(3)]
    alice.refused("POST", "/ports", 409, "OverQuota", body={"port": {"network_id": network["id"]}})
    assert alice.get(path + "/details.json")["quota"]["port"] == {"limit": 3, "used": 3, "reserved": 0}
    alice.delete(f"/ports/{ports[0]['id']}")
    alice.port(network)
    alice.refused("PUT", path, 403, "HTTPForbidden", body={"quota": {"port": 9}})
    for body, text in (({"quota": {"port": -2}}, "'-2'"), ({"quota": {"port": "many"}}, "many"), ({"quota": {"colour": 1}}, "colour"),
                       ({"quota": []}, "quota"), ({}, "quota"), ({"quota": {"port": 1 << 40}}, "quota.port")):
        admin.refused("PUT", path, 400, "HTTPBadRequest", text, body=body)
    admin.delete(path)
    admin.refused("DELETE", path, 404, "TenantQuotaNotFound", alice.project)
    assert alice.get(path)["quota"] == default


def test_quotas_hold_under_concurrent_requests(admin, alice):
    network = alice.network()
    admin.put(f"/quotas/{alice.project}", {"quota": {"port": 10}})
    statuses, lock = [], threading.Lock()

    def work():
        session = requests.Session()
        for _ in range(5):
            answer = session.post(alice.server.url + "/v2.0/ports", json={"port": {"network_id": network["id"]}},
                                  headers=dict(alice.session.headers), timeout=60)
            with lock:
                statuses.append(answer.status_code)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(201) == 10 and statuses.count(409) == 30, statuses
    assert len(alice.get("/ports")["ports"]) == 10


# --- Many at once, and afterwards. ---

def test_concurrent_creates_and_deletes_leave_nothing_half(admin, alice):
    """Workers create ports with the same wanted addresses, delete them, and try to delete subnet and network."""
    network = alice.network()
    subnet = alice.subnet(network, "10.0.0.0/28")
    lock, wrong = threading.Lock(), []

    def work(seed):
        session = requests.Session()
        headers = dict(alice.session.headers)
        for i in range(30):
            body = {"port": {"network_id": network["id"]}}
            if i % 3 == 0:
                body["port"]["fixed_ips"] = [{"ip_address": f"10.0.0.{2 + (seed + i) % 12}"}]
            answer = session.post(alice.server.url + "/v2.0/ports", json=body, headers=headers, timeout=60)
            if answer.status_code == 201:
                path = f"/v2.0/ports/{answer.json()['port']['id']}"
                answer = session.delete(alice.server.url + path, headers=headers, timeout=60)
                ok = answer.status_code == 204
            else:
                ok = answer.status_code == 409
            if i % 10 == 9:
                busy = session.delete(f"{alice.server.url}/v2.0/subnets/{NOBODY}", headers=headers, timeout=60)
                ok = ok and busy.status_code == 404
            if not ok:
                with lock:
                    wrong.append(answer.text)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert alice.get("/ports")["ports"] == []
    # Every address can be had again, so none was lost.
    ports = [alice.port(network) for _ in range(13)]
    assert len({port["fixed_ips"][0]["ip_address"] for port in ports}) == 13
    alice.refused("POST", "/ports", 409, "IpAddressGenerationFailure", body={"port": {"network_id": network["id"]}})
    assert subnet["id"] == ports[0]["fixed_ips"][0]["subnet_id"]


def test_a_thousand_ports_in_one_request(admin, alice):
    admin.put(f"/quotas/{alice.project}", {"quota": {"port": -1}})
    network = alice.network()
    alice.subnet(network, "10.0.0.0/16")
    ports = alice.post("/ports", {"ports": [{"network_id": network["id"], "name": f"p{i}"} for i in range(1000)]})["ports"]
    assert [port["name"] for port in ports] == [f"p{i}" for i in range(1000)]
    assert len({port["fixed_ips"][0]["ip_address"] for port in ports}) == len({port["mac_address"] for port in ports}) == 1000
    assert len({port["id"][:11] for port in ports}) == 1000
    too_many = {"ports": [{"network_id": network["id"]} for _ in range(3000)]}
    alice.refused("POST", "/ports", 413, "HTTPRequestEntityTooLarge", body=too_many)
    assert len(alice.get("/ports?fields=id")["ports"]) == 1000


def test_everything_is_there_after_a_kill():
    server = Server("FOLDER/weft.db")
    try:
        admin = server.login("admin", "correct horse", "admin")
        network = admin.network(name="kept", **{"provider:segmentation_id": 77})
        subnet = admin.subnet(network, "10.0.0.0/29")
        port = admin.port(network, **{"binding:profile": {"a": [1]}, "extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1400"}]})
        admin.put(f"/quotas/{admin.project}", {"quota": {"port": 2}})
        server.kill()
        server.log.close()
        pathlib.Path(server.folder.name, "log").unlink()
        server.start()
        admin = server.login("admin", "correct horse", "admin")
        # The subnet's own addition touched its network.
        before, after = admin.get(f"/ports/{port['id']}")["port"], admin.get(f"/networks/{network['id']}")["network"]
        assert before == port and after["subnets"] == [subnet["id"]] and after["name"] == "kept"
        # What was taken still is: the address, the MAC address, the VNI, the units of quota.
        admin.refused("POST", "/ports", 409, "IpAddressAlreadyAllocated", body={"port": {
            "network_id": network["id"], "fixed_ips": [{"ip_address": port["fixed_ips"][0]["ip_address"]}]}})
        admin.refused("POST", "/ports", 409, "MacAddressInUse", body={"port": {"network_id": network["id"], "mac_address": port["mac_address"]}})
        admin.refused("POST", "/networks", 409, "TunnelIdInUse", body={"network": {"provider:segmentation_id": 77}})
        admin.port(network)
        admin.refused("POST", "/ports", 409, "OverQuota", body={"port": {"network_id": network["id"]}})
    finally:
        server.stop()
