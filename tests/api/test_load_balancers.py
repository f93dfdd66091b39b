"""The Load-Balancer v2 API over HTTP: what it makes, shows, refuses and deletes; what agents report, and what hosts are told.

    this test --- HTTP on 127.0.0.1, a free port ---> weft-api, SQLite

    network 'lan' 10.0.0.0/24 --- router --- network 'back' 10.1.0.0/24        'far' 10.2.0.0/24 (no router)"""

import threading

import pytest

from conftest import Agent, wait_until

LB = "/load-balancer/v2.0/lbaas/"
NOBODY = "44444444-0000-4000-8000-000000000000"


class Tenant:
    """A project with a member, and what it makes."""

    def __init__(self, server, admin, name):
        self.project = admin.project(name)
        admin.user(f"user-of-{name}", project=self.project)
        self.call = server.client(f"user-of-{name}", "pw-of-user", name)

    def make(self, kind, single, status=201, **attributes):
        answer = self.call("POST", LB + kind, {single: attributes}, status)
        return answer.get(single, answer)

    def balancer(self, status=201, **attributes):
        return self.make("loadbalancers", "loadbalancer", status, **attributes)

    def listener(self, balancer, port=80, protocol="TCP", status=201, **attributes):
        return self.make("listeners", "listener", status, loadbalancer_id=balancer["id"], protocol=protocol, protocol_port=port, **attributes)

    def pool(self, status=201, protocol="TCP", algorithm="ROUND_ROBIN", **attributes):
        return self.make("pools", "pool", status, protocol=protocol, lb_algorithm=algorithm, **attributes)

    def member(self, pool, address, port=8080, status=201, **attributes):
        return self.make(f"pools/{pool['id']}/members", "member", status, address=address, protocol_port=port, **attributes)

    def monitor(self, pool, type="TCP", status=201, **attributes):
        return self.make("healthmonitors", "healthmonitor", status, pool_id=pool["id"], type=type,
                         **{"delay": 5, "timeout": 3, "max_retries": 2, **attributes})

    def get(self, path, status=200):
        return self.call("GET", LB + path, status=status)

    def put(self, path, body, status=200):
        return self.call("PUT", LB + path, body, status)

    def delete(self, path, status=204):
        return self.call("DELETE", LB + path, status=status)

    def refused(self, method, path, status, *texts, body=None):
        answer = self.call(method, LB + path, body, status)
        assert answer["faultcode"] == "Client" or status >= 500
        for text in texts:
            assert text in answer["faultstring"], answer


@pytest.fixture(scope="module")
def other(server, admin):
    return Tenant(server, admin, "other")


@pytest.fixture(scope="module")
def tenant(server, admin):
    tenant = Tenant(server, admin, "tenant")
    call = tenant.call
    for name, cidr in (("lan", "10.0.0.0/24"), ("back", "10.1.0.0/24"), ("far", "10.2.0.0/24")):
        network = call.network(name)
        setattr(tenant, name, network)
        setattr(tenant, f"{name}_subnet", call.subnet(network, cidr))
    router = call("POST", "/v2.0/routers", {"router": {}}, 201)["router"]
    for name in ("lan", "back"):
        call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": getattr(tenant, f"{name}_subnet")["id"]}, 200)
    return tenant


@pytest.fixture(autouse=True)
def clean(tenant):
    yield
    for balancer in tenant.get("loadbalancers")["loadbalancers"]:
        tenant.delete(f"loadbalancers/{balancer['id']}?cascade=true")
    for port in tenant.call("GET", "/v2.0/ports?device_owner=", status=200)["ports"]:
        tenant.call("DELETE", f"/v2.0/ports/{port['id']}", status=204)


def vip_port(tenant, balancer):
    return tenant.call("GET", f"/v2.0/ports/{balancer['vip_port_id']}", status=200)["port"]


def test_a_load_balancer_has_a_vip_and_a_port_of_its_own(tenant):
    balancer = tenant.balancer(name="lb", vip_subnet_id=tenant.lan_subnet["id"], tags=["a", "b"])
    assert (balancer["provisioning_status"], balancer["operating_status"], balancer["provider"]) == ("ACTIVE", "ONLINE", "weft")
    assert balancer["vip_network_id"] == tenant.lan["id"] and balancer["tags"] == ["a", "b"]
    port = vip_port(tenant, balancer)
    assert (port["device_owner"], port["device_id"]) == ("Octavia", f"lb-{balancer['id']}")
    assert [ip["ip_address"] for ip in port["fixed_ips"]] == [balancer["vip_address"]]
    # Only the load balancer changes and deletes it.
    for method, body in (("DELETE", None), ("PUT", {"port": {"fixed_ips": []}}), ("PUT", {"port": {"device_id": ""}}), ("PUT", {"port": {"device_owner": ""}})):
        assert tenant.call(method, f"/v2.0/ports/{port['id']}", body).status_code == 409
    forged = {"network_id": tenant.lan["id"], "device_owner": "Octavia", "device_id": f"lb-{balancer['id']}"}
    assert tenant.call("POST", "/v2.0/ports", {"port": forged}).status_code == 409
    assert tenant.call("DELETE", f"/v2.0/networks/{tenant.lan['id']}").status_code == 409
    tenant.refused("POST", "loadbalancers", 409, balancer["vip_address"], "already allocated",
                   body={"loadbalancer": {"vip_subnet_id": tenant.lan_subnet["id"], "vip_address": balancer["vip_address"]}})
    assert tenant.put(f"loadbalancers/{balancer['id']}", {"loadbalancer": {"name": "new", "admin_state_up": False}})["loadbalancer"][
        "operating_status"] == "OFFLINE"
    tenant.delete(f"loadbalancers/{balancer['id']}")
    tenant.call("GET", f"/v2.0/ports/{port['id']}", status=404)
    tenant.get(f"loadbalancers/{balancer['id']}", 404)


def test_the_vip_may_be_a_network_an_address_or_a_port_that_is_there(tenant):
    by_network = tenant.balancer(vip_network_id=tenant.lan["id"], vip_address="10.0.0.77")
    assert (by_network["vip_address"], by_network["vip_subnet_id"]) == ("10.0.0.77", tenant.lan_subnet["id"])
    port = tenant.call.port(tenant.lan)
    by_port = tenant.balancer(vip_port_id=port["id"])
    assert by_port["vip_address"] == port["fixed_ips"][0]["ip_address"]
    tenant.refused("POST", "loadbalancers", 409, port["id"], "in use", body={"loadbalancer": {"vip_port_id": port["id"]}})
    tenant.delete(f"loadbalancers/{by_port['id']}")
    left = tenant.call("GET", f"/v2.0/ports/{port['id']}", status=200)["port"]
    assert (left["device_owner"], left["device_id"]) == ("", "")  # It was the user's, and is again.
    more = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"], additional_vips=[{"subnet_id": tenant.lan_subnet["id"], "ip_address": "10.0.0.78"}])
    assert more["additional_vips"] == [{"subnet_id": tenant.lan_subnet["id"], "ip_address": "10.0.0.78"}]


