"""Floating IPs and port forwardings over HTTP.

    outside (external, 203.0.113.0/24) --- router --- inside (alice's, 10.0.0.0/24) --- ports

'admin' is the administrator, 'alice' a member of the project 'tenant', 'olga' of 'other'."""

import pathlib
import types

import pytest

from projects import (NOBODY, Server, add, admin, alice, at_once, clean, link, olga, outside, ports_of, remove, router,  # noqa: F401
                      server)


def floating(client, network, **attributes):
    return client.post("/floatingips", {"floatingip": {"floating_network_id": network["id"], **attributes}})["floatingip"]


def change(client, floating_ip, **attributes):
    return client.put(f"/floatingips/{floating_ip['id']}", {"floatingip": attributes})["floatingip"]


def show(client, floating_ip):
    return client.get(f"/floatingips/{floating_ip['id']}")["floatingip"]


def leads_nowhere(floating_ip):
    return (floating_ip["port_id"], floating_ip["fixed_ip_address"], floating_ip["router_id"], floating_ip["status"],
            floating_ip["port_details"]) == (None, None, None, "DOWN", None)


@pytest.fixture
def site(admin, alice):  # noqa: F811
    """The drawing above."""
    made = types.SimpleNamespace()
    made.outside, made.outside_subnet = outside(admin)
    made.inside, made.subnet = link(alice)
    made.router = router(alice, name="r", external_gateway_info={"network_id": made.outside["id"]})
    add(alice, made.router, subnet_id=made.subnet["id"])
    return made


# --- Floating IPs. ---

