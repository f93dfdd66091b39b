"""Routers over HTTP: interfaces, gateways, extra routes; who may, what is refused, and what concurrent requests cannot break.

    this test --- HTTP on 127.0.0.1, a free port ---> weft-api --store memory (and SQLite where durability matters)

'admin' is the administrator, 'alice' a member of the project 'tenant', 'olga' of 'other'."""

import pathlib
import sqlite3

import pytest

from projects import (NOBODY, Server, add, admin, alice, at_once, behind, clean, link, olga, outside, ports_of, remove, router,  # noqa: F401
                      server)


# --- The router itself. ---

def test_a_router_has_what_clients_expect(alice, admin, olga):
    made = router(alice, name="r", description="d")
    assert (made["name"], made["description"], made["status"], made["admin_state_up"]) == ("r", "d", "ACTIVE", True)
    assert made["external_gateway_info"] is None and made["routes"] == [] and made["flavor_id"] is None
    assert made["availability_zones"] == made["availability_zone_hints"] == []
    assert made["project_id"] == made["tenant_id"] == alice.project and made["revision_number"] == 0
    assert "ha" not in made and "distributed" not in made
    seen = admin.get(f"/routers/{made['id']}")["router"]
    assert seen["ha"] is False and seen["distributed"] is True
    changed = alice.put(f"/routers/{made['id']}", {"router": {"name": "s", "admin_state_up": False}})["router"]
    assert (changed["name"], changed["admin_state_up"], changed["revision_number"]) == ("s", False, 1)
    assert [r["id"] for r in alice.get("/routers?name=s&status=ACTIVE")["routers"]] == [made["id"]]
    assert alice.get("/routers?name=r")["routers"] == [] and olga.get("/routers")["routers"] == []
    for method, body in (("GET", None), ("PUT", {"router": {"name": "x"}}), ("DELETE", None)):
        olga.refused(method, f"/routers/{made['id']}", 404, "RouterNotFound", made["id"], body=body)
    alice.delete(f"/routers/{made['id']}")
    alice.refused("GET", f"/routers/{made['id']}", 404, "RouterNotFound", made["id"])


@pytest.mark.parametrize("attributes, field, text", [
    ({"color": "red"}, "router.color", "Unrecognized"),
    ({"routes": []}, "router.routes", "only be changed"),
    ({"status": "DOWN"}, "router.status", "read-only"),
    ({"ha": True}, "router.ha", "read-only"),
    ({"gateway_port_id": NOBODY}, "router.gateway_port_id", "Unrecognized"),
    ({"name": 5}, "router.name", "'5'"),
    ({"external_gateway_info": 5}, "router.external_gateway_info", "'5'"),
    ({"external_gateway_info": {"enable_snat": True}}, "router.external_gateway_info.network_id", "required"),
    ({"external_gateway_info": {"network_id": "x"}}, "router.external_gateway_info.network_id", "'x'"),
    ({"external_gateway_info": {"network_id": NOBODY, "enable_snat": "maybe"}}, "router.external_gateway_info.enable_snat", "maybe"),
    ({"external_gateway_info": {"network_id": NOBODY, "color": 1}}, "router.external_gateway_info.color", "known"),
    ({"external_gateway_info": {"network_id": NOBODY, "external_fixed_ips": [{"ip_address": "10.0.0.300"}]}},
     "router.external_gateway_info.external_fixed_ips[0].ip_address", "10.0.0.300"),
])
def test_bad_routers_are_refused(admin, attributes, field, text):
    admin.refused("POST", "/routers", 400, "HTTPBadRequest", field, text, body={"router": attributes})


def test_routers_have_a_quota(admin, alice):
    assert alice.get(f"/quotas/{alice.project}")["quota"]["router"] == 10
    for _ in range(10):
        router(alice)
    alice.refused("POST", "/routers", 409, "OverQuota", "router", body={"router": {}})
    assert alice.get(f"/quotas/{alice.project}/details")["quota"]["router"] == {"limit": 10, "used": 10, "reserved": 0}


# --- Interfaces. ---

def test_an_interface_by_subnet(alice):
    network, subnet = link(alice)
    made = router(alice)
    answer = add(alice, made, subnet_id=subnet["id"])
    assert answer == {"id": made["id"], "subnet_id": subnet["id"], "subnet_ids": [subnet["id"]], "network_id": network["id"],
                      "port_id": answer["port_id"], "tenant_id": alice.project, "project_id": alice.project}
    port = alice.get(f"/ports/{answer['port_id']}")["port"]
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.1"}]
    assert (port["device_id"], port["device_owner"], port["status"]) == (made["id"], "network:router_interface", "ACTIVE")
    assert port["project_id"] == alice.project and port["port_security_enabled"] is False
    assert alice.get(f"/routers/{made['id']}")["router"]["revision_number"] == 1
    alice.refused("DELETE", f"/routers/{made['id']}", 409, "RouterInUse", made["id"], "still has ports")
    alice.refused("DELETE", f"/subnets/{subnet['id']}", 409, "SubnetInUse", subnet["id"])
    alice.refused("DELETE", f"/networks/{network['id']}", 409, "NetworkInUse", network["id"])
    alice.refused("PUT", f"/subnets/{subnet['id']}", 409, "GatewayIpInUse", "10.0.0.1", port["id"], body={"subnet": {"gateway_ip": None}})
    assert remove(alice, made, subnet_id=subnet["id"]) == answer
    alice.refused("GET", f"/ports/{port['id']}", 404, "PortNotFound")
    alice.put(f"/subnets/{subnet['id']}", {"subnet": {"gateway_ip": None}})
    alice.delete(f"/routers/{made['id']}")