@pytest.mark.parametrize("attributes, texts", [
    ({}, ["VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id"]),
    ({"vip_subnet_id": NOBODY}, ["vip_subnet_id", NOBODY, "not found"]),
    ({"vip_network_id": NOBODY}, ["vip_network_id", NOBODY, "not found"]),
    ({"vip_port_id": NOBODY}, ["vip_port_id", NOBODY, "not found"]),
    ({"vip_subnet_id": "lan_subnet", "vip_address": "10.9.9.9"}, ["vip_address", "10.9.9.9"]),
    ({"vip_subnet_id": "lan_subnet", "vip_network_id": "far"}, ["vip_network_id", "is not in network"]),
    ({"vip_subnet_id": "lan_subnet", "provider": "amphora"}, ["Provider 'amphora' is not enabled"]),
    ({"vip_subnet_id": "lan_subnet", "flavor_id": NOBODY}, ["flavor_id", NOBODY]),
    ({"vip_subnet_id": "lan_subnet", "availability_zone": "z"}, ["Availability Zone z"]),
    ({"vip_subnet_id": "lan_subnet", "additional_vips": [{"subnet_id": "far_subnet"}]}, ["additional_vips", "same network"]),
    ({"vip_subnet_id": "lan_subnet", "nonsense": 1}, ["nonsense"]),
])
def test_vips_that_cannot_be_are_refused(tenant, attributes, texts):
    def real(value):
        if isinstance(value, str) and hasattr(tenant, value):
            return getattr(tenant, value)["id"]
        return [{k: real(v) for k, v in item.items()} for item in value] if isinstance(value, list) else value
    tenant.refused("POST", "loadbalancers", 400, *texts, body={"loadbalancer": {k: real(v) for k, v in attributes.items()}})


def test_a_floating_ip_may_lead_to_a_vip(tenant, admin):
    outside = admin.network(**{"router:external": True})
    admin.subnet(outside, "203.0.113.0/24")
    balancer = tenant.balancer(vip_subnet_id=tenant.far_subnet["id"])
    port = vip_port(tenant, balancer)
    router = tenant.call("POST", "/v2.0/routers", {"router": {"external_gateway_info": {"network_id": outside["id"]}}}, 201)["router"]
    floating_ips = []

    def make(status=201, **attributes):
        answer = tenant.call("POST", "/v2.0/floatingips", {"floatingip": {"floating_network_id": outside["id"], **attributes}}, status)
        floating_ips.extend([answer["floatingip"]] if status == 201 else [])
        return answer["floatingip"] if status == 201 else answer

    def show(floating_ip):
        return tenant.call("GET", f"/v2.0/floatingips/{floating_ip['id']}", status=200)["floatingip"]

    try:
        assert "ExternalGatewayForFloatingIPNotFound" in str(make(404, port_id=port["id"]))
        tenant.call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": tenant.far_subnet["id"]}, 200)
        made = make(port_id=port["id"])
        assert (made["port_id"], made["fixed_ip_address"], made["status"]) == (port["id"], balancer["vip_address"], "ACTIVE")
        assert made["port_details"]["device_owner"] == "Octavia"
        make(409, port_id=port["id"]) # One for each address.
        forwarding = {"port_forwarding": {"internal_port_id": port["id"], "internal_ip_address": balancer["vip_address"], "internal_port": 80,
                                          "external_port": 80, "protocol": "tcp"}}
        other = make()
        answer = tenant.call("POST", f"/v2.0/floatingips/{other['id']}/port_forwardings", forwarding)
        assert answer.status_code == 400 and "Octavia" in answer.text
        # It is led elsewhere and back, and goes with the load balancer.
        for to in (None, port["id"]):
            changed = tenant.call("PUT", f"/v2.0/floatingips/{made['id']}", {"floatingip": {"port_id": to}}, 200)["floatingip"]
            assert (changed["port_id"], changed["status"]) == (to, "ACTIVE" if to else "DOWN")
        tenant.delete(f"loadbalancers/{balancer['id']}")
        gone = show(made)
        assert (gone["port_id"], gone["fixed_ip_address"], gone["status"]) == (None, None, "DOWN")
        # A port that the user has made keeps it.
        own = tenant.call.port(tenant.far)
        tenant.call("PUT", f"/v2.0/floatingips/{made['id']}", {"floatingip": {"port_id": own["id"]}}, 200)
        balancer = tenant.balancer(vip_port_id=own["id"])
        assert show(made)["port_details"]["device_id"] == f"lb-{balancer['id']}"
        tenant.delete(f"loadbalancers/{balancer['id']}")
        assert show(made)["port_id"] == own["id"]
    finally:
        for floating_ip in floating_ips:
            tenant.call("DELETE", f"/v2.0/floatingips/{floating_ip['id']}")
        tenant.call("PUT", f"/v2.0/routers/{router['id']}/remove_router_interface", {"subnet_id": tenant.far_subnet["id"]})
        tenant.call("DELETE", f"/v2.0/routers/{router['id']}")
    assert admin("DELETE", f"/v2.0/networks/{outside['id']}").status_code == 204


def test_a_vip_may_be_on_an_external_network(tenant, other, admin):
    outside = admin.network(**{"router:external": True})
    subnet = admin.subnet(outside, "203.0.113.0/24", allocation_pools=[{"start": "203.0.113.50", "end": "203.0.113.51"}])
    six = admin.subnet(outside, "2001:db8:77::/64", ip_version=6)
    give = {"vip_network_id": outside["id"]}
    balancer = tenant.balancer(**give)
    port = vip_port(tenant, balancer)
    assert (port["network_id"], port["device_owner"], port["device_id"]) == (outside["id"], "Octavia", f"lb-{balancer['id']}")
    assert balancer["vip_address"] in ("203.0.113.50", "203.0.113.51") and balancer["vip_subnet_id"] == subnet["id"]
    # An address that is free, of the pools: whose network it is not may not choose one, there or later.
    for chosen in ({"vip_address": "203.0.113.51"}, {"vip_address": "203.0.113.99"}, {"additional_vips": [{"subnet_id": six["id"], "ip_address": "2001:db8:77::9"}]}):
        tenant.refused("POST", "loadbalancers", 403, "only its owner can choose", body={"loadbalancer": give | chosen})
    for change in ({"fixed_ips": [{"ip_address": "203.0.113.99"}]}, {"mac_address": "fa:16:3e:00:00:99"}, {"device_owner": ""}, {"device_id": ""}):
        assert tenant.call("PUT", f"/v2.0/ports/{port['id']}", {"port": change}).status_code in (400, 403, 409)
    assert tenant.call("DELETE", f"/v2.0/ports/{port['id']}").status_code == 409
    # Nor have a port there of his own.
    assert tenant.call("POST", "/v2.0/ports", {"port": {"network_id": outside["id"]}}).status_code == 403
    second = other.balancer(**give)
    assert {second["vip_address"], balancer["vip_address"]} == {"203.0.113.50", "203.0.113.51"}
    other.refused("POST", "loadbalancers", 409, body={"loadbalancer": give})
    other.refused("POST", "loadbalancers", 400, "not found", body={"loadbalancer": {"vip_subnet_id": subnet["id"]}}) # Nobody else sees it.
    assert admin("PUT", f"/v2.0/networks/{outside['id']}", {"network": {"router:external": False}}).status_code == 409
    for who, made in ((tenant, balancer), (other, second)):
        who.delete(f"loadbalancers/{made['id']}")
        assert not admin("GET", f"/v2.0/ports?device_id=lb-{made['id']}", status=200)["ports"]
    assert admin("DELETE", f"/v2.0/networks/{outside['id']}").status_code == 204