def test_a_floating_ip_has_what_clients_expect(site, alice, admin, olga):
    made = floating(alice, site.outside, description="d")
    assert leads_nowhere(made) and made["description"] == "d" and made["port_forwardings"] == [] and "name" not in made
    assert made["floating_network_id"] == site.outside["id"] and made["project_id"] == made["tenant_id"] == alice.project
    assert made["floating_ip_address"].startswith("203.0.113.")
    holder, = admin.get(f"/ports?device_id={made['id']}")["ports"]
    assert (holder["device_owner"], holder["project_id"], holder["network_id"]) == ("network:floatingip", "", site.outside["id"])
    assert [fixed["ip_address"] for fixed in holder["fixed_ips"]] == [made["floating_ip_address"]]
    admin.refused("DELETE", f"/ports/{holder['id']}", 409, "ServicePortInUse", holder["id"], "network:floatingip")
    port = alice.port(site.inside, name="web", device_id="vm", device_owner="compute:nova")
    there = change(alice, made, port_id=port["id"])
    assert there["port_id"] == port["id"] and there["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert there["router_id"] == site.router["id"] and there["status"] == "ACTIVE" and there["revision_number"] == 1
    assert there["port_details"] == {"name": "web", "network_id": site.inside["id"], "mac_address": port["mac_address"], "status": "DOWN",
                                     "admin_state_up": True, "device_id": "vm", "device_owner": "compute:nova"}
    assert change(alice, made, description="e")["port_id"] == port["id"], "what is not named stays"
    for query in (f"port_id={port['id']}", f"router_id={site.router['id']}", "status=ACTIVE", "fixed_ip_address=" + there["fixed_ip_address"],
                  f"floating_network_id={site.outside['id']}", "floating_ip_address=" + made["floating_ip_address"]):
        assert [found["id"] for found in alice.get(f"/floatingips?{query}")["floatingips"]] == [made["id"]], query
    assert alice.get("/floatingips?status=DOWN")["floatingips"] == olga.get("/floatingips")["floatingips"] == []
    for method, body in (("GET", None), ("PUT", {"floatingip": {"port_id": None}}), ("DELETE", None)):
        olga.refused(method, f"/floatingips/{made['id']}", 404, "FloatingIPNotFound", made["id"], body=body)
    assert leads_nowhere(change(alice, made, port_id=None))
    alice.delete(f"/floatingips/{made['id']}")
    alice.refused("GET", f"/floatingips/{made['id']}", 404, "FloatingIPNotFound", made["id"])
    assert admin.get(f"/ports?device_id={made['id']}")["ports"] == []
    admin.port(site.outside, fixed_ips=[{"ip_address": made["floating_ip_address"]}])  # The address is free again.


def test_a_chosen_address(site, alice, admin):
    made = floating(admin, site.outside, floating_ip_address="203.0.113.77")
    assert made["floating_ip_address"] == "203.0.113.77"
    other = admin.subnet(site.outside, "198.51.100.0/24", enable_dhcp=False)
    assert floating(alice, site.outside, subnet_id=other["id"])["floating_ip_address"].startswith("198.51.100.")
    six = admin.subnet(site.outside, "2001:db8::/64", enable_dhcp=False)

    def refused(status, type_, *texts, client=admin, **attributes):
        client.refused("POST", "/floatingips", status, type_, *texts,
                       body={"floatingip": {"floating_network_id": site.outside["id"], **attributes}})

    refused(403, "PolicyNotAuthorized", "floating_ip_address", floating_ip_address="203.0.113.78", client=alice)
    refused(409, "IpAddressAlreadyAllocated", "floatingip.floating_ip_address", "203.0.113.77", floating_ip_address="203.0.113.77")
    refused(400, "InvalidIpForNetwork", "floating_ip_address", "192.0.2.1", floating_ip_address="192.0.2.1")
    refused(400, "InvalidInput", "floatingip.floating_ip_address", "2001:db8::5", "not an IPv4", floating_ip_address="2001:db8::5")
    refused(400, "HTTPBadRequest", "floatingip.floating_ip_address", "300.0.0.1", floating_ip_address="300.0.0.1")
    refused(400, "BadRequest", six["id"], "is not an IPv4 subnet", subnet_id=six["id"])
    refused(400, "InvalidInput", "subnet_id", site.subnet["id"], subnet_id=site.subnet["id"])
    refused(400, "HTTPBadRequest", "floatingip.subnet_id", "'x'", subnet_id="x")
    assert len(admin.get("/floatingips")["floatingips"]) == 2
    assert len(admin.get("/ports?device_owner=network:floatingip")["ports"]) == 2, "nothing half done"


def test_where_no_floating_ip_can_be(site, alice, admin, olga):
    def refused(status, type_, *texts, client=alice, **attributes):
        client.refused("POST", "/floatingips", status, type_, *texts, body={"floatingip": attributes})

    refused(404, "NetworkNotFound", NOBODY, floating_network_id=NOBODY)
    refused(400, "BadRequest", f"Network {site.inside['id']} is not a valid external network", floating_network_id=site.inside["id"])
    refused(404, "NetworkNotFound", site.inside["id"], floating_network_id=site.inside["id"], client=olga)
    refused(400, "HTTPBadRequest", "floatingip.floating_network_id", "not specified", description="d")
    refused(400, "HTTPBadRequest", "floatingip.name", "Unrecognized", floating_network_id=site.outside["id"], name="n")
    refused(400, "HTTPBadRequest", "floatingip.router_id", "read-only", floating_network_id=site.outside["id"], router_id=NOBODY)
    refused(400, "HTTPBadRequest", "floatingip.port_details", "read-only", floating_network_id=site.outside["id"], port_details={})
    only_six = admin.network(**{"router:external": True})
    admin.subnet(only_six, "2001:db8::/64")
    refused(400, "BadRequest", f"Network {only_six['id']} does not contain any IPv4 subnet", floating_network_id=only_six["id"])
    small, _ = outside(admin, "192.0.2.0/30")
    floating(alice, small)
    refused(409, "IpAddressGenerationFailure", small["id"], floating_network_id=small["id"])


def test_what_a_floating_ip_cannot_lead_to(site, alice, admin, olga):
    made = floating(alice, site.outside)
    port = alice.port(site.inside, fixed_ips=[{"ip_address": "10.0.0.20"}, {"ip_address": "10.0.0.21"}])
    bare = alice.port(site.inside, fixed_ips=[])
    island, _ = link(alice, "10.1.0.0/24")
    unreachable = alice.port(island)
    hers, _ = link(olga, "10.2.0.0/24")
    foreign = olga.port(hers)
    interface = ports_of(alice, site.router)[0]

    def refused(status, type_, *texts, client=alice, **attributes):
        client.refused("PUT", f"/floatingips/{made['id']}", status, type_, *texts, body={"floatingip": attributes})

    refused(400, "BadRequest", port["id"], "multiple fixed IPv4 addresses", port_id=port["id"])
    refused(400, "BadRequest", port["id"], "does not have fixed ip 10.0.0.99", port_id=port["id"], fixed_ip_address="10.0.0.99")
    refused(400, "BadRequest", "'2001:db8::1' is not an IPv4 address", port_id=port["id"], fixed_ip_address="2001:db8::1")
    refused(400, "BadRequest", bare["id"], "no fixed IPv4 addresses", port_id=bare["id"])
    refused(400, "BadRequest", "fixed_ip_address cannot be specified without a port_id", fixed_ip_address="10.0.0.20")
    refused(404, "PortNotFound", NOBODY, port_id=NOBODY)
    refused(404, "PortNotFound", foreign["id"], port_id=foreign["id"])
    refused(400, "HTTPBadRequest", "floatingip.port_id", "'x'", port_id="x")
    refused(404, "ExternalGatewayForFloatingIPNotFound", unreachable["id"], island["subnets"][0] if island["subnets"] else "",
            site.outside["id"], port_id=unreachable["id"])
    refused(400, "BadRequest", interface["id"], "network:router_interface", port_id=interface["id"])
    # A guest's port on alice's network, which she sees, is still the guest's.
    guest = admin.port(site.inside, project_id=olga.project)
    refused(400, "BadRequest", guest["id"], "different project", port_id=guest["id"])
    alice.refused("POST", "/floatingips", 400, "BadRequest", guest["id"], "owned by a different project",
                  body={"floatingip": {"floating_network_id": site.outside["id"], "port_id": guest["id"]}})
    assert leads_nowhere(show(alice, made)) and show(alice, made)["revision_number"] == 0
    there = change(alice, made, port_id=port["id"], fixed_ip_address="10.0.0.20")
    assert there["fixed_ip_address"] == "10.0.0.20"
    assert change(alice, made, port_id=port["id"], fixed_ip_address="10.0.0.21")["fixed_ip_address"] == "10.0.0.21"
    alice.refused("POST", "/floatingips", 409, "FloatingIPPortAlreadyAssociated", port["id"], "10.0.0.21", site.outside["id"],
                  body={"floatingip": {"floating_network_id": site.outside["id"], "port_id": port["id"], "fixed_ip_address": "10.0.0.21"}})
    second = floating(alice, site.outside, port_id=port["id"], fixed_ip_address="10.0.0.20")
    alice.refused("PUT", f"/floatingips/{second['id']}", 409, "FloatingIPPortAlreadyAssociated", second["id"], "10.0.0.21",
                  body={"floatingip": {"port_id": port["id"], "fixed_ip_address": "10.0.0.21"}})
    # Where one was, another may be: the keys move with it.
    change(alice, made, port_id=None)
    change(alice, second, port_id=port["id"], fixed_ip_address="10.0.0.21")
    change(alice, made, port_id=port["id"], fixed_ip_address="10.0.0.20")


def test_a_floating_ip_moves_between_routers(site, alice):
    a, b = alice.port(site.inside), alice.port(site.inside)
    made = floating(alice, site.outside, port_id=a["id"])
    assert change(alice, made, port_id=b["id"])["port_id"] == b["id"]
    network, subnet = link(alice, "10.1.0.0/24")
    second = router(alice, external_gateway_info={"network_id": site.outside["id"]})
    add(alice, second, subnet_id=subnet["id"])
    there = change(alice, made, port_id=alice.port(network)["id"])
    assert there["router_id"] == second["id"]
    remove(alice, site.router, subnet_id=site.subnet["id"])
    alice.put(f"/routers/{site.router['id']}", {"router": {"external_gateway_info": None}})
    alice.refused("PUT", f"/routers/{second['id']}/remove_router_interface", 409, "RouterInterfaceInUseByFloatingIP", subnet["id"],
                  second["id"], body={"subnet_id": subnet["id"]})


def test_the_gateway_address_decides_between_routers(site, alice, admin):
    beside = router(alice, external_gateway_info={"network_id": site.outside["id"]})
    add(alice, beside, port_id=alice.port(site.inside)["id"])
    for _ in range(3):
        assert floating(alice, site.outside, port_id=alice.port(site.inside)["id"])["router_id"] == site.router["id"]
    other, _ = outside(admin, "198.51.100.0/24")
    alice.refused("PUT", f"/routers/{site.router['id']}", 409, "RouterExternalGatewayInUseByFloatingIp",
                  body={"router": {"external_gateway_info": {"network_id": other["id"]}}})
    alice.put(f"/routers/{beside['id']}", {"router": {"external_gateway_info": {"network_id": other["id"]}}})
    assert floating(alice, other, port_id=alice.port(site.inside)["id"])["router_id"] == beside["id"]


def test_what_floating_ips_hold(site, alice, admin):
    port = alice.port(site.inside)
    made = floating(alice, site.outside, port_id=port["id"])
    alice.refused("PUT", f"/routers/{site.router['id']}/remove_router_interface", 409, "RouterInterfaceInUseByFloatingIP",
                  site.subnet["id"], site.router["id"], body={"subnet_id": site.subnet["id"]})
    alice.refused("PUT", f"/routers/{site.router['id']}", 409, "RouterExternalGatewayInUseByFloatingIp", site.router["id"],
                  site.outside["id"], body={"router": {"external_gateway_info": {}}})
    admin.refused("DELETE", f"/networks/{site.outside['id']}", 409, "NetworkInUse", site.outside["id"])
    admin.refused("DELETE", f"/subnets/{site.outside_subnet['id']}", 409, "SubnetInUse", site.outside_subnet["id"])
    # What keeps the gateway where it is is fine.
    alice.put(f"/routers/{site.router['id']}", {"router": {"external_gateway_info": {"network_id": site.outside["id"]}}})
    # The port, or its address, goes: the floating IP leads nowhere.
    alice.put(f"/ports/{port['id']}", {"port": {"name": "renamed"}})
    assert show(alice, made)["port_id"] == port["id"]
    alice.put(f"/ports/{port['id']}", {"port": {"fixed_ips": [{"ip_address": "10.0.0.200"}]}})
    assert leads_nowhere(show(alice, made))
    change(alice, made, port_id=port["id"])
    alice.delete(f"/ports/{port['id']}")
    assert leads_nowhere(show(alice, made))
    remove(alice, site.router, subnet_id=site.subnet["id"])
    alice.put(f"/routers/{site.router['id']}", {"router": {"external_gateway_info": {}}})
    # Floating IPs that lead nowhere go with their network.
    admin.delete(f"/networks/{site.outside['id']}")
    assert alice.get("/floatingips")["floatingips"] == []
    assert alice.get(f"/quotas/{alice.project}/details")["quota"]["floatingip"] == {"limit": 50, "used": 0, "reserved": 0}


def test_floating_ips_have_a_quota(site, alice, admin):
    admin.put(f"/quotas/{alice.project}", {"quota": {"floatingip": 1, "port": 0}})
    try:
        floating(alice, site.outside)  # The port that holds its address is nobody's.
        alice.refused("POST", "/floatingips", 409, "OverQuota", "floatingip",
                      body={"floatingip": {"floating_network_id": site.outside["id"]}})
    finally:
        admin.delete(f"/quotas/{alice.project}")


def test_associations_at_once(site, alice):
    ports = [alice.port(site.inside) for _ in range(4)]
    made = [floating(alice, site.outside) for _ in range(4)]
    for _ in range(5):
        # One floating IP, four ports: all succeed, the last one holds.
        results = at_once(*[(alice, "PUT", f"/floatingips/{made[0]['id']}", {"floatingip": {"port_id": port["id"]}}) for port in ports])
        assert {status for status, _ in results} == {200}
        assert show(alice, made[0])["port_id"] in [port["id"] for port in ports]
        change(alice, made[0], port_id=None)
        # Four floating IPs, one port: one succeeds.
        results = at_once(*[(alice, "PUT", f"/floatingips/{one['id']}", {"floatingip": {"port_id": ports[0]["id"]}}) for one in made])
        assert sorted(status for status, _ in results) == [200, 409, 409, 409]
        assert sum(show(alice, one)["port_id"] is not None for one in made) == 1
        for one in made:
            change(alice, one, port_id=None)


def test_what_an_association_rests_on_goes_at_once(site, alice):
    made = floating(alice, site.outside)
    path = f"/floatingips/{made['id']}"
    for _ in range(8):
        port = alice.port(site.inside)
        (associated, _), (deleted, _) = at_once((alice, "PUT", path, {"floatingip": {"port_id": port["id"]}}),
                                                (alice, "DELETE", f"/ports/{port['id']}", None))
        assert deleted == 204 and associated in (200, 404) and leads_nowhere(show(alice, made))
    port = alice.port(site.inside)
    for _ in range(8):
        (associated, _), (removed, _) = at_once((alice, "PUT", path, {"floatingip": {"port_id": port["id"]}}),
                                                (alice, "PUT", f"/routers/{site.router['id']}/remove_router_interface",
                                                 {"subnet_id": site.subnet["id"]}))
        assert (associated, removed) in ((200, 409), (404, 200))
        change(alice, made, port_id=None)
        if removed == 200:
            add(alice, site.router, subnet_id=site.subnet["id"])
    for _ in range(8):
        (associated, _), (cleared, _) = at_once((alice, "PUT", path, {"floatingip": {"port_id": port["id"]}}),
                                                (alice, "PUT", f"/routers/{site.router['id']}", {"router": {"external_gateway_info": {}}}))
        assert (associated, cleared) in ((200, 409), (404, 200))
        change(alice, made, port_id=None)
        alice.put(f"/routers/{site.router['id']}", {"router": {"external_gateway_info": {"network_id": site.outside["id"]}}})


# --- Port forwardings. ---

def forward(client, floating_ip, port, external, internal, protocol="tcp", **attributes):
    body = {"protocol": protocol, "internal_port_id": port["id"], "external_port": external, "internal_port": internal, **attributes}
    return client.post(f"/floatingips/{floating_ip['id']}/port_forwardings", {"port_forwarding": body})["port_forwarding"]


def test_port_forwardings(site, alice, admin, olga):
    made = floating(alice, site.outside)
    port, second = alice.port(site.inside), alice.port(site.inside)
    path = f"/floatingips/{made['id']}/port_forwardings"
    web = forward(alice, made, port, 80, 8080, description="web")
    assert web["internal_ip_address"] == port["fixed_ips"][0]["ip_address"] and web["description"] == "web"
    assert (web["protocol"], web["external_port"], web["internal_port"]) == ("tcp", 80, 8080)
    assert (web["external_port_range"], web["internal_port_range"], web["internal_port_id"]) == ("80:80", "8080:8080", port["id"])
    seen = show(alice, made)
    assert (seen["router_id"], seen["port_id"], seen["fixed_ip_address"], seen["status"]) == (site.router["id"], None, None, "ACTIVE")
    assert [(one["id"], one["external_port"]) for one in seen["port_forwardings"]] == [(web["id"], 80)]
    dns = forward(alice, made, second, 80, 53, "UDP")
    many = alice.post(path, {"port_forwarding": {"protocol": "tcp", "internal_port_id": second["id"], "external_port_range": "1000:1099",
                                                 "internal_port_range": "2000:2099"}})["port_forwarding"]
    assert (many["external_port"], many["internal_port"], many["external_port_range"]) == (None, None, "1000:1099")
    assert {one["id"] for one in alice.get(path)["port_forwardings"]} == {web["id"], dns["id"], many["id"]}
    for query, found in ((f"internal_port_id={port['id']}", web), ("protocol=udp", dns), ("external_port=80&protocol=tcp", web),
                         (f"id={many['id']}", many)):
        assert alice.get(f"{path}?{query}")["port_forwardings"] == [found], query
    assert alice.get(f"{path}/{web['id']}")["port_forwarding"] == web
    changed = alice.put(f"{path}/{web['id']}", {"port_forwarding": {"external_port": 81, "internal_port_id": second["id"]}})["port_forwarding"]
    assert (changed["external_port"], changed["internal_port"]) == (81, 8080)
    assert changed["internal_ip_address"] == second["fixed_ips"][0]["ip_address"]
    # Inside another one, or for somebody else, there is none.
    other = floating(alice, site.outside)
    assert alice.get(f"/floatingips/{other['id']}/port_forwardings")["port_forwardings"] == []
    alice.refused("GET", f"/floatingips/{other['id']}/port_forwardings/{web['id']}", 404, "PortForwardingNotFound", web["id"])
    alice.refused("DELETE", f"/floatingips/{other['id']}/port_forwardings/{web['id']}", 404, "PortForwardingNotFound", web["id"])
    for method, tail in (("GET", ""), ("POST", ""), ("GET", f"/{web['id']}"), ("PUT", f"/{web['id']}"), ("DELETE", f"/{web['id']}")):
        olga.refused(method, path + tail, 404, "FloatingIPNotFound", made["id"], body={"port_forwarding": {}})
    assert admin.get(path)["port_forwardings"]
    # What they hold, and what holds them.
    alice.refused("PUT", f"/floatingips/{made['id']}", 409, "FipInUseByPortForwarding", made["id"], body={"floatingip": {"port_id": port["id"]}})
    alice.refused("DELETE", f"/floatingips/{made['id']}", 409, "FipInUseByPortForwarding", made["id"])
    alice.refused("PUT", f"/floatingips/{other['id']}", 400, "PortHasPortForwarding", second["id"], body={"floatingip": {"port_id": second["id"]}})
    alice.refused("PUT", f"/routers/{site.router['id']}/remove_router_interface", 409, "RouterInterfaceInUseByFloatingIP",
                  body={"subnet_id": site.subnet["id"]})
    admin.refused("DELETE", f"/networks/{site.outside['id']}", 409, "NetworkInUse")
    alice.delete(f"{path}/{dns['id']}")
    assert show(alice, made)["router_id"] == site.router["id"]
    alice.delete(f"/ports/{second['id']}")
    assert alice.get(path)["port_forwardings"] == [] and leads_nowhere(show(alice, made))
    # Now it is free for a port again.
    change(alice, made, port_id=port["id"])
    alice.refused("POST", path, 409, "FloatingIPPortAlreadyAssociated", made["id"], body={"port_forwarding": {
        "protocol": "tcp", "internal_port_id": port["id"], "external_port": 1, "internal_port": 1}})
    alice.refused("POST", f"/floatingips/{other['id']}/port_forwardings", 409, "PortHasBindingFloatingIP", port["id"], other["id"],
                  body={"port_forwarding": {"protocol": "tcp", "internal_port_id": port["id"], "external_port": 1, "internal_port": 1}})


@pytest.mark.parametrize("attributes, type_, texts", [
    ({"protocol": "icmp"}, "HTTPBadRequest", ("port_forwarding.protocol", "'icmp'")),
    ({"protocol": None}, "HTTPBadRequest", ("port_forwarding.protocol", "null")),
    ({"external_port": 0}, "HTTPBadRequest", ("port_forwarding.external_port", "'0'")),
    ({"external_port": 65536}, "HTTPBadRequest", ("port_forwarding.external_port", "'65536'")),
    ({"external_port": True}, "HTTPBadRequest", ("port_forwarding.external_port", "true")),
    ({"external_port": None}, "HTTPBadRequest", ("port_forwarding.external_port", "not specified")),
    ({"internal_port": "x"}, "HTTPBadRequest", ("port_forwarding.internal_port", "x")),
    ({"external_port_range": "1:2"}, "HTTPBadRequest", ("port_forwarding.external_port_range", "together with external_port")),
    ({"external_port": None, "external_port_range": "9:1"}, "HTTPBadRequest", ("external_port_range", "9:1")),
    ({"external_port": None, "external_port_range": "1:99999"}, "HTTPBadRequest", ("external_port_range", "1:99999")),
    ({"external_port": None, "external_port_range": "1:2:3"}, "HTTPBadRequest", ("external_port_range", "1:2:3")),
    ({"external_port": None, "external_port_range": 5}, "HTTPBadRequest", ("external_port_range", "'5'")),
    ({"external_port": None, "external_port_range": "1:2"}, "HTTPBadRequest", ("internal_port_range", "'8080:8080'", "'1:2'")),
    ({"internal_port_id": NOBODY}, "PortNotFound", (NOBODY,)),
    ({"internal_ip_address": "10.0.0.99"}, "BadRequest", ("does not have fixed ip 10.0.0.99",)),
    ({"internal_ip_address": "x"}, "HTTPBadRequest", ("port_forwarding.internal_ip_address", "'x'")),
    ({"color": "red"}, "HTTPBadRequest", ("port_forwarding.color", "Unrecognized")),
    ({"floatingip_id": NOBODY}, "HTTPBadRequest", ("port_forwarding.floatingip_id", "Unrecognized")),
    ({"project_id": NOBODY}, "HTTPBadRequest", ("port_forwarding.project_id",)),
])
def test_bad_port_forwardings_are_refused(site, alice, attributes, type_, texts):
    made, port = floating(alice, site.outside), alice.port(site.inside)
    body = {"protocol": "tcp", "internal_port_id": port["id"], "external_port": 80, "internal_port": 8080, **attributes}
    alice.refused("POST", f"/floatingips/{made['id']}/port_forwardings", 404 if type_ == "PortNotFound" else 400, type_, *texts,
                  body={"port_forwarding": body})
    assert leads_nowhere(show(alice, made))


def test_port_forwardings_that_meet(site, alice):
    made, other = floating(alice, site.outside), floating(alice, site.outside)
    port, second = alice.port(site.inside), alice.port(site.inside)
    forward(alice, made, port, 80, 8080)
    moves = forward(alice, made, port, 90, 8090)

    def refused(floating_ip, *texts, method="POST", tail="", **attributes):
        alice.refused(method, f"/floatingips/{floating_ip['id']}/port_forwardings{tail}", 400, "BadRequest", "duplicate", *texts,
                      body={"port_forwarding": attributes})

    refused(made, "80:80", "tcp", protocol="tcp", internal_port_id=second["id"], external_port_range="70:85", internal_port_range="70:85")
    refused(other, port["id"], "8080:8080", protocol="tcp", internal_port_id=port["id"], external_port=1, internal_port=8080)
    refused(made, "80:80", method="PUT", tail=f"/{moves['id']}", external_port=80)
    island, _ = link(alice, "10.1.0.0/24")
    alice.refused("POST", f"/floatingips/{other['id']}/port_forwardings", 400, "BadRequest", site.outside["id"], "is not reachable",
                  body={"port_forwarding": {"protocol": "tcp", "internal_port_id": alice.port(island)["id"], "external_port": 1,
                                            "internal_port": 1}})
    # All of one floating IP are of one router.
    network, subnet = link(alice, "10.2.0.0/24")
    beside = router(alice, external_gateway_info={"network_id": site.outside["id"]})
    add(alice, beside, subnet_id=subnet["id"])
    alice.refused("POST", f"/floatingips/{made['id']}/port_forwardings", 400, "BadRequest", site.router["id"], "can not reach",
                  body={"port_forwarding": {"protocol": "tcp", "internal_port_id": alice.port(network)["id"], "external_port": 1,
                                            "internal_port": 1}})
    assert len(alice.get(f"/floatingips/{made['id']}/port_forwardings")["port_forwardings"]) == 2


def test_port_forwardings_at_once(site, alice):
    made = [floating(alice, site.outside) for _ in range(3)]
    port = alice.port(site.inside)

    def body(external, internal):
        return {"port_forwarding": {"protocol": "tcp", "internal_port_id": port["id"], "external_port": external, "internal_port": internal}}

    for _ in range(5):
        # The same port of a floating IP; the same port of the workload; a floating IP that is given to the port.
        same = f"/floatingips/{made[0]['id']}/port_forwardings"
        results = at_once(*[(alice, "POST", same, body(80, 1000 + i)) for i in range(3)])
        assert sorted(status for status, _ in results) == [201, 400, 400]
        alice.delete(same + "/" + alice.get(same)["port_forwardings"][0]["id"])
        results = at_once(*[(alice, "POST", f"/floatingips/{one['id']}/port_forwardings", body(80, 80)) for one in made])
        assert sorted(status for status, _ in results) == [201, 400, 400]
        for one in made:
            for forwarding in show(alice, one)["port_forwardings"]:
                alice.delete(f"/floatingips/{one['id']}/port_forwardings/{forwarding['id']}")
        (forwarded, _), (associated, _) = at_once((alice, "POST", same, body(80, 80)),
                                                  (alice, "PUT", f"/floatingips/{made[1]['id']}", {"floatingip": {"port_id": port["id"]}}))
        assert (forwarded, associated) in ((201, 400), (409, 200))
        change(alice, made[1], port_id=None)
        for forwarding in show(alice, made[0])["port_forwardings"]:
            alice.delete(f"{same}/{forwarding['id']}")


# --- Restarts. ---

def test_a_floating_ip_forwards_so_many_ports(site, alice):
    """Each is a row on every host that may meet it."""
    made = floating(alice, site.outside)
    port = alice.port(site.inside)
    path = f"/floatingips/{made['id']}/port_forwardings"

    def body(external, internal):
        return {"port_forwarding": {"protocol": "tcp", "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"],
                                    "external_port_range": external, "internal_port_range": internal}}
    alice.refused("POST", path, 409, "OverQuota", made["id"], "1025", "1024", body=body("1:1025", "1:1025"))
    alice.post(path, body("1:1000", "1:1000"))
    alice.refused("POST", path, 409, "OverQuota", "1025", body=body("2001:2025", "2001:2025"))
    alice.post(path, body("2001:2024", "2001:2024"))