def test_an_interface_by_port(alice):
    network, subnet = link(alice)
    made = router(alice)
    port = alice.port(network, fixed_ips=[{"ip_address": "10.0.0.77"}])
    answer = add(alice, made, port_id=port["id"])
    assert (answer["port_id"], answer["subnet_id"], answer["network_id"]) == (port["id"], subnet["id"], network["id"])
    seen = alice.get(f"/ports/{port['id']}")["port"]
    assert (seen["device_id"], seen["device_owner"], seen["status"]) == (made["id"], "network:router_interface", "ACTIVE")
    assert seen["fixed_ips"] == port["fixed_ips"] and seen["mac_address"] == port["mac_address"]
    alice.refused("PUT", f"/routers/{made['id']}/remove_router_interface", 400, "SubnetMismatchForPort", port["id"], NOBODY,
                  body={"port_id": port["id"], "subnet_id": NOBODY})
    remove(alice, made, port_id=port["id"], subnet_id=subnet["id"])
    alice.refused("GET", f"/ports/{port['id']}", 404, "PortNotFound")


def test_ipv6_subnets_of_a_network_share_an_interface(alice):
    network, v4 = link(alice)
    first = alice.subnet(network, "2001:db8:1::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    second = alice.subnet(network, "2001:db8:2::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    made = router(alice)
    one, two, three = (add(alice, made, subnet_id=subnet["id"]) for subnet in (v4, first, second))
    assert two["port_id"] == three["port_id"] != one["port_id"]
    port = alice.get(f"/ports/{two['port_id']}")["port"]
    assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == ["2001:db8:1::1", "2001:db8:2::1"]
    other = alice.port(network, fixed_ips=[{"subnet_id": v4["id"]}])  # It has SLAAC addresses too.
    alice.refused("PUT", f"/routers/{made['id']}/add_router_interface", 400, "BadRequest", v4["id"], body={"port_id": other["id"]})
    assert remove(alice, made, subnet_id=first["id"])["subnet_ids"] == [first["id"]]
    port = alice.get(f"/ports/{two['port_id']}")["port"]
    assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == ["2001:db8:2::1"]
    assert remove(alice, made, port_id=two["port_id"])["subnet_ids"] == [second["id"]]


def test_what_cannot_be_an_interface(alice, admin, olga):
    network, subnet = link(alice)
    _, overlapping = link(alice, "10.0.0.0/16")
    _, without = link(alice, "10.9.0.0/24", gateway_ip=None)
    _, foreign = link(olga, "10.8.0.0/24")
    made = router(alice)
    path = f"/routers/{made['id']}/add_router_interface"

    def refused(status, type_, *texts, body, client=alice):
        client.refused("PUT", path, status, type_, *texts, body=body)

    add(alice, made, subnet_id=subnet["id"])
    refused(400, "BadRequest", "Router already has a port on subnet", subnet["id"], body={"subnet_id": subnet["id"]})
    refused(400, "BadRequest", "Cidr 10.0.0.0/16 of subnet", "overlaps with cidr 10.0.0.0/24 of subnet", overlapping["id"], subnet["id"],
            body={"subnet_id": overlapping["id"]})
    refused(400, "BadRequest", "Subnet for router interface must have a gateway IP", body={"subnet_id": without["id"]})
    refused(404, "SubnetNotFound", foreign["id"], body={"subnet_id": foreign["id"]})
    refused(404, "SubnetNotFound", "nowhere", body={"subnet_id": "nowhere"})
    refused(404, "PortNotFound", NOBODY, body={"port_id": NOBODY})
    refused(400, "BadRequest", "Either subnet_id or port_id must be specified", body={})
    refused(400, "BadRequest", "Cannot specify both", body={"subnet_id": subnet["id"], "port_id": NOBODY})
    refused(400, "HTTPBadRequest", "router.subnet_id", body={"subnet_id": 5})
    refused(400, "HTTPBadRequest", "router.color", "Unrecognized", body={"subnet_id": subnet["id"], "color": "red"})
    refused(404, "RouterNotFound", made["id"], body={"subnet_id": foreign["id"]}, client=olga)
    used = alice.port(network, device_id="vm", fixed_ips=[])
    refused(409, "PortInUse", used["id"], "vm", body={"port_id": used["id"]})
    bare = alice.port(network, fixed_ips=[])
    refused(400, "BadRequest", "at least one fixed IP", body={"port_id": bare["id"]})
    bound = admin.port(network, **{"binding:host_id": "h1", "fixed_ips": [], "project_id": alice.project})
    refused(409, "PortBound", bound["id"], "h1", body={"port_id": bound["id"]})
    # The gateway's address is somebody else's.
    taken_network, taken = link(alice, "10.7.0.0/24")
    alice.port(taken_network, fixed_ips=[{"ip_address": "10.7.0.1"}])
    refused(409, "IpAddressAlreadyAllocated", "10.7.0.1", body={"subnet_id": taken["id"]})
    # A shared network's subnet is its owner's.
    shared = admin.network(shared=True)
    common = admin.subnet(shared, "10.6.0.0/24")
    refused(400, "BadRequest", common["id"], "is not owned by project making the request", body={"subnet_id": common["id"]})
    guest = alice.port(shared)
    add(alice, made, port_id=guest["id"])
    alice.put(f"/routers/{made['id']}/remove_router_interface", {"port_id": guest["id"]})
    # Advertised to by somebody else.
    six = alice.subnet(network, "2001:db8::/64", ipv6_address_mode="slaac")
    refused(400, "BadRequest", "external router", six["id"], body={"subnet_id": six["id"]})
    assert len(ports_of(alice, made)) == 1


def test_what_is_no_interface_cannot_be_removed(alice):
    network, subnet = link(alice)
    made = router(alice)
    path = f"/routers/{made['id']}/remove_router_interface"
    alice.refused("PUT", path, 404, "RouterInterfaceNotFoundForSubnet", made["id"], subnet["id"], body={"subnet_id": subnet["id"]})
    alice.refused("PUT", path, 404, "SubnetNotFound", NOBODY, body={"subnet_id": NOBODY})
    port = alice.port(network)
    alice.refused("PUT", path, 404, "RouterInterfaceNotFound", made["id"], port["id"], body={"port_id": port["id"]})
    alice.refused("PUT", path, 400, "BadRequest", "Either", body={})


def test_ports_of_routers_are_their_routers(alice, admin):
    network, subnet = link(alice)
    made = router(alice)
    port = add(alice, made, subnet_id=subnet["id"])["port_id"]
    alice.refused("DELETE", f"/ports/{port}", 409, "ServicePortInUse", port, "network:router_interface")
    for field, value in (("device_id", "vm"), ("device_owner", "compute:nova"), ("fixed_ips", []), ("mac_address", "02:00:00:00:00:01"),
                         ("binding:host_id", "h1")):
        admin.refused("PUT", f"/ports/{port}", 409, "ServicePortInUse", field, port, body={"port": {field: value}})
    # What changes nothing of that is fine.
    same = alice.put(f"/ports/{port}", {"port": {"fixed_ips": [{"subnet_id": subnet["id"]}], "name": "gw"}})["port"]
    assert same["name"] == "gw" and same["fixed_ips"][0]["ip_address"] == "10.0.0.1"
    # Nobody else makes a port the router's.
    for body in ({"network_id": network["id"], "device_id": made["id"], "device_owner": "network:router_interface"},
                 {"network_id": network["id"], "device_id": made["id"], "device_owner": "network:router_gateway"}):
        alice.refused("POST", "/ports", 409, "DeviceIDNotOwnedByTenant", "port.device_id", made["id"], body={"port": body})
    free = alice.port(network)
    alice.refused("PUT", f"/ports/{free['id']}", 409, "DeviceIDNotOwnedByTenant", "port.device_id", made["id"],
                  body={"port": {"device_id": made["id"], "device_owner": "network:router_interface"}})
    # A device of that kind which nobody knows is an ordinary port.
    stray = alice.port(network, device_id="elsewhere", device_owner="network:router_interface")
    alice.delete(f"/ports/{stray['id']}")


# --- Gateways. ---

def test_a_gateway(alice, admin):
    network, subnet = outside(admin)
    made = router(alice, external_gateway_info={"network_id": network["id"]})
    info = made["external_gateway_info"]
    assert info == {"network_id": network["id"], "enable_snat": True, "external_fixed_ips": info["external_fixed_ips"]}
    assert [fixed["subnet_id"] for fixed in info["external_fixed_ips"]] == [subnet["id"]]
    port, = ports_of(admin, made, "network:router_gateway")
    assert port["network_id"] == network["id"] and port["fixed_ips"] == info["external_fixed_ips"]
    assert port["project_id"] == "" and port["status"] == "ACTIVE" and ports_of(alice, made, "network:router_gateway") == []
    admin.refused("DELETE", f"/ports/{port['id']}", 409, "ServicePortInUse", port["id"], "network:router_gateway")
    admin.refused("DELETE", f"/networks/{network['id']}", 409, "NetworkInUse", network["id"])
    admin.refused("PUT", f"/networks/{network['id']}", 409, "ExternalNetworkInUse", network["id"], "existing gateway ports",
                  body={"network": {"router:external": False}})
    # Said again it stays; SNAT is the administrator's, an owner who does not say gets it.
    assert alice.put(f"/routers/{made['id']}", {"router": {"external_gateway_info": {"network_id": network["id"]}}})["router"] == made
    off = admin.put(f"/routers/{made['id']}", {"router": {"external_gateway_info": {"network_id": network["id"], "enable_snat": False}}})
    assert off["router"]["external_gateway_info"] == {**info, "enable_snat": False}
    for more in ({"enable_snat": True}, {"external_fixed_ips": [{"subnet_id": subnet["id"]}]}):
        alice.refused("PUT", f"/routers/{made['id']}", 403, "PolicyNotAuthorized", f"external_gateway_info.{list(more)[0]}",
                      body={"router": {"external_gateway_info": {"network_id": network["id"], **more}}})
    # Moved to another address, to another network, and away.
    moved = admin.put(f"/routers/{made['id']}", {"router": {"external_gateway_info": {
        "network_id": network["id"], "external_fixed_ips": [{"ip_address": "203.0.113.99"}]}}})["router"]["external_gateway_info"]
    assert moved == {"network_id": network["id"], "enable_snat": True,
                     "external_fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "203.0.113.99"}]}
    assert admin.get(f"/ports/{port['id']}")["port"]["fixed_ips"] == moved["external_fixed_ips"]
    second, _ = outside(admin, "198.51.100.0/24")
    there = alice.put(f"/routers/{made['id']}", {"router": {"external_gateway_info": {"network_id": second["id"]}}})["router"]
    assert there["external_gateway_info"]["network_id"] == second["id"]
    admin.delete(f"/networks/{network['id']}")
    for nothing in ({}, None):
        gone = alice.put(f"/routers/{made['id']}", {"router": {"external_gateway_info": nothing}})["router"]
        assert gone["external_gateway_info"] is None
    assert ports_of(admin, made, "network:router_gateway") == []
    again = router(alice, external_gateway_info={"network_id": second["id"]})
    alice.delete(f"/routers/{again['id']}")
    admin.delete(f"/networks/{second['id']}")


def test_a_gateway_of_both_families(alice, admin):
    network, _ = outside(admin)
    admin.subnet(network, "2001:db8:ffff::/64", enable_dhcp=False)
    made = router(alice, external_gateway_info={"network_id": network["id"]})
    assert sorted(":" in fixed["ip_address"] for fixed in made["external_gateway_info"]["external_fixed_ips"]) == [False, True]


def test_what_cannot_be_a_gateway(alice, admin):
    network, subnet = outside(admin)
    inner, inside = link(alice)
    made = router(alice)

    def refused(status, type_, *texts, info, client=admin):
        client.refused("PUT", f"/routers/{made['id']}", status, type_, *texts, body={"router": {"external_gateway_info": info}})

    refused(404, "NetworkNotFound", NOBODY, info={"network_id": NOBODY})
    refused(400, "BadRequest", f"Network {inner['id']} is not an external network", info={"network_id": inner["id"]}, client=alice)
    refused(400, "BadRequest", "External IP 203.0.113.1 is the same as the gateway IP",
            info={"network_id": network["id"], "external_fixed_ips": [{"ip_address": "203.0.113.1"}]})
    taken = admin.port(network)["fixed_ips"][0]["ip_address"]
    refused(409, "IpAddressAlreadyAllocated", "router.external_gateway_info.external_fixed_ips", taken,
            info={"network_id": network["id"], "external_fixed_ips": [{"ip_address": taken}]})
    refused(400, "InvalidIpForNetwork", "external_gateway_info.external_fixed_ips[0]", "192.0.2.1",
            info={"network_id": network["id"], "external_fixed_ips": [{"ip_address": "192.0.2.1"}]})
    refused(400, "InvalidInput", "external_gateway_info.external_fixed_ips[0]", inside["id"],
            info={"network_id": network["id"], "external_fixed_ips": [{"subnet_id": inside["id"]}]})
    add(alice, made, subnet_id=inside["id"])
    overlapping, its = outside(admin, "10.0.0.0/8")
    refused(400, "BadRequest", "Cidr 10.0.0.0/8 of subnet", "overlaps with cidr 10.0.0.0/24", its["id"], inside["id"],
            info={"network_id": overlapping["id"]}, client=alice)
    assert alice.get(f"/routers/{made['id']}")["router"]["external_gateway_info"] is None
    assert ports_of(admin, made, "network:router_gateway") == []
    # An external network of the own project, and no address left.
    small, _ = outside(admin, "192.0.2.0/30")
    router(alice, external_gateway_info={"network_id": small["id"]})
    refused(409, "IpAddressGenerationFailure", small["id"], info={"network_id": small["id"]}, client=alice)


# --- Extra routes. ---

def routes_of(client, router):
    return [(route["destination"], route["nexthop"]) for route in client.get(f"/routers/{router['id']}")["router"]["routes"]]


def test_routes(alice):
    network, subnet = link(alice)
    made = router(alice)
    add(alice, made, subnet_id=subnet["id"])
    path = f"/routers/{made['id']}"
    a, b, c = ({"destination": f"192.0.{i}.0/24", "nexthop": f"10.0.0.{i + 10}"} for i in range(3))
    assert alice.put(path, {"router": {"routes": [a, b]}})["router"]["routes"] == [a, b]
    alice.refused("PUT", path + "/remove_router_interface", 409, "RouterInterfaceInUseByRoute", subnet["id"], made["id"],
                  body={"subnet_id": subnet["id"]})
    assert alice.put(path + "/add_extraroutes", {"router": {"routes": [b, c]}})["router"]["routes"] == [a, b, c]
    same = alice.put(path + "/add_extraroutes", {"router": {"routes": [a]}})["router"]
    assert same == alice.get(path)["router"]
    assert alice.put(path + "/remove_extraroutes", {"router": {"routes": [a, {**a, "nexthop": "10.0.0.99"}]}})["router"]["routes"] == [b, c]
    # Several next hops of one destination share the traffic.
    alice.put(path + "/add_extraroutes", {"router": {"routes": [{**b, "nexthop": "10.0.0.99"}]}})
    assert len(routes_of(alice, made)) == 3
    assert alice.put(path, {"router": {"routes": None}})["router"]["routes"] == []
    remove(alice, made, subnet_id=subnet["id"])


@pytest.mark.parametrize("routes, status, type_, texts", [
    ([{"destination": "192.0.2.0/24", "nexthop": "10.1.0.5"}], 400, "InvalidRoutes", ("routes[0].nexthop", "10.1.0.5", "not connected")),
    ([{"destination": "192.0.2.0/24", "nexthop": "10.0.0.1"}], 400, "InvalidRoutes", ("10.0.0.1", "is used by router")),
    ([{"destination": "2001:db8::/64", "nexthop": "10.0.0.2"}], 400, "InvalidRoutes", ("2001:db8::/64", "IP version")),
    ([{"destination": "192.0.2.1/24", "nexthop": "10.0.0.2"}], 400, "HTTPBadRequest", ("router.routes[0].destination", "192.0.2.1/24")),
    ([{"destination": "192.0.2.0/24", "nexthop": "10.0.0.2000"}], 400, "HTTPBadRequest", ("router.routes[0].nexthop", "10.0.0.2000")),
    ([{"destination": "192.0.2.0/24"}], 400, "HTTPBadRequest", ("router.routes[0].nexthop", "required")),
    ([{"destination": "192.0.2.0/24", "nexthop": "10.0.0.2"}] * 2, 400, "HTTPBadRequest", ("router.routes[1]", "duplicate")),
    ("x", 400, "HTTPBadRequest", ("router.routes", "not a list")),
    ([{"destination": f"192.0.2.{i}/32", "nexthop": "10.0.0.2"} for i in range(31)], 400, "HTTPBadRequest", ("router.routes", "31", "30")),
])
def test_bad_routes_are_refused(alice, routes, status, type_, texts):
    network, subnet = link(alice)
    made = router(alice)
    add(alice, made, subnet_id=subnet["id"])
    for path in ("", "/add_extraroutes"):
        alice.refused("PUT", f"/routers/{made['id']}{path}", status, type_, *texts, body={"router": {"routes": routes}})
    assert routes_of(alice, made) == []


def test_bodies_of_extra_routes(alice, olga):
    made = router(alice)
    for verb in ("add_extraroutes", "remove_extraroutes"):
        for body in ({}, {"router": {}}, {"router": {"routes": [], "name": "x"}}, {"routes": []}, {"router": []}):
            alice.refused("PUT", f"/routers/{made['id']}/{verb}", 400, "HTTPBadRequest", "routes", body=body)
        olga.refused("PUT", f"/routers/{made['id']}/{verb}", 404, "RouterNotFound", body={"router": {"routes": []}})
    network, subnet = link(alice)
    add(alice, made, subnet_id=subnet["id"])
    many = [{"destination": f"192.0.2.{i}/32", "nexthop": "10.0.0.2"} for i in range(30)]
    alice.put(f"/routers/{made['id']}", {"router": {"routes": many}})
    alice.refused("PUT", f"/routers/{made['id']}/add_extraroutes", 400, "RoutesExhausted", made["id"], "30",
                  body={"router": {"routes": [{"destination": "192.0.3.0/24", "nexthop": "10.0.0.2"}]}})


def test_routes_by_the_gateway_hold_it(alice, admin):
    network, _ = outside(admin)
    second, _ = outside(admin, "198.51.100.0/24")
    made = router(alice, external_gateway_info={"network_id": network["id"]})
    path = f"/routers/{made['id']}"
    alice.put(path, {"router": {"routes": [{"destination": "192.0.2.0/24", "nexthop": "203.0.113.50"}]}})
    for info in (None, {"network_id": second["id"]}):
        alice.refused("PUT", path, 409, "RouterInterfaceInUseByRoute", made["id"], body={"router": {"external_gateway_info": info}})
    # Both at once.
    changed = alice.put(path, {"router": {"external_gateway_info": {"network_id": second["id"]},
                                          "routes": [{"destination": "192.0.2.0/24", "nexthop": "198.51.100.50"}]}})["router"]
    assert changed["external_gateway_info"]["network_id"] == second["id"] and len(changed["routes"]) == 1
    alice.put(path, {"router": {"external_gateway_info": None, "routes": []}})


# --- Requests at once. ---

def test_overlapping_subnets_at_once(alice):
    subnets = [link(alice, f"10.{i}.0.0/8" if i == 0 else f"10.{i}.0.0/16")[1] for i in range(4)]
    for _ in range(8):
        made = router(alice)
        path = f"/routers/{made['id']}/add_router_interface"
        results = at_once(*[(alice, "PUT", path, {"subnet_id": subnet["id"]}) for subnet in subnets])
        kept = [subnet for subnet, (status, _) in zip(subnets, results) if status == 200]
        assert all(status in (200, 400) for status, _ in results), results
        assert len(ports_of(alice, made)) == len(kept) >= 1
        assert len(kept) == 1 or subnets[0] not in kept, "10.0.0.0/8 overlaps with all others"
        for subnet in kept:
            remove(alice, made, subnet_id=subnet["id"])
        alice.delete(f"/routers/{made['id']}")


def test_a_subnet_is_deleted_while_it_becomes_an_interface(alice):
    made = router(alice)
    for _ in range(10):
        network, subnet = link(alice)
        (added, answer), (deleted, _) = at_once((alice, "PUT", f"/routers/{made['id']}/add_router_interface", {"subnet_id": subnet["id"]}),
                                                (alice, "DELETE", f"/subnets/{subnet['id']}", None))
        assert (added, deleted) in ((200, 409), (404, 204)), answer
        if added == 200:
            remove(alice, made, subnet_id=subnet["id"])


def test_a_gateway_address_changes_while_it_becomes_an_interface(alice):
    made = router(alice)
    for _ in range(10):
        network, subnet = link(alice, allocation_pools=[{"start": "10.0.0.100", "end": "10.0.0.200"}])
        (added, _), (changed, _) = at_once((alice, "PUT", f"/routers/{made['id']}/add_router_interface", {"subnet_id": subnet["id"]}),
                                           (alice, "PUT", f"/subnets/{subnet['id']}", {"subnet": {"gateway_ip": "10.0.0.2"}}))
        assert added == 200 and changed in (200, 409)
        gateway = alice.get(f"/subnets/{subnet['id']}")["subnet"]["gateway_ip"]
        assert ports_of(alice, made)[0]["fixed_ips"][0]["ip_address"] == gateway
        remove(alice, made, subnet_id=subnet["id"])


def test_a_router_is_deleted_while_it_gets_an_interface(alice):
    network, subnet = link(alice)
    for _ in range(10):
        made = router(alice)
        (added, _), (deleted, _) = at_once((alice, "PUT", f"/routers/{made['id']}/add_router_interface", {"subnet_id": subnet["id"]}),
                                           (alice, "DELETE", f"/routers/{made['id']}", None))
        assert (added, deleted) in ((200, 409), (404, 204))
        if added == 200:
            remove(alice, made, subnet_id=subnet["id"])
        else:
            assert ports_of(alice, made) == []


def test_an_interface_goes_while_a_route_comes(alice):
    network, subnet = link(alice)
    made = router(alice)
    routes = {"router": {"routes": [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]}}
    for _ in range(10):
        add(alice, made, subnet_id=subnet["id"])
        (removed, _), (routed, _) = at_once((alice, "PUT", f"/routers/{made['id']}/remove_router_interface", {"subnet_id": subnet["id"]}),
                                            (alice, "PUT", f"/routers/{made['id']}", routes))
        assert (removed, routed) in ((200, 400), (409, 200))
        if routed == 200:
            alice.put(f"/routers/{made['id']}", {"router": {"routes": []}})
            remove(alice, made, subnet_id=subnet["id"])


# --- What is routed to an external network as it is: no two projects' prefixes may overlap there. ---

def outside6(admin):
    network, _ = outside(admin)
    admin.subnet(network, "2001:db8:ffff::/64", enable_dhcp=False)
    return network


@pytest.mark.parametrize("cidr", ["fd00:0:0:5::/64", "fd00::/48", "fd00:0:0:5::/80"])
def test_a_prefix_that_is_routed_outside_is_one_projects(alice, olga, admin, cidr):
    network = outside6(admin)
    first, inside = behind(alice, network, "fd00:0:0:5::/64")
    add(alice, first, subnet_id=inside["id"])
    other, taken = behind(olga, network, cidr)
    path = f"/routers/{other['id']}/add_router_interface"
    error = olga.refused("PUT", path, 409, "RoutedPrefixInUse", "subnet_id", f"'{cidr}'", taken["id"], network["id"], body={"subnet_id": taken["id"]})
    assert first["id"] not in error["message"] and inside["id"] not in error["message"], "who has it is not told"
    admin.refused("PUT", path, 409, "RoutedPrefixInUse", first["id"], body={"subnet_id": taken["id"]})
    port = olga.port({"id": taken["network_id"]}, fixed_ips=[{"subnet_id": taken["id"]}])
    olga.refused("PUT", path, 409, "RoutedPrefixInUse", "port_id", f"'{cidr}'", body={"port_id": port["id"]})
    # By the gateway, which comes later.
    inner = router(olga)
    add(olga, inner, subnet_id=taken["id"])
    gateway = {"router": {"external_gateway_info": {"network_id": network["id"]}}}
    olga.refused("PUT", f"/routers/{inner['id']}", 409, "RoutedPrefixInUse", "external_gateway_info", f"'{cidr}'", body=gateway)
    # Given back with the interface, and with the gateway.
    remove(alice, first, subnet_id=inside["id"])
    olga.put(f"/routers/{inner['id']}", gateway)
    alice.refused("PUT", f"/routers/{first['id']}/add_router_interface", 409, "RoutedPrefixInUse", body={"subnet_id": inside["id"]})
    olga.put(f"/routers/{inner['id']}", {"router": {"external_gateway_info": None}})
    add(alice, first, subnet_id=inside["id"])


def test_the_own_project_may_route_a_prefix_twice(alice, admin):
    network = outside6(admin)
    for made, subnet in (behind(alice, network, "fd00::/64"), behind(alice, network, "fd00::/64"), behind(alice, network, "fd00::/48")):
        add(alice, made, subnet_id=subnet["id"])


def test_what_is_translated_or_does_not_lead_out_is_nobodys(alice, olga, admin):
    network, _ = outside(admin)
    for client in (alice, olga):
        made, subnet = behind(client, network, "fd00::/64")
        _, other = link(client)
        for inside in (subnet, other):
            add(client, made, subnet_id=inside["id"])
    # IPv6 comes to the external network itself: gateways do not have it by that, not even where all ports get an address.
    admin.subnet(network, "2001:db8:ffff::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    assert len(ports_of(admin, made, "network:router_gateway")[0]["fixed_ips"]) == 1
    again = {"router": {"external_gateway_info": {"network_id": network["id"]}}}
    olga.put(f"/routers/{made['id']}", again)
    olga.put(f"/routers/{made['id']}", {"router": {"external_gateway_info": None}})


def test_turning_translation_off_claims_prefixes(alice, olga, admin):
    network, _ = outside(admin)
    made = []
    for client in (alice, olga):
        its, subnet = behind(client, network, "10.0.0.0/24")
        add(client, its, subnet_id=subnet["id"])
        made.append(its)
    off = {"router": {"external_gateway_info": {"network_id": network["id"], "enable_snat": False}}}
    admin.put(f"/routers/{made[0]['id']}", off)
    admin.refused("PUT", f"/routers/{made[1]['id']}", 409, "RoutedPrefixInUse", "external_gateway_info", "'10.0.0.0/24'", made[0]["id"], body=off)
    admin.put(f"/routers/{made[0]['id']}", {"router": {"external_gateway_info": {"network_id": network["id"], "enable_snat": True}}})
    admin.put(f"/routers/{made[1]['id']}", off)


def test_a_routed_prefix_and_the_external_networks_own(server, alice, admin):
    network = outside6(admin)
    made, subnet = behind(alice, network, "2001:db8:ffff:0:5::/80")
    alice.refused("PUT", f"/routers/{made['id']}/add_router_interface", 400, "BadRequest", "overlaps", body={"subnet_id": subnet["id"]})
    made, subnet = behind(alice, network, "2001:db8:aaaa::/64")
    add(alice, made, subnet_id=subnet["id"])
    # The administrator's has it: what a tenant took does not stand in the way, and hosts give it up.
    own = admin.subnet(network, "2001:db8:aaaa::/48", enable_dhcp=False)
    line, = [line for line in server.output().splitlines() if own["id"] in line]
    assert made["id"] in line and "2001:db8:aaaa::/64" in line and "is not reached" in line
    alice.put(f"/routers/{made['id']}", {"router": {"name": "still mine"}})
    remove(alice, made, subnet_id=subnet["id"])
    alice.refused("PUT", f"/routers/{made['id']}/add_router_interface", 409, "RoutedPrefixInUse", "a subnet of that network",
                  body={"subnet_id": subnet["id"]})
    alice.delete(f"/routers/{made['id']}")


def test_an_external_networks_owner_does_not_take_what_is_routed(alice, olga, admin):
    network = admin.network(**{"router:external": True, "project_id": olga.project})
    olga.subnet(network, "2001:db8:ffff::/64", enable_dhcp=False)
    made, subnet = behind(alice, network, "2001:db8:aaaa::/64")
    add(alice, made, subnet_id=subnet["id"])
    olga.refused("POST", "/subnets", 409, "RoutedPrefixInUse", "cidr", "'2001:db8:aaaa::/48'", "2001:db8:aaaa::/64", made["id"],
                 body={"subnet": {"network_id": network["id"], "cidr": "2001:db8:aaaa::/48", "ip_version": 6, "enable_dhcp": False}})


def test_a_tenant_does_not_take_all_addresses_of_an_external_network(alice, olga, admin):
    """Prefixes shorter than /48 that others would be reached by: an interface, a gateway that comes later, and an administrator's."""
    network = outside6(admin)
    made, _ = behind(alice, network, "10.0.0.0/24")
    for cidr in ("4000::/2", "3000::/4", "fc00::/7", "2001:db8:8000::/47"):
        _, large = link(alice, cidr)
        alice.refused("PUT", f"/routers/{made['id']}/add_router_interface", 403, "PolicyNotAuthorized", "subnet_id", f"'{cidr}'", network["id"],
                      "/48", body={"subnet_id": large["id"]})
    other, allowed = behind(olga, network, "2001:db8:8000::/48")
    add(olga, other, subnet_id=allowed["id"])
    inner = router(alice)
    _, large = link(alice, "fd00::/32")
    add(alice, inner, subnet_id=large["id"])
    gateway = {"router": {"external_gateway_info": {"network_id": network["id"]}}}
    alice.refused("PUT", f"/routers/{inner['id']}", 403, "PolicyNotAuthorized", "external_gateway_info", "'fd00::/32'", body=gateway)
    admin.put(f"/routers/{inner['id']}", gateway)
    for cidr in ("fd02::/40", "4000::/3", "fc00::/9", "3000::/8", "fd01::/33"):
        _, more = link(alice, cidr)
        alice.refused("PUT", f"/routers/{inner['id']}/add_router_interface", 403, "PolicyNotAuthorized", f"'{cidr}'", body={"subnet_id": more["id"]})
        add(admin, inner, subnet_id=more["id"])
        alice.put(f"/routers/{inner['id']}", gateway)  # All are there already.
    # To a network without IPv6, and IPv4 that is translated: nothing is reached by it.
    inside, _ = outside(admin, "198.51.100.0/24")
    last, subnet = behind(alice, inside, "10.0.0.0/8")
    _, large = link(alice, "fd00::/32")
    for each in (subnet, large):
        add(alice, last, subnet_id=each["id"])


def test_overlapping_prefixes_are_routed_at_once(alice, olga, admin):
    network = outside6(admin)
    both = [(client, *behind(client, network, cidr)) for client, cidr in ((alice, "fd00::/64"), (olga, "fd00::/72"))]
    for _ in range(10):
        results = at_once(*[(client, "PUT", f"/routers/{made['id']}/add_router_interface", {"subnet_id": subnet["id"]})
                            for client, made, subnet in both])
        assert sorted(status for status, _ in results) == [200, 409], results
        for (client, made, subnet), (status, _) in zip(both, results):
            if status == 200:
                remove(client, made, subnet_id=subnet["id"])


def test_what_overlapped_before_is_reported():
    """An older release's store: two projects' routers bring one prefix outside, which nobody refused."""
    server = Server("FOLDER/weft.db")
    try:
        admin = server.login("admin", "correct horse", "admin")
        olga = server.add_user(admin, "olga", "other", "member")
        network, _ = outside(admin)
        made = []
        for client, cidr in ((admin, "10.0.0.0/24"), (olga, "10.0.0.0/25")):
            its, subnet = behind(client, network, cidr)
            add(client, its, subnet_id=subnet["id"])
            made.append(its["id"])
        server.kill()
        server.log.close()
        pathlib.Path(server.folder.name, "log").unlink()
        with sqlite3.connect(f"file:{server.folder.name}/weft.db", uri=True) as store:
            for its in made:
                changed = store.execute("UPDATE items SET value = replace(value, '\"enable_snat\":true', '\"enable_snat\":false') WHERE key = ?",
                                        (f"object/router/{its}".encode(),))
                assert changed.rowcount == 1
        store.close()
        server.start()
        line, = [line for line in server.output().splitlines() if "is not reached from external network" in line]
        assert f"router {made[0]}" in line and f"router {made[1]}" in line and network["id"] in line
        admin = server.login("admin", "correct horse", "admin")
        # It stays as it is, and can be given up.
        admin.put(f"/routers/{made[1]}", {"router": {"name": "loser"}})
        admin.put(f"/routers/{made[1]}", {"router": {"external_gateway_info": None}})
    finally:
        server.stop()


# --- Restarts. ---

def test_routers_survive_kill_9():
    server = Server("FOLDER/weft.db")
    try:
        admin = server.login("admin", "correct horse", "admin")
        network, _ = outside(admin)
        _, subnet = link(admin)
        made = router(admin, name="r", external_gateway_info={"network_id": network["id"], "enable_snat": False})
        add(admin, made, subnet_id=subnet["id"])
        before = admin.put(f"/routers/{made['id']}", {"router": {"routes": [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]}})
        ports = admin.get(f"/ports?device_id={made['id']}")
        server.kill()
        server.log.close()
        pathlib.Path(server.folder.name, "log").unlink()
        server.start()
        admin = server.login("admin", "correct horse", "admin")
        assert admin.get(f"/routers/{made['id']}") == before and admin.get(f"/ports?device_id={made['id']}") == ports
        admin.refused("PUT", f"/routers/{made['id']}/add_router_interface", 400, "BadRequest", body={"subnet_id": subnet["id"]})
        admin.refused("DELETE", f"/routers/{made['id']}", 409, "RouterInUse")
        admin.put(f"/routers/{made['id']}", {"router": {"routes": []}})
        remove(admin, made, subnet_id=subnet["id"])
        admin.delete(f"/routers/{made['id']}")
        admin.delete(f"/networks/{network['id']}")
    finally:
        server.stop()