def test_one_call_makes_everything_and_cascade_deletes_it(tenant):
    balancer = tenant.balancer(
        vip_subnet_id=tenant.lan_subnet["id"],
        pools=[{"name": "shared", "protocol": "UDP", "lb_algorithm": "SOURCE_IP", "members": [{"address": "10.1.0.5", "protocol_port": 53}]}],
        listeners=[{"name": "web", "protocol": "TCP", "protocol_port": 80, "default_pool": {
            "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "members": [{"address": "10.0.0.50", "protocol_port": 8080, "weight": 3},
                                                                          {"address": "10.1.0.50", "protocol_port": 8080, "backup": True}],
            "healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 1, "url_path": "/ok"}}},
            {"name": "dns", "protocol": "UDP", "protocol_port": 53, "default_pool": {"name": "shared"}}])
    assert len(balancer["listeners"]) == len(balancer["pools"]) == 2
    tree = tenant.get(f"loadbalancers/{balancer['id']}/status")["statuses"]["loadbalancer"]
    by_name = {listener["name"]: listener for listener in tree["listeners"]}
    assert by_name["web"]["pools"][0]["health_monitor"]["type"] == "HTTP"
    assert sorted(member["address"] for member in by_name["web"]["pools"][0]["members"]) == ["10.0.0.50", "10.1.0.50"]
    assert by_name["dns"]["pools"][0]["name"] == "shared"
    monitor = tenant.get("healthmonitors")["healthmonitors"][0]
    assert (monitor["http_method"], monitor["url_path"], monitor["expected_codes"]) == ("GET", "/ok", "200")
    # One part that is wrong, and there is nothing.
    before = len(tenant.call("GET", "/v2.0/ports?device_owner=Octavia", status=200)["ports"])
    tenant.refused("POST", "loadbalancers", 400, "listeners[0].default_pool.members[1].weight", "257", body={"loadbalancer": {
        "vip_subnet_id": tenant.lan_subnet["id"], "listeners": [{"protocol": "TCP", "protocol_port": 1, "default_pool": {
            "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "members": [{"address": "10.0.0.50", "protocol_port": 1},
                                                                          {"address": "10.0.0.51", "protocol_port": 1, "weight": 257}]}}]}})
    assert len(tenant.call("GET", "/v2.0/ports?device_owner=Octavia", status=200)["ports"]) == before
    tenant.refused("DELETE", f"loadbalancers/{balancer['id']}", 400, f"Cannot delete Load Balancer {balancer['id']} - it has children")
    tenant.delete(f"loadbalancers/{balancer['id']}?cascade=True")
    for kind in ("loadbalancers", "listeners", "pools", "healthmonitors"):
        assert tenant.get(kind)[kind] == []


def test_listeners(tenant):
    balancer = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])
    tcp = tenant.listener(balancer, 80, name="l", allowed_cidrs=["10.0.0.0/8", "192.0.2.7"], connection_limit=100)
    assert tcp["loadbalancers"] == [{"id": balancer["id"]}] and tcp["allowed_cidrs"] == ["10.0.0.0/8", "192.0.2.7/32"]
    assert (tcp["timeout_client_data"], tcp["l7policies"], tcp["insert_headers"], tcp["provisioning_status"]) == (None, [], {}, "ACTIVE")
    assert (tcp["timeout_member_data"], tcp["timeout_member_connect"], tcp["timeout_tcp_inspect"]) == (None, 5000, 0)
    tenant.listener(balancer, 80, "UDP")
    tenant.listener(balancer, 80, "SCTP")
    tenant.refused("POST", "listeners", 409, "already using protocol TCP and protocol_port 80", body={"listener": {
        "loadbalancer_id": balancer["id"], "protocol": "TCP", "protocol_port": 80}})
    for attributes, status, texts in (
            ({"protocol": "HTTP"}, 501, ["protocol HTTP"]), ({"protocol": "X"}, 400, ["protocol", "'X'"]),
            ({"protocol_port": 0}, 400, ["protocol_port", "'0'"]), ({"protocol_port": 65536}, 400, ["protocol_port", "65536"]),
            ({"loadbalancer_id": NOBODY}, 404, [NOBODY]), ({"default_pool_id": NOBODY}, 404, [NOBODY]),
            ({"allowed_cidrs": ["2001:db8::/32"]}, 400, ["CIDR 2001:db8::/32"]), ({"allowed_cidrs": ["x"]}, 400, ["allowed_cidrs[0]", "'x'"]),
            ({"connection_limit": -2}, 400, ["connection_limit", "-2"]), ({"insert_headers": {"X-Forwarded-For": "true"}}, 501, ["insert_headers"]),
            ({"default_tls_container_ref": "a"}, 501, ["default_tls_container_ref"])):
        tenant.refused("POST", "listeners", status, *texts, body={"listener": {
            "loadbalancer_id": balancer["id"], "protocol": "TCP", "protocol_port": 81, **attributes}})
    changed = tenant.put(f"listeners/{tcp['id']}", {"listener": {"connection_limit": None, "timeout_client_data": 7, "allowed_cidrs": None}})["listener"]
    assert (changed["connection_limit"], changed["timeout_client_data"], changed["allowed_cidrs"]) == (-1, 7, [])
    assert tenant.get(f"listeners/{tcp['id']}")["listener"]["timeout_client_data"] == 7
    assert tenant.put(f"listeners/{tcp['id']}", {"listener": {"timeout_client_data": None}})["listener"]["timeout_client_data"] is None
    given = tenant.listener(balancer, 443, timeout_client_data=50000, timeout_member_data=0)
    assert (given["timeout_client_data"], given["timeout_member_data"]) == (50000, 0)
    tenant.refused("PUT", f"listeners/{tcp['id']}", 400, "protocol_port", body={"listener": {"protocol_port": 5}})
    tenant.delete(f"listeners/{tcp['id']}")
    tenant.listener(balancer, 80)  # The port is free again.