def forwarding_body(port, external, internal):
    return {"port_forwarding": {"protocol": "tcp", "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"],
                                "external_port_range": external, "internal_port_range": internal}}


def test_a_project_forwards_so_many_ports(site, alice, admin):
    port = alice.port(site.inside)
    ranges = [f"{1 + 1024 * i}:{1024 * (i + 1)}" for i in range(9)]
    paths = [f"/floatingips/{floating(alice, site.outside)['id']}/port_forwardings" for _ in ranges]
    for path, one in zip(paths[:8], ranges):
        made = alice.post(path, forwarding_body(port, one, one))["port_forwarding"]
    alice.refused("POST", paths[8], 409, "OverQuota", "['port_forwarding']", "8193", "8192", body=forwarding_body(port, "1", "60000"))
    assert admin.get(f"/quotas/{alice.project}")["quota"]["port_forwarding"] == 500
    assert admin.get(f"/quotas/{alice.project}/details.json")["quota"]["port_forwarding"]["used"] == 8
    alice.delete(f"{paths[7]}/{made['id']}")
    alice.post(paths[8], forwarding_body(port, "1", "60000"))
    admin.put(f"/quotas/{alice.project}", {"quota": {"port_forwarding": 8}})
    alice.refused("POST", paths[8], 409, "OverQuota", "['port_forwarding']", body=forwarding_body(port, "2", "60001"))
    admin.delete(f"/quotas/{alice.project}")


def test_forwardings_of_two_floating_ips_change_at_once(site, alice):
    """Both may become 80 of one port; only one does."""
    port = alice.port(site.inside)
    made = []
    for number in (81, 82):
        path = f"/floatingips/{floating(alice, site.outside)['id']}/port_forwardings"
        made.append((path, alice.post(path, forwarding_body(port, "80", str(number)))["port_forwarding"]))
    for _ in range(8):
        results = at_once(*[(alice, "PUT", f"{path}/{one['id']}", {"port_forwarding": {"internal_port": 80}}) for path, one in made])
        assert sorted(status for status, _ in results) == [200, 400], results
        for (path, one), number in zip(made, (81, 82)):
            alice.put(f"{path}/{one['id']}", {"port_forwarding": {"internal_port": number}})


def test_many_forwardings_in_one_request(site, alice, admin):
    """As many as a floating IP forwards, in one commit; what is too much ends when that is known."""
    admin.put(f"/quotas/{alice.project}", {"quota": {"port_forwarding": -1}})
    port = alice.port(site.inside)
    path = f"/floatingips/{floating(alice, site.outside)['id']}/port_forwardings"
    many = [forwarding_body(port, str(i), str(i))["port_forwarding"] for i in range(1, 1026)]
    alice.refused("POST", path, 409, "OverQuota", "would forward 1025 ports", body={"port_forwardings": many})
    made = alice.post(path, {"port_forwardings": many[:1000]})["port_forwardings"]
    assert len(made) == 1000
    alice.post(path, {"port_forwardings": many[1000:1024]})
    admin.delete(f"/quotas/{alice.project}")
    alice.delete(f"/ports/{port['id']}")