def test_pools_and_listeners_belong_together(tenant):
    one, two = (tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"]) for _ in range(2))
    listener = tenant.listener(one)
    pool = tenant.pool(listener_id=listener["id"], session_persistence={"type": "SOURCE_IP"})
    assert pool["listeners"] == [{"id": listener["id"]}] and pool["loadbalancers"] == [{"id": one["id"]}]
    assert pool["session_persistence"]["type"] == "SOURCE_IP" and pool["healthmonitor_id"] is None
    assert tenant.get(f"listeners/{listener['id']}")["listener"]["default_pool_id"] == pool["id"]
    udp, elsewhere = tenant.pool(protocol="UDP", loadbalancer_id=one["id"]), tenant.pool(loadbalancer_id=two["id"])
    create = {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}
    tenant.refused("POST", "pools", 409, "already has a default pool", body={"pool": {**create, "listener_id": listener["id"]}})
    tenant.refused("POST", "pools", 400, "loadbalancer_id, listener_id", body={"pool": create})
    tenant.refused("PUT", f"listeners/{listener['id']}", 400, "pool protocol 'UDP' is invalid while the listener protocol is 'TCP'",
                   body={"listener": {"default_pool_id": udp["id"]}})
    tenant.refused("PUT", f"listeners/{listener['id']}", 400, elsewhere["id"], "another load balancer", body={"listener": {"default_pool_id": elsewhere["id"]}})
    for attributes, texts in (({"session_persistence": {"type": "HTTP_COOKIE"}}, ["session_persistence.type", "HTTP_COOKIE"]),
                              ({"session_persistence": {"type": "SOURCE_IP", "persistence_timeout": 1}}, ["UDP and SCTP"]),
                              ({"lb_algorithm": "BEST"}, ["lb_algorithm", "'BEST'"])):
        tenant.refused("POST", "pools", 400, *texts, body={"pool": {**create, "loadbalancer_id": one["id"], **attributes}})
    masked = tenant.put(f"pools/{udp['id']}", {"pool": {"session_persistence": {
        "type": "SOURCE_IP", "persistence_timeout": 360, "persistence_granularity": "255.255.254.0"}}})["pool"]["session_persistence"]
    assert (masked["persistence_timeout"], masked["persistence_granularity"]) == (360, "255.255.254.0")
    tenant.refused("PUT", f"pools/{udp['id']}", 400, "persistence_granularity", "255.0.255.0", body={"pool": {"session_persistence": {
        "type": "SOURCE_IP", "persistence_granularity": "255.0.255.0"}}})
    assert tenant.put(f"pools/{udp['id']}", {"pool": {"session_persistence": None}})["pool"]["session_persistence"] is None
    tenant.delete(f"pools/{pool['id']}")  # The listener stays, without it.
    assert tenant.get(f"listeners/{listener['id']}")["listener"]["default_pool_id"] is None
    again = tenant.pool(loadbalancer_id=one["id"])
    assert tenant.put(f"listeners/{listener['id']}", {"listener": {"default_pool_id": again["id"]}})["listener"]["default_pool_id"] == again["id"]
    tenant.delete(f"listeners/{listener['id']}")
    assert tenant.get(f"pools/{again['id']}")["pool"]["listeners"] == []


def test_members(tenant):
    pool = tenant.pool(loadbalancer_id=tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])["id"])
    path = f"pools/{pool['id']}/members"
    member = tenant.member(pool, "10.1.0.9", weight=0, tags=["x"])  # In the network behind the router: found.
    assert (member["subnet_id"], member["weight"], member["operating_status"], member["backup"]) == (None, 0, "ERROR", False)

    def statuses():
        return tenant.get(f"{path}/{member['id']}")["member"]["operating_status"], tenant.get(f"loadbalancers/{pool['loadbalancers'][0]['id']}")["loadbalancer"]["operating_status"]

    # No port has its address: it gets nothing, whoever answers there.
    tenant.listener({"id": pool["loadbalancers"][0]["id"]}, 8080, default_pool_id=pool["id"])
    assert statuses() == ("ERROR", "ERROR")
    router = tenant.member(pool, "10.1.0.1")
    assert router["operating_status"] == "ERROR"
    tenant.delete(f"{path}/{router['id']}")
    tenant.call("POST", "/v2.0/ports", {"port": {"network_id": tenant.back["id"], "fixed_ips": [{"ip_address": "10.1.0.9"}]}}, 201)
    assert statuses() == ("DRAINING", "ONLINE")
    tenant.member(pool, "10.1.0.9", 8081)
    tenant.member(pool, "10.2.0.9", subnet_id=tenant.far_subnet["id"])  # No router, but said.
    for attributes, status, texts in (
            ({"address": "10.1.0.9"}, 409, ["already using ip 10.1.0.9 on protocol_port 8080"]),
            ({"address": "10.2.0.10"}, 400, ["address", "10.2.0.10", "subnet_id"]),
            ({"address": "10.0.0.10", "subnet_id": tenant.far_subnet["id"]}, 400, ["10.0.0.10", "is not in subnet"]),
            ({"address": "127.0.0.1"}, 400, ["127.0.0.1"]), ({"address": "224.0.0.1"}, 400, ["224.0.0.1"]), ({"address": "169.254.169.254"}, 400, ["169.254"]),
            ({"address": "2001:db8::1"}, 400, ["2001:db8::1"]), ({"address": "x"}, 400, ["address", "'x'"]),
            ({"address": "10.0.0.10", "weight": 257}, 400, ["weight", "257"]), ({"address": "10.0.0.10", "subnet_id": NOBODY}, 400, [NOBODY]),
            ({"address": "10.0.0.10", "monitor_address": "169.254.169.254"}, 400, ["monitor_address", "169.254"]),
            ({"address": "10.0.0.10", "monitor_address": "2001:db8::1"}, 400, ["monitor_address", "another IP version"]),
            ({"address": "10.0.0.10", "monitor_port": 0}, 400, ["monitor_port", "'0'"])):
        tenant.refused("POST", path, status, *texts, body={"member": {"protocol_port": 8080, **attributes}})
    changed = tenant.put(f"{path}/{member['id']}", {"member": {"weight": None, "monitor_port": 99, "monitor_address": "10.1.0.10"}})["member"]
    assert (changed["weight"], changed["monitor_port"], changed["operating_status"]) == (1, 99, "NO_MONITOR")
    tenant.refused("PUT", f"{path}/{member['id']}", 400, "address", body={"member": {"address": "10.1.0.11"}})
    tenant.refused("PUT", f"{path}/{member['id']}", 400, "monitor_address", body={"member": {"monitor_address": "127.0.0.1"}})
    tenant.delete(f"{path}/{member['id']}")
    tenant.get(f"{path}/{member['id']}", 404)
    tenant.member(pool, "10.1.0.9")


def test_a_batch_replaces_all_members_or_adds_some(tenant):
    pool = tenant.pool(loadbalancer_id=tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])["id"])
    path = f"pools/{pool['id']}/members"
    kept, gone = tenant.member(pool, "10.0.0.11", weight=5, name="kept"), tenant.member(pool, "10.0.0.12")

    def listed():
        return {member["address"]: member for member in tenant.get(path)["members"]}

    tenant.put(path, {"members": [{"address": "10.0.0.11", "protocol_port": 8080, "weight": 7}, {"address": "10.0.0.13", "protocol_port": 8080}]}, 202)
    now = listed()
    assert set(now) == {"10.0.0.11", "10.0.0.13"} and now["10.0.0.11"]["id"] == kept["id"]
    assert (now["10.0.0.11"]["weight"], now["10.0.0.11"]["name"]) == (7, "kept")
    tenant.get(f"{path}/{gone['id']}", 404)
    tenant.put(path + "?additive_only=True", {"members": [{"address": "10.0.0.14", "protocol_port": 8080}]}, 202)
    assert set(listed()) == {"10.0.0.11", "10.0.0.13", "10.0.0.14"}
    for members, status, text in (([{"address": "10.0.0.15", "protocol_port": 1}] * 2, 409, "10.0.0.15"),
                                  ([{"address": "10.0.0.11", "protocol_port": 8080}] * 2, 409, "10.0.0.11"),
                                  ([{"address": "10.0.0.15"}], 400, "members[0].protocol_port"),
                                  ([{"address": "10.0.0.11", "protocol_port": 8080, "subnet_id": NOBODY}], 400, NOBODY)):
        tenant.refused("PUT", path, status, text, body={"members": members})
    assert set(listed()) == {"10.0.0.11", "10.0.0.13", "10.0.0.14"}
    tenant.put(path, {"members": []}, 202)
    assert listed() == {}
    tenant.refused("PUT", path, 400, "members", "4097", "4096", body={"members": [{}] * 4097})
    tenant.refused("POST", "pools", 400, "members", "4097", body={"pool": {
        "loadbalancer_id": pool["loadbalancers"][0]["id"], "protocol": "TCP", "lb_algorithm": "SOURCE_IP", "members": [{}] * 4097}})


def test_health_monitors(tenant):
    balancer = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])
    pool, udp = tenant.pool(loadbalancer_id=balancer["id"]), tenant.pool(protocol="UDP", loadbalancer_id=balancer["id"])
    monitor = tenant.monitor(pool, "HTTPS", http_version=1.1, domain_name="example.org", expected_codes="200-204,301")
    assert (monitor["pools"], monitor["max_retries_down"], monitor["http_version"]) == ([{"id": pool["id"]}], 3, 1.1)
    assert tenant.get(f"pools/{pool['id']}")["pool"]["healthmonitor_id"] == monitor["id"]
    tenant.refused("POST", "healthmonitors", 409, "already has a health monitor",
                   body={"healthmonitor": {"pool_id": pool["id"], "type": "TCP", "delay": 5, "timeout": 3, "max_retries": 1}})
    for attributes, status, texts in (
            ({"type": "HTTPS"}, 400, ["pool protocol is UDP"]), ({"type": "SCTP"}, 501, ["SCTP"]), ({"type": "X"}, 400, ["type", "'X'"]),
            ({"timeout": 6}, 400, ["timeout", "'6'"]), ({"max_retries": 11}, 400, ["max_retries", "11"]), ({"delay": 0}, 400, ["delay"]),
            ({"url_path": "/"}, 400, ["url_path", "HTTP"]), ({"type": "HTTP", "url_path": "x"}, 400, ["url_path", "'x'"]),
            ({"type": "HTTP", "http_method": "BREW"}, 400, ["http_method", "BREW"]), ({"type": "HTTP", "expected_codes": "20"}, 400, ["expected_codes"]),
            ({"type": "HTTP", "expected_codes": "204-200"}, 400, ["expected_codes"]), ({"type": "HTTP", "expected_codes": "200-202-204"}, 400, ["expected_codes"]),
            ({"type": "HTTP", "url_path": "/\u00e9"}, 400, ["url_path"]), ({"type": "HTTP", "url_path": "/ HTTP/1.0\r\nX: y"}, 400, ["url_path"]),
            ({"type": "HTTP", "http_version": 1.1, "domain_name": "a@b"}, 400, ["domain_name", "'a@b'"]),
            ({"type": "HTTP", "http_version": 1.1, "domain_name": ":80"}, 400, ["domain_name", "':80'"]),
            ({"type": "HTTP", "http_version": 1.1, "domain_name": "[x"}, 400, ["domain_name"]), ({"type": "HTTP", "url_path": "/a#b"}, 400, ["'/a#b'"]),
            ({"type": "HTTP", "http_version": 2}, 400, ["http_version", "'2'"]), ({"type": "HTTP", "domain_name": "a"}, 400, ["http_version 1.1"]),
            ({"pool_id": NOBODY}, 404, [NOBODY])):
        tenant.refused("POST", "healthmonitors", status, *texts, body={"healthmonitor": {
            "pool_id": udp["id"], "type": "UDP-CONNECT", "delay": 5, "timeout": 3, "max_retries": 1, **attributes}})
    assert tenant.put(f"healthmonitors/{monitor['id']}", {"healthmonitor": {"admin_state_up": False, "delay": 9}})["healthmonitor"][
        "operating_status"] == "OFFLINE"
    tenant.delete(f"healthmonitors/{monitor['id']}")
    tenant.monitor(pool)


def test_other_projects_see_and_use_nothing(tenant, other, admin):
    balancer = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])
    listener = tenant.listener(balancer)
    pool = tenant.pool(listener_id=listener["id"])
    member, monitor = tenant.member(pool, "10.0.0.20"), tenant.monitor(pool)
    paths = [f"loadbalancers/{balancer['id']}", f"listeners/{listener['id']}", f"pools/{pool['id']}", f"pools/{pool['id']}/members/{member['id']}",
             f"healthmonitors/{monitor['id']}"]
    for path in [*paths, f"loadbalancers/{balancer['id']}/status", f"loadbalancers/{balancer['id']}/stats", f"listeners/{listener['id']}/stats",
                 f"pools/{pool['id']}/members"]:
        other.get(path, 404)
    for path in paths:
        other.delete(path, 404)
    for kind in ("loadbalancers", "listeners", "pools", "healthmonitors"):
        assert other.get(kind)[kind] == []
    other.put(f"pools/{pool['id']}/members", {"members": []}, 404)
    other.refused("POST", "loadbalancers", 400, "not found", body={"loadbalancer": {"vip_subnet_id": tenant.lan_subnet["id"]}})
    port = tenant.call.port(tenant.lan)
    other.refused("POST", "loadbalancers", 400, "not found", body={"loadbalancer": {"vip_port_id": port["id"]}})
    own = other.call.subnet(other.call.network(), "10.7.0.0/24")
    theirs = other.balancer(vip_subnet_id=own["id"])
    other.refused("POST", "listeners", 404, balancer["id"], body={"listener": {"loadbalancer_id": balancer["id"], "protocol": "TCP", "protocol_port": 9}})
    other.refused("POST", "listeners", 404, pool["id"], body={"listener": {
        "loadbalancer_id": theirs["id"], "protocol": "TCP", "protocol_port": 9, "default_pool_id": pool["id"]}})
    other.refused("POST", "pools", 404, listener["id"], body={"pool": {"listener_id": listener["id"], "protocol": "TCP", "lb_algorithm": "SOURCE_IP"}})
    other.refused("POST", "healthmonitors", 404, pool["id"], body={"healthmonitor": {
        "pool_id": pool["id"], "type": "TCP", "delay": 5, "timeout": 3, "max_retries": 1}})
    other_pool = other.pool(loadbalancer_id=theirs["id"])
    other.refused("POST", f"pools/{other_pool['id']}/members", 400, tenant.lan_subnet["id"], body={"member": {
        "address": "10.0.0.9", "protocol_port": 1, "subnet_id": tenant.lan_subnet["id"]}})
    other.refused("PUT", f"loadbalancers/{theirs['id']}/failover", 403)
    assert admin("GET", LB + f"loadbalancers/{balancer['id']}", status=200)["loadbalancer"]["project_id"] == tenant.project["id"]
    admin("PUT", LB + f"loadbalancers/{balancer['id']}/failover", status=202)
    # What an administrator adds to it is its project's.
    added = admin("POST", LB + f"pools/{pool['id']}/members", {"member": {"address": "10.0.0.21", "protocol_port": 1}}, 201)["member"]
    assert added["project_id"] == tenant.project["id"]
    other.delete(f"loadbalancers/{theirs['id']}?cascade=true")


def test_members_in_shared_networks_are_own_ports(tenant, other, admin):
    common = admin("POST", "/v2.0/networks", {"network": {"name": "common", "shared": True}}, 201)["network"]
    subnet = admin("POST", "/v2.0/subnets", {"subnet": {"network_id": common["id"], "cidr": "10.3.0.0/24", "ip_version": 4}}, 201)["subnet"]
    port = admin("POST", "/v2.0/ports", {"port": {"network_id": common["id"], "fixed_ips": [{"ip_address": "10.3.0.50"}],
                                                  "project_id": tenant.project["id"]}}, 201)["port"]
    router = tenant.call("POST", "/v2.0/routers", {"router": {}}, 201)["router"]
    edge = tenant.call.port(common)
    private = tenant.call.subnet(tenant.call.network("private"), "10.9.0.0/24")
    for interface in ({"port_id": edge["id"]}, {"subnet_id": private["id"]}):
        tenant.call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", interface, 200)
    theirs, own = (who.pool(loadbalancer_id=who.balancer(vip_subnet_id=subnet["id"])["id"]) for who in (other, tenant))
    path = f"pools/{theirs['id']}/members"
    # What somebody else's router leads to is not there.
    for address, place in (("10.9.0.7", {}), ("10.9.0.7", {"subnet_id": private["id"]}), ("10.3.0.50", {}), ("10.3.0.50", {"subnet_id": subnet["id"]})):
        other.refused("POST", path, 400, address if not place or address == "10.3.0.50" else private["id"],
                      body={"member": {"address": address, "protocol_port": 22, **place}})
    tenant.member(own, "10.9.0.7")
    tenant.member(own, "10.3.0.50")
    for who in (tenant, other):
        for balancer in who.get("loadbalancers")["loadbalancers"]:
            who.delete(f"loadbalancers/{balancer['id']}?cascade=true")
    for interface in ({"port_id": edge["id"]}, {"subnet_id": private["id"]}):
        tenant.call("PUT", f"/v2.0/routers/{router['id']}/remove_router_interface", interface, 200)
    tenant.call("DELETE", f"/v2.0/routers/{router['id']}", status=204)
    tenant.call("DELETE", f"/v2.0/ports/{port['id']}", status=204)
    # A member there that is no port either: the network is not taken from who has it.
    balancer = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])
    pool = tenant.pool(loadbalancer_id=balancer["id"])
    member = tenant.member(pool, "10.3.0.99", subnet_id=subnet["id"])
    refusal = admin("PUT", f"/v2.0/networks/{common['id']}", {"network": {"shared": False}}, 409)["NeutronError"]
    assert refusal["type"] == "InvalidSharedSetting" and member["id"] in refusal["message"]
    # Who gets the address later is somebody else, and is not watched.
    tenant.monitor(pool)
    host = Agent(admin, "lb-shared")
    theirs = admin("POST", "/v2.0/ports", {"port": {"network_id": common["id"], "fixed_ips": [{"ip_address": "10.3.0.99"}], "binding:host_id": host.name,
                                                    "project_id": other.project["id"]}}, 201)["port"]
    host.status(tunnel_address="192.0.2.103", underlay_mtu=1500, ports={theirs["id"]: "ACTIVE"})
    assert tenant.get(f"pools/{pool['id']}/members/{member['id']}")["member"]["operating_status"] == "ERROR"
    admin("DELETE", f"/v2.0/ports/{theirs['id']}", status=204)
    tenant.delete(f"pools/{pool['id']}/members/{member['id']}")
    admin("PUT", f"/v2.0/networks/{common['id']}", {"network": {"shared": False}}, 200)
    tenant.delete(f"loadbalancers/{balancer['id']}?cascade=true")
    admin("DELETE", f"/v2.0/networks/{common['id']}", status=204)