def test_what_only_looks_like_a_routers_port(site, alice, admin):
    """No router has such an id, and what is said to be its port concerns nobody."""
    for _ in range(2):
        alice.port(site.inside, device_owner="network:router_interface", device_id="x" * 40)
    alice.refused("POST", "/ports", 403, "PolicyNotAuthorized", site.outside["id"], body={"port": {"network_id": site.outside["id"]}})
    foreign = admin.port(site.inside)
    alice.refused("PUT", f"/routers/{site.router['id']}/add_router_interface", 403, "PolicyNotAuthorized", foreign["id"],
                  body={"port_id": foreign["id"]})


def test_translations_survive_kill_9():
    server = Server("FOLDER/weft.db")
    try:
        admin = server.login("admin", "correct horse", "admin")
        out, _ = outside(admin)
        inside, subnet = link(admin)
        made = router(admin, external_gateway_info={"network_id": out["id"]})
        add(admin, made, subnet_id=subnet["id"])
        port, second = admin.port(inside), admin.port(inside)
        one, two = floating(admin, out, port_id=port["id"]), floating(admin, out)
        forward(admin, two, second, 80, 8080)
        before = admin.get("/floatingips"), admin.get(f"/floatingips/{two['id']}/port_forwardings")
        server.kill()
        server.log.close()
        pathlib.Path(server.folder.name, "log").unlink()
        server.start()
        admin = server.login("admin", "correct horse", "admin")
        assert (admin.get("/floatingips"), admin.get(f"/floatingips/{two['id']}/port_forwardings")) == before
        admin.refused("POST", "/floatingips", 409, "FloatingIPPortAlreadyAssociated", body={"floatingip": {
            "floating_network_id": out["id"], "port_id": port["id"]}})
        admin.refused("PUT", f"/routers/{made['id']}/remove_router_interface", 409, "RouterInterfaceInUseByFloatingIP",
                      body={"subnet_id": subnet["id"]})
        admin.delete(f"/ports/{port['id']}")
        admin.delete(f"/ports/{second['id']}")
        admin.delete(f"/floatingips/{one['id']}")
        admin.delete(f"/floatingips/{two['id']}")
        remove(admin, made, subnet_id=subnet["id"])
        admin.delete(f"/routers/{made['id']}")
        admin.delete(f"/networks/{out['id']}")
    finally:
        server.stop()