def test_a_network_is_closed_while_members_come(start):
    """Commits take their time in this store, so that all are planned before one is written: no member is there when the network is closed, or it stays open."""
    server = start()
    admin = server.client()
    tenant = Tenant(server, admin, "guest")
    common = admin("POST", "/v2.0/networks", {"network": {"shared": True}}, 201)["network"]
    subnet = admin("POST", "/v2.0/subnets", {"subnet": {"network_id": common["id"], "cidr": "10.3.0.0/24", "ip_version": 4}}, 201)["subnet"]
    own = tenant.call.network("own")
    tenant.call.subnet(own, "10.0.0.0/24")
    pool = tenant.pool(loadbalancer_id=tenant.balancer(vip_network_id=own["id"])["id"])
    path = f"{LB}pools/{pool['id']}/members"
    clients = [(admin.fresh(), "PUT", f"/v2.0/networks/{common['id']}", {"network": {"shared": False}})] + [
        (tenant.call.fresh(), "POST", path, {"member": {"address": f"10.3.0.{90 + k}", "protocol_port": 80, "subnet_id": subnet["id"]}}) for k in range(3)]
    for i in range(12):
        answers, barrier = [None] * len(clients), threading.Barrier(len(clients))

        def run(index, client, *call):
            barrier.wait(30)
            answers[index] = client(*call).status_code

        threads = [threading.Thread(target=run, args=(index, *clients[index])) for index in range(len(clients))]
        for thread in threads[i % 4:] + threads[:i % 4]:
            thread.start()
        for thread in threads:
            thread.join(60)
        closed, *made = answers
        assert set(made) <= {201, 400} and closed == (409 if 201 in made else 200), answers
        tenant.put(f"pools/{pool['id']}/members", {"members": []}, 202)
        if closed == 200:
            admin("PUT", f"/v2.0/networks/{common['id']}", {"network": {"shared": True}}, 200)


def test_quotas(tenant, other, admin):
    project = other.project["id"]
    assert other.get("quotas/defaults")["quota"]["load_balancer"] == 100
    admin("PUT", LB + f"quotas/{project}", {"quota": {"load_balancer": 1, "member": 0, "healthmonitor": 5}}, 200)
    quota = other.get(f"quotas/{project}")["quota"]
    assert (quota["load_balancer"], quota["loadbalancer"], quota["member"], quota["health_monitor"], quota["listener"]) == (1, 1, 0, 5, 1000)
    # Neutron's and these do not touch each other.
    admin("PUT", f"/v2.0/quotas/{project}", {"quota": {"network": 7}}, 200)
    admin("DELETE", f"/v2.0/quotas/{project}", status=204)
    assert other.get(f"quotas/{project}")["quota"]["load_balancer"] == 1
    subnet = other.call.subnet(other.call.network(), "10.8.0.0/24")
    balancer = other.balancer(vip_subnet_id=subnet["id"])
    other.refused("POST", "loadbalancers", 403, "Quota has been met for resources: Load Balancer", body={"loadbalancer": {"vip_subnet_id": subnet["id"]}})
    pool = other.pool(loadbalancer_id=balancer["id"])
    other.refused("POST", f"pools/{pool['id']}/members", 403, "Quota has been met for resources: Member",
                  body={"member": {"address": "10.8.0.9", "protocol_port": 1}})
    tenant.refused("GET", f"quotas/{project}", 403)
    other.refused("PUT", f"quotas/{project}", 403, body={"quota": {"member": 9}})
    assert admin("PUT", LB + f"quotas/{project}", {"quota": {"member": None}}, 200)["quota"]["member"] == 10000
    assert [quota["project_id"] for quota in admin("GET", LB + "quotas", status=200)["quotas"]] == [project]
    admin("DELETE", LB + f"quotas/{project}", status=204)
    assert other.get(f"quotas/{project}")["quota"]["load_balancer"] == 100
    other.delete(f"loadbalancers/{balancer['id']}?cascade=true")


def test_rows_of_pools_are_divided_among_projects(tenant, other, admin):
    """Every host has one table of all projects' rows: 251 of a small pool, 4,093 of one with more than 25 members or unlike weights."""
    project, name = other.project["id"], "['balance_rows']. The project's pools would have"
    quota = f"/v2.0/quotas/{project}"
    assert other.call("GET", quota, status=200)["quota"]["balance_rows"] == 400000
    admin("PUT", quota, {"quota": {"balance_rows": 4093 + 2 * 251 - 1}}, 200)
    subnet = other.call.subnet(other.call.network(), "10.9.0.0/24")
    balancer = other.balancer(vip_subnet_id=subnet["id"])
    small, large = other.pool(loadbalancer_id=balancer["id"]), None
    members = [{"address": f"10.9.0.{10 + i}", "protocol_port": 80} for i in range(26)]
    large = other.pool(loadbalancer_id=balancer["id"], members=members)
    assert other.call("GET", quota + "/details", status=200)["quota"]["balance_rows"] == {"limit": 4594, "used": 4344, "reserved": 0}
    other.refused("POST", "pools", 409, f"balance_rows: Quota exceeded for resources: {name} 4595 rows; 4594 is the limit.",
                  body={"pool": {"loadbalancer_id": balancer["id"], "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}})
    # It grows by members, one by one or all at once, and by weights; what does not grow may change.
    other.call("PUT", LB + f"pools/{small['id']}/members", {"members": members[:25]}, 202)
    other.refused("POST", f"pools/{small['id']}/members", 409, f"{name} 8186 rows; 4594 is the limit.", body={"member": members[25]})
    other.refused("PUT", f"pools/{small['id']}/members", 409, f"{name} 8186 rows", body={"members": members})
    first = other.get(f"pools/{small['id']}/members")["members"][0]
    other.refused("PUT", f"pools/{small['id']}/members/{first['id']}", 409, f"{name} 8186 rows", body={"member": {"weight": 2}})
    other.put(f"pools/{small['id']}/members/{first['id']}", {"member": {"weight": 0}})
    admin("PUT", quota, {"quota": {"balance_rows": 0}}, 200)
    one = other.get(f"pools/{large['id']}/members")["members"][0]
    other.put(f"pools/{large['id']}/members/{one['id']}", {"member": {"weight": 7}})
    other.delete(f"pools/{large['id']}")
    assert other.call("GET", quota + "/details", status=200)["quota"]["balance_rows"]["used"] == 251
    other.refused("POST", "loadbalancers", 409, f"{name} 502 rows; 0 is the limit.",
                  body={"loadbalancer": {"vip_subnet_id": subnet["id"], "pools": [{"name": "p", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}]}})
    # Of many at once no more than fit.
    admin("PUT", quota, {"quota": {"balance_rows": 251 * 4}}, 200)
    codes = []

    def create():
        codes.append(other.call("POST", LB + "pools", {"pool": {"loadbalancer_id": balancer["id"], "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}}).status_code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201] * 3 + [409] * 5
    admin("DELETE", quota, status=204)
    other.delete(f"loadbalancers/{balancer['id']}?cascade=true")


def test_what_clients_look_for_first(tenant, admin, server):
    versions = tenant.call("GET", "/load-balancer", status=200)["versions"]
    assert versions[0]["id"] == "v2.0" and [v["id"] for v in versions if v["status"] == "CURRENT"] == [versions[-1]["id"]]
    assert tenant.get("providers")["providers"][0]["name"] == "weft"
    assert admin("GET", LB + "providers/weft/flavor_capabilities", status=200) == {"flavor_capabilities": []}
    tenant.refused("GET", "providers/weft/flavor_capabilities", 403)
    for kind, name in (("flavors", "flavors"), ("availabilityzones", "availability_zones"), ("l7policies", "l7policies"), ("flavorprofiles", "flavorprofiles")):
        assert tenant.get(kind) == {name: []}
    tenant.refused("GET", f"flavors/{NOBODY}", 404, NOBODY)
    tenant.refused("POST", "l7policies", 501, "L7Policy", body={"l7policy": {}})
    assert tenant.call("GET", "/load-balancer/v2/lbaas/loadbalancers", status=200) == {"loadbalancers": []}
    tenant.refused("GET", "loadbalancers?nonsense=1", 400, "nonsense")
    tenant.refused("GET", "nothing", 404)
    catalog = server.login().json()["token"]["catalog"]
    assert [s["name"] for s in catalog if s["type"] == "load-balancer"] == ["octavia"]


def test_lists_filter_and_page(tenant):
    made = [tenant.balancer(name=name, vip_subnet_id=tenant.lan_subnet["id"]) for name in ("a", "b", "c")]
    assert [lb["id"] for lb in tenant.get("loadbalancers?name=b")["loadbalancers"]] == [made[1]["id"]]
    assert len(tenant.get("loadbalancers?provisioning_status=ACTIVE&operating_status=ONLINE")["loadbalancers"]) == 3
    assert tenant.get("loadbalancers?provisioning_status=ERROR")["loadbalancers"] == []
    page = tenant.get("loadbalancers?limit=2&sort_key=name")
    assert [lb["name"] for lb in page["loadbalancers"]] == ["a", "b"] and page["loadbalancers_links"][0]["rel"] == "next"
    assert tenant.get(f"loadbalancers?vip_address={made[2]['vip_address']}&fields=id")["loadbalancers"] == [{"id": made[2]["id"]}]


def test_what_hosts_report_decides(tenant, admin):
    hosts = [Agent(admin, name) for name in ("lb-h1", "lb-h2")]
    for host, address in zip(hosts, ("192.0.2.101", "192.0.2.102")):
        host.status(tunnel_address=address, underlay_mtu=1500, ports={})
    balancer = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])
    listener = tenant.listener(balancer)
    pool = tenant.pool(listener_id=listener["id"])
    ports = [admin.port(tenant.back, **{"binding:host_id": host.name, "fixed_ips": [{"ip_address": f"10.1.0.{70 + i}"}], "project_id": tenant.project["id"]})
             for i, host in enumerate(hosts)]
    members = [tenant.member(pool, f"10.1.0.{70 + i}") for i in range(2)]
    path = f"pools/{pool['id']}/members"
    stream = hosts[0].watch()
    told = {}

    def rows():
        """As the host knows them now."""
        while not stream.lines.empty():
            line = stream.lines.get()
            if line["type"] == "put":
                told[line["object"]["id"], line["kind"]] = line["object"]
            elif line["type"] == "delete":
                told.pop((line["id"], line["kind"]), None)
        return {member["id"]: member["state"] for (_, kind), thing in told.items() if kind == "balance_rows" for member in thing["members"]}

    def until(expected):
        wait_until(lambda: rows() == expected, f"the host is told of {expected}")

    until({members[0]["id"]: "SERVES", members[1]["id"]: "SERVES"})
    kinds = {kind for _, kind in told}
    assert {"loadbalancer", "listener", "pool", "member", "balance_rows"} <= kinds
    assert {tenant.lan["id"], tenant.back["id"]} <= {id for id, kind in told if kind == "network"}

    def status(kind, thing):
        return tenant.get(f"{kind}/{thing['id']}")[kind.rsplit("/", 1)[-1][:-1]]["operating_status"]

    assert status(path, members[0]) == "NO_MONITOR"
    monitor = tenant.monitor(pool)
    assert status(path, members[0]) == "ERROR"  # Its port is not plugged.
    for host, port in zip(hosts, ports):
        host.status(ports={port["id"]: "ACTIVE"})
    assert status(path, members[0]) == "OFFLINE"  # Nobody has said anything yet.
    for host, member in zip(hosts, members):
        host.status(members={member["id"]: "UP"})
    assert (status(path, members[0]), status("pools", pool), status("loadbalancers", balancer)) == ("ONLINE",) * 3
    until({members[0]["id"]: "SERVES", members[1]["id"]: "SERVES"})
    hosts[0].status(members={members[1]["id"]: "DOWN"})  # Not at this host: passed over.
    assert status(path, members[1]) == "ONLINE"
    hosts[1].status(members={members[1]["id"]: "DOWN"})
    assert (status(path, members[1]), status("pools", pool), status("listeners", listener), status("loadbalancers", balancer)) == (
        "ERROR", "DEGRADED", "DEGRADED", "DEGRADED")
    until({members[0]["id"]: "SERVES", members[1]["id"]: "DOWN"})
    hosts[0].status(members={members[0]["id"]: "DOWN"})
    assert (status("pools", pool), status("loadbalancers", balancer)) == ("ERROR", "ERROR")
    # Who was down stays so until somebody says otherwise, and the next host is told; of who was up nothing is known any more.
    hosts[1].status(members={}, all_members=True)
    assert status(path, members[1]) == "ERROR"
    ports[1] = admin("PUT", f"/v2.0/ports/{ports[1]['id']}", {"port": {"binding:host_id": hosts[0].name}}, 200)["port"]
    hosts[0].status(ports={port["id"]: "ACTIVE" for port in ports}, members={members[0]["id"]: "DOWN"}, all_members=True)
    assert status(path, members[1]) == "ERROR"
    until({members[0]["id"]: "DOWN", members[1]["id"]: "DOWN"})
    assert {member["id"]: member["failed"] for (_, kind), thing in told.items() if kind == "balance_rows" for member in thing["members"]} == {
        members[0]["id"]: True, members[1]["id"]: True}
    hosts[0].status(members={members[1]["id"]: "UP"})
    assert status(path, members[1]) == "ONLINE"
    hosts[0].status(members={}, all_members=True)
    assert (status(path, members[0]), status(path, members[1])) == ("ERROR", "OFFLINE")
    until({members[0]["id"]: "DOWN", members[1]["id"]: "SERVES"})
    tenant.put(f"{path}/{members[1]['id']}", {"member": {"weight": 0}})
    until({members[0]["id"]: "DOWN", members[1]["id"]: "DRAINS"})
    tenant.delete(f"healthmonitors/{monitor['id']}")
    assert (status(path, members[0]), status(path, members[1])) == ("NO_MONITOR", "DRAINING")
    tenant.monitor(pool)
    assert status(path, members[0]) == "OFFLINE"  # What the one before it found is forgotten.
    hosts[0].status(members={members[0]["id"]: "DOWN"})
    assert status(path, members[0]) == "ERROR"
    tenant.delete(f"pools/{pool['id']}")
    wait_until(lambda: rows() == {} and "balance_rows" not in [kind for _, kind in told], "the rows go with the pool")
    assert not [kind for _, kind in told if kind in ("pool", "member", "balance_rows")]

    # Statistics are summed; a counter that begins anew adds to what it was.
    admin("PUT", f"/v2.0/ports/{ports[1]['id']}", {"port": {"binding:host_id": hosts[1].name}}, 200)
    streams = stream, hosts[1].watch()

    def counters(**values):
        return {listener["id"]: {"active_connections": 0, "bytes_in": 0, "bytes_out": 0, "request_errors": 0, "total_connections": 0, **values}}

    hosts[0].status(listeners=counters(active_connections=2, bytes_in=100, total_connections=5))
    hosts[1].status(listeners=counters(active_connections=1, bytes_in=10, total_connections=1))
    assert tenant.get(f"listeners/{listener['id']}/stats")["stats"] == {
        "active_connections": 3, "bytes_in": 110, "bytes_out": 0, "request_errors": 0, "total_connections": 6}
    hosts[0].status(listeners=counters(active_connections=1, bytes_in=7, total_connections=2))
    hosts[1].status(listeners={})
    stats = tenant.get(f"loadbalancers/{balancer['id']}/stats")["stats"]
    assert (stats["active_connections"], stats["bytes_in"], stats["total_connections"]) == (1, 117, 8)
    for report in ({"members": {members[0]["id"]: "well"}}, {"members": []}, {"listeners": {"x": {}}}, {"listeners": {listener["id"]: {"bytes_in": -1}}}):
        hosts[0].status(status=400, **report)
    stranger = Agent(admin, "lb-h3")
    streams = *streams, stranger.watch()
    stranger.status(listeners=counters(active_connections=9, bytes_in=1000))
    assert tenant.get(f"loadbalancers/{balancer['id']}/stats")["stats"] == stats, "nobody who could call it is there"
    for stream in streams:
        stream.close()
    for port in ports:
        admin("DELETE", f"/v2.0/ports/{port['id']}", status=204)
    admin("DELETE", f"/weft/v1/hosts/{hosts[0].name}", status=204)
    stats = tenant.get(f"loadbalancers/{balancer['id']}/stats")["stats"]
    assert (stats["active_connections"], stats["bytes_in"], stats["total_connections"]) == (0, 117, 8)  # What it counted was.


def test_hosts_share_a_connection_limit(tenant, admin):
    """Each host that has the listener is told its own share; shares follow use, and what one may still use is not given to another."""
    hosts = [Agent(admin, name) for name in ("limit-h1", "limit-h2")]
    ports = [admin.port(tenant.lan, **{"binding:host_id": host.name, "project_id": tenant.project["id"]}) for host in hosts]
    listener = tenant.listener(tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"]), connection_limit=10)
    stranger = Agent(admin, "limit-h3")
    streams = [host.watch() for host in [*hosts, stranger]]
    stranger.status(listeners={listener["id"]: {"active_connections": 10, "request_errors": 1}})  # Nobody who could call it is there.
    told, revisions, active, refused = [{}, {}], [0, 0], [0, 0], [0, 0]

    def hear(i):
        while not streams[i].lines.empty():
            line = streams[i].lines.get()
            if line["type"] == "put" and line["kind"] == "listener_share":
                told[i][line["object"]["id"]] = line["object"]
            elif line["type"] == "delete":
                told[i].pop(line["id"], None)
            revisions[i] = line["revision"] if line["type"] == "commit" else revisions[i]
        assert all(share["host"] == hosts[i].name and share["listener_id"] == listener["id"] for share in told[i].values())
        return sum(share["share"] for share in told[i].values())

    def report(i):
        share = hear(i)  # And applies it.
        if revisions[i]:
            hosts[i].status(applied_revision=revisions[i], listeners={listener["id"]: {"active_connections": active[i], "request_errors": refused[i]}})
        return share

    wait_until(lambda: report(0) == 10, "the only host has all")
    active[0] = 4

    def call(n):
        """So many would be connected to the second one."""
        active[1] = min(n, hear(1))
        refused[1] += n > active[1]
        shares = report(0), report(1)
        assert sum(shares) <= 10, shares
        return shares

    wait_until(lambda: call(0)[1] > 0, "the other one gets of what the first one does not use")
    wait_until(lambda: call(7) == (4, 6), "who uses all gets all that is left")
    before = hear(1)
    active[0] = 0  # It says nothing more: what it has it keeps.
    for _ in range(3):
        refused[1] += 1
        report(1)
    assert hear(1) == before
    tenant.put(f"listeners/{listener['id']}", {"listener": {"connection_limit": 3}})
    active[:] = [0, 3]
    wait_until(lambda: (report(0), report(1)) and hear(0) + hear(1) <= 3, "no more than the new limit")
    tenant.delete(f"listeners/{listener['id']}")
    wait_until(lambda: (hear(0), hear(1)) and not told[0] and not told[1], "shares go with the listener")
    for stream in streams:
        stream.close()
    for port in ports:
        admin("DELETE", f"/v2.0/ports/{port['id']}", status=204)


def test_many_at_once_lose_nothing(tenant):
    pool = tenant.pool(loadbalancer_id=tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])["id"])
    path = LB + f"pools/{pool['id']}/members"
    made, failures = [], []

    def work(first):
        call = tenant.call.fresh()
        for i in range(first, first + 20):
            answer = call("POST", path, {"member": {"address": f"10.0.0.{100 + i}", "protocol_port": 80}})
            (made if answer.status_code == 201 else failures).append(answer.text)
        answer = call("POST", path, {"member": {"address": "10.0.0.99", "protocol_port": 80}})  # All the same one.
        (made if answer.status_code == 201 else failures).append(answer.text)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 81 and len(failures) == 3 and all("already using ip 10.0.0.99" in text for text in failures), failures
    assert len(tenant.get(f"pools/{pool['id']}/members")["members"]) == 81


def test_a_pool_that_is_deleted_meanwhile_keeps_no_members(tenant):
    balancer = tenant.balancer(vip_subnet_id=tenant.lan_subnet["id"])
    for _ in range(5):
        pool = tenant.pool(loadbalancer_id=balancer["id"])
        call, other_call = tenant.call.fresh(), tenant.call.fresh()
        answers = []

        def add():
            for i in range(10):
                answers.append(call("POST", LB + f"pools/{pool['id']}/members", {"member": {"address": f"10.0.0.{200 + i}", "protocol_port": 80}}).status_code)

        thread = threading.Thread(target=add)
        thread.start()
        assert other_call("DELETE", LB + f"pools/{pool['id']}").status_code == 204
        thread.join()
        assert set(answers) <= {201, 404}
    tenant.delete(f"loadbalancers/{balancer['id']}")  # Nothing is left in it.
    assert tenant.get("pools")["pools"] == []
    wait_until(lambda: tenant.get("loadbalancers")["loadbalancers"] == [], "the load balancer is gone")
