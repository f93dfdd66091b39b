"""Firewall-as-a-service v2 over HTTP: groups, policies, rules, what they refuse, and what a host is told of them.

    this test --- HTTP on 127.0.0.1 ---> weft-api --store memory

The projects and clients are those of test_networking.py."""

import threading

import pytest

from conftest import Agent, Client
from projects import NOBODY, admin, alice, olga, rita, server  # noqa: F401: fixtures

FW = "/fwaas/firewall_"


@pytest.fixture(autouse=True)
def clean(request):
    yield
    api = request.getfixturevalue("admin")
    for group in api.get(FW + "groups")["firewall_groups"]:
        api.put(FW + f"groups/{group['id']}", {"firewall_group": {"ports": []}})
        api.delete(FW + f"groups/{group['id']}")
    for kind, single in (("policies", "policy"), ("rules", "rule")):
        for thing in api.get(FW + kind)[f"firewall_{kind}"]:
            if not thing["name"].startswith("default "):  # Those that lists have just made again.
                api.delete(FW + f"{kind}/{thing['id']}")
    for router in api.get("/routers")["routers"]:
        for port in api.get(f"/ports?device_id={router['id']}&device_owner=network:router_interface")["ports"]:
            api.put(f"/routers/{router['id']}/remove_router_interface", {"port_id": port["id"]})
        api.delete(f"/routers/{router['id']}")
    for kind in ("ports", "subnets", "networks"):
        for thing in api.get(f"/{kind}?fields=id")[kind]:
            api.delete(f"/{kind}/{thing['id']}")
    for quota in api.get("/quotas")["quotas"]:
        api.delete(f"/quotas/{quota['project_id']}")


def rule(client, status=201, **attributes):
    return client.post(FW + "rules", {"firewall_rule": attributes}, status).get("firewall_rule")


def policy(client, *rules, status=201, **attributes):
    return client.post(FW + "policies", {"firewall_policy": {"firewall_rules": [r["id"] for r in rules], **attributes}},
                       status).get("firewall_policy")


def group(client, status=201, **attributes):
    return client.post(FW + "groups", {"firewall_group": attributes}, status).get("firewall_group")


def refused(client, method, path, status, type_, *texts, body=None):
    return client.refused(method, FW + path, status, type_, *texts, body=body)


def interface(client, third=1):
    """A port of a router of the project."""
    network = client.post("/networks", {"network": {}})["network"]
    subnet = client.post("/subnets", {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": f"10.9.{third}.0/24"}})["subnet"]
    router = client.post("/routers", {"router": {}})["router"]
    port = client.put(f"/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})["port_id"]
    return router, subnet, port


def test_rules_as_neutron_shows_them(alice):
    made = rule(alice, name="web", protocol="TCP", destination_port="80:90", source_port=1024, source_ip_address="10.0.0.0/8",
                destination_ip_address="192.0.2.1", action="ALLOW", description="d")
    assert {key: made[key] for key in ("protocol", "destination_port", "source_port", "source_ip_address", "destination_ip_address", "action",
                                       "ip_version", "enabled", "shared", "position", "firewall_policy_id", "tenant_id")} == {
        "protocol": "tcp", "destination_port": "80:90", "source_port": "1024", "source_ip_address": "10.0.0.0/8",
        "destination_ip_address": "192.0.2.1", "action": "allow", "ip_version": 4, "enabled": True, "shared": False, "position": None,
        "firewall_policy_id": None, "tenant_id": alice.project}
    plain = rule(alice)
    assert (plain["action"], plain["protocol"], plain["source_port"], plain["source_ip_address"]) == ("deny", None, None, None)
    changed = alice.put(FW + f"rules/{made['id']}", {"firewall_rule": {"destination_port": "443:443", "source_port": None,
                                                                       "action": "reject", "enabled": False}})["firewall_rule"]
    assert (changed["destination_port"], changed["source_port"], changed["action"], changed["enabled"]) == ("443", None, "reject", False)
    assert [r["id"] for r in alice.get(FW + "rules?protocol=tcp")["firewall_rules"]] == [made["id"]]
    alice.delete(FW + f"rules/{made['id']}")
    refused(alice, "GET", f"rules/{made['id']}", 404, "FirewallRuleNotFound", made["id"])


@pytest.mark.parametrize("attributes, type_, text", [
    ({"protocol": "icmp", "destination_port": "80"}, "FirewallRuleInvalidICMPParameter", "not allowed"),
    ({"source_port": "80"}, "FirewallRuleWithPortWithoutProtocolInvalid", "requires a protocol"),
    ({"protocol": "tcp", "source_port": "90:80"}, "FirewallRuleInvalidPortValue", "90:80"),
    ({"protocol": "tcp", "source_port": "0"}, "HTTPBadRequest", "source_port"),
    ({"protocol": "tcp", "source_port": "80:90:91"}, "HTTPBadRequest", "source_port"),
    ({"protocol": "sctp"}, "HTTPBadRequest", "protocol"),
    ({"action": "drop"}, "HTTPBadRequest", "action"),
    ({"ip_version": 5}, "HTTPBadRequest", "ip_version"),
    ({"ip_version": 6, "source_ip_address": "10.0.0.1"}, "FirewallIpAddressConflict", "do not agree"),
    ({"destination_ip_address": "2001:db8::/32"}, "FirewallIpAddressConflict", "do not agree"),
    ({"source_ip_address": "10.0.0"}, "HTTPBadRequest", "source_ip_address"),
    ({"position": 1}, "HTTPBadRequest", "position"),
])
def test_rules_that_make_no_sense(alice, attributes, type_, text):
    refused(alice, "POST", "rules", 400, type_, text, body={"firewall_rule": attributes})


def test_a_policy_orders_its_rules(alice):
    a, b, c, d = (rule(alice, name=name) for name in "abcd")
    made = policy(alice, b, c, name="p", audited=True)
    assert (made["firewall_rules"], made["audited"], made["shared"]) == ([b["id"], c["id"]], True, False)

    def insert(one, **where):
        answer = alice.put(FW + f"policies/{made['id']}/insert_rule", {"firewall_rule_id": one["id"], **where})
        return ["bcad"["bcad".index(r["name"])] for i in answer["firewall_rules"] for r in (a, b, c, d) if r["id"] == i], answer

    order, answer = insert(a, insert_before="", insert_after="")
    assert order == ["a", "b", "c"] and not answer["audited"] and answer["id"] == made["id"], "at the top, and nobody has looked at it"
    assert insert(d, insert_after=b["id"])[0] == ["a", "b", "d", "c"]
    refused(alice, "PUT", f"policies/{made['id']}/insert_rule", 409, "FirewallRuleAlreadyAssociated", d["id"], body={"firewall_rule_id": d["id"]})
    alice.put(FW + f"policies/{made['id']}/remove_rule", {"firewall_rule_id": d["id"]})
    assert insert(d, insert_before=c["id"], insert_after=a["id"])[0] == ["a", "b", "d", "c"], "insert_before counts"
    assert alice.get(FW + f"rules/{d['id']}")["firewall_rule"]["firewall_policy_id"] == [made["id"]]
    answer = alice.put(FW + f"policies/{made['id']}/remove_rule", {"firewall_rule_id": a["id"]})
    assert answer["firewall_rules"] == [b["id"], d["id"], c["id"]]
    refused(alice, "PUT", f"policies/{made['id']}/remove_rule", 400, "FirewallRuleNotAssociatedWithPolicy", a["id"],
            body={"firewall_rule_id": a["id"]})
    refused(alice, "PUT", f"policies/{made['id']}/insert_rule", 400, "FirewallRuleNotAssociatedWithPolicy", a["id"],
            body={"firewall_rule_id": a["id"], "insert_before": a["id"]})
    refused(alice, "PUT", f"policies/{made['id']}/insert_rule", 400, "FirewallRuleInfoMissing", body={})
    refused(alice, "PUT", f"policies/{made['id']}/insert_rule", 404, "FirewallRuleNotFound", NOBODY, body={"firewall_rule_id": NOBODY})
    refused(alice, "DELETE", f"rules/{b['id']}", 409, "FirewallRuleInUse", b["id"])
    refused(alice, "POST", "policies", 400, "HTTPBadRequest", "firewall_rules",
            body={"firewall_policy": {"firewall_rules": [a["id"], a["id"]]}})
    alice.put(FW + f"policies/{made['id']}", {"firewall_policy": {"audited": True}})
    alice.put(FW + f"rules/{b['id']}", {"firewall_rule": {"action": "allow"}})
    assert not alice.get(FW + f"policies/{made['id']}")["firewall_policy"]["audited"], "a rule changed"
    assert [p["id"] for p in alice.get(FW + f"policies?firewall_rules={b['id']}")["firewall_policies"]] == [made["id"]]
    alice.put(FW + f"policies/{made['id']}", {"firewall_policy": {"firewall_rules": []}})
    alice.delete(FW + f"rules/{b['id']}")
    alice.delete(FW + f"policies/{made['id']}")


def test_a_group_holds_at_ports_of_routers(alice):
    router, subnet, port = interface(alice)
    used = policy(alice, rule(alice, action="allow"))
    made = group(alice, name="g", ingress_firewall_policy_id=used["id"])
    assert (made["status"], made["ports"], made["egress_firewall_policy_id"], made["admin_state_up"]) == ("INACTIVE", [], None, True)
    url = FW + f"groups/{made['id']}"
    assert alice.put(url, {"firewall_group": {"ports": [port]}})["firewall_group"]["status"] == "ACTIVE"
    assert alice.put(url, {"firewall_group": {"admin_state_up": False}})["firewall_group"]["status"] == "DOWN"
    assert [g["id"] for g in alice.get(FW + "groups?status=DOWN")["firewall_groups"]] == [made["id"]]
    assert [g["id"] for g in alice.get(FW + f"groups?ports={port}")["firewall_groups"]] == [made["id"]]
    alice.put(url, {"firewall_group": {"admin_state_up": True, "egress_firewall_policy_id": used["id"]}})
    refused(alice, "POST", "groups", 409, "FirewallGroupPortInUse", port, body={"firewall_group": {"ports": [port]}})
    refused(alice, "DELETE", f"groups/{made['id']}", 409, "FirewallGroupInUse", made["id"])
    refused(alice, "DELETE", f"policies/{used['id']}", 409, "FirewallPolicyInUse", used["id"])
    workload = alice.post("/ports", {"port": {"network_id": subnet["network_id"], "device_owner": "compute:nova"}})["port"]["id"]
    loose = alice.post("/ports", {"port": {"network_id": subnet["network_id"]}})["port"]["id"]
    refused(alice, "POST", "groups", 409, "FirewallGroupPortNotSupported", workload, body={"firewall_group": {"ports": [workload]}})
    refused(alice, "POST", "groups", 409, "FirewallGroupPortInvalid", loose, body={"firewall_group": {"ports": [loose]}})
    refused(alice, "POST", "groups", 404, "PortNotFound", NOBODY, body={"firewall_group": {"ports": [NOBODY]}})
    refused(alice, "POST", "groups", 404, "FirewallPolicyNotFound", NOBODY, body={"firewall_group": {"egress_firewall_policy_id": NOBODY}})
    alice.put(f"/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
    left = alice.get(url)["firewall_group"]
    assert (left["ports"], left["status"]) == ([], "INACTIVE"), "the interface is gone"
    port = alice.put(f"/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})["port_id"]
    alice.put(url, {"firewall_group": {"ports": [port]}})
    alice.put(url, {"firewall_group": {"ports": [], "ingress_firewall_policy_id": None, "egress_firewall_policy_id": None}})
    alice.delete(FW + f"policies/{used['id']}")
    alice.delete(url)


def test_a_port_is_in_one_group_whoever_is_quicker(alice):
    _, _, port = interface(alice)
    groups = [group(alice, name=f"g{i}") for i in range(4)]
    results = []

    def take(one):
        client = Client(alice.server.url, dict(alice.session.headers))
        results.append(client("PUT", f"/v2.0/fwaas/firewall_groups/{one['id']}", {"firewall_group": {"ports": [port]}}).status_code)

    threads = [threading.Thread(target=take, args=(one,)) for one in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200, 409, 409, 409]


def test_each_project_has_a_default_group(admin, alice, olga):
    groups = alice.get(FW + "groups?name=default")["firewall_groups"]
    assert len(groups) == 1 and groups == alice.get(FW + "groups?name=default")["firewall_groups"]
    default = groups[0]
    assert (default["status"], default["ports"], default["admin_state_up"], default["project_id"]) == ("INACTIVE", [], True, alice.project)
    for direction, action in (("ingress", "deny"), ("egress", "allow")):
        its = alice.get(FW + f"policies/{default[direction + '_firewall_policy_id']}")["firewall_policy"]
        rules = [alice.get(FW + f"rules/{i}")["firewall_rule"] for i in its["firewall_rules"]]
        assert its["name"] == f"default {direction}"
        assert [(r["ip_version"], r["action"], r["enabled"], r["source_ip_address"]) for r in rules] == [
            (4, action, True, None), (6, action, True, None)]
        refused(alice, "PUT", f"policies/{its['id']}", 409, "FirewallDefaultObjectUpdateRestricted", body={"firewall_policy": {"name": "x"}})
    refused(alice, "PUT", f"groups/{default['id']}", 409, "FirewallDefaultObjectUpdateRestricted",
            body={"firewall_group": {"admin_state_up": False}})
    refused(admin, "PUT", f"groups/{default['id']}", 409, "FirewallDefaultObjectUpdateRestricted", body={"firewall_group": {"name": "x"}})
    refused(alice, "POST", "groups", 409, "FirewallDefaultParameterExists", "default", body={"firewall_group": {"name": "default"}})
    refused(alice, "POST", "policies", 409, "FirewallDefaultParameterExists", body={"firewall_policy": {"name": "default egress"}})
    other = group(alice, name="other")
    refused(alice, "PUT", f"groups/{other['id']}", 409, "FirewallDefaultParameterExists", body={"firewall_group": {"name": "default"}})
    _, _, port = interface(alice)
    assert alice.put(FW + f"groups/{default['id']}", {"firewall_group": {"ports": [port]}})["firewall_group"]["status"] == "ACTIVE"
    alice.put(FW + f"groups/{default['id']}", {"firewall_group": {"ports": []}})
    refused(alice, "DELETE", f"groups/{default['id']}", 409, "FirewallGroupCannotRemoveDefault")
    assert len(olga.get(FW + "rules")["firewall_rules"]) == 4, "the first list of any kind makes it"
    admin.delete(FW + f"groups/{default['id']}")
    refused(admin, "GET", f"policies/{default['ingress_firewall_policy_id']}", 404, "FirewallPolicyNotFound")
    assert not [r for r in admin.get(FW + f"rules?project_id={alice.project}&name=default ingress ipv4")["firewall_rules"]][1:], "made anew, once"


def test_a_default_group_takes_only_its_projects_rules_along(admin, alice):
    default = alice.get(FW + "groups?name=default")["firewall_groups"][0]
    shared, own = rule(admin, shared=True, name="for all"), rule(alice, name="own")
    for one in (shared, own):
        alice.put(FW + f"policies/{default['ingress_firewall_policy_id']}/insert_rule", {"firewall_rule_id": one["id"]})
    admin.delete(FW + f"groups/{default['id']}")
    assert admin.get(FW + f"rules/{shared['id']}")["firewall_rule"]["firewall_policy_id"] is None
    refused(admin, "GET", f"rules/{own['id']}", 404, "FirewallRuleNotFound")
    admin.delete(FW + f"rules/{shared['id']}")


def test_quotas(admin, alice):
    assert {kind: alice.get("/quotas/" + alice.project)["quota"][f"firewall_{kind}"] for kind in ("group", "policy", "rule")} == {
        "group": 10, "policy": 10, "rule": 100}
    alice.get(FW + "groups")
    admin.put("/quotas/" + alice.project, {"quota": {"firewall_group": 2, "firewall_rule": 5}})
    group(alice)
    refused(alice, "POST", "groups", 409, "OverQuota", "firewall_group", body={"firewall_group": {}})
    first = rule(alice)
    refused(alice, "POST", "rules", 409, "OverQuota", "firewall_rule", body={"firewall_rule": {}})
    alice.delete(FW + f"rules/{first['id']}")
    rule(alice)


def test_sharing_and_other_projects(admin, alice, olga, rita):
    own, shared = rule(alice), rule(admin, shared=True, name="for all")
    refused(alice, "POST", "rules", 403, "PolicyNotAuthorized", "shared", body={"firewall_rule": {"shared": True}})
    refused(olga, "GET", f"rules/{own['id']}", 404, "FirewallRuleNotFound")
    assert shared["id"] in [r["id"] for r in olga.get(FW + "rules")["firewall_rules"]]
    assert olga.get(FW + f"rules/{shared['id']}")["firewall_rule"]["shared"]
    refused(olga, "PUT", f"rules/{shared['id']}", 403, "PolicyNotAuthorized", body={"firewall_rule": {"name": "mine"}})
    refused(olga, "DELETE", f"rules/{shared['id']}", 403, "PolicyNotAuthorized")
    refused(rita, "POST", "rules", 403, "HTTPForbidden", body={"firewall_rule": {}})
    private = rule(admin)
    mixed = policy(olga, shared)
    refused(olga, "POST", "policies", 404, "FirewallRuleNotFound", own["id"], body={"firewall_policy": {"firewall_rules": [own["id"]]}})
    refused(admin, "POST", "policies", 409, "FirewallRuleConflict", own["id"], body={"firewall_policy": {"firewall_rules": [own["id"]]}})
    refused(admin, "POST", "policies", 404, "FirewallRuleSharingConflict", private["id"],
            body={"firewall_policy": {"shared": True, "firewall_rules": [private["id"]]}})
    of_admin = policy(admin, private)
    refused(admin, "PUT", f"policies/{of_admin['id']}", 409, "FirewallPolicySharingConflict", private["id"],
            body={"firewall_policy": {"shared": True}})
    refused(admin, "PUT", f"rules/{shared['id']}", 409, "FirewallRuleInUse", body={"firewall_rule": {"shared": False}})
    common = policy(admin, shared, shared=True)
    used = group(olga, ingress_firewall_policy_id=common["id"])
    refused(admin, "PUT", f"policies/{common['id']}", 409, "FirewallPolicyInUse", body={"firewall_policy": {"shared": False}})
    refused(olga, "PUT", f"policies/{common['id']}/insert_rule", 403, "PolicyNotAuthorized", body={"firewall_rule_id": shared["id"]})
    refused(admin, "POST", "groups", 404, "FirewallPolicyConflict", mixed["id"],
            body={"firewall_group": {"ingress_firewall_policy_id": mixed["id"]}})
    _, _, port = interface(alice)
    refused(olga, "PUT", f"groups/{used['id']}", 404, "PortNotFound", port, body={"firewall_group": {"ports": [port]}})
    refused(admin, "PUT", f"groups/{used['id']}", 409, "FirewallGroupPortInvalidProject", port, body={"firewall_group": {"ports": [port]}})
    assert group(admin, shared=True)["id"] in [g["id"] for g in olga.get(FW + "groups")["firewall_groups"]]


def test_a_host_is_told_of_its_routers_firewalls_only(admin, alice):
    router, subnet, port = interface(alice)
    one = rule(alice, action="allow")
    used = policy(alice, one)
    unused = group(alice, name="unused", ingress_firewall_policy_id=used["id"])
    made = group(alice, name="used", ingress_firewall_policy_id=used["id"], ports=[port])
    api = Client(admin.server.url, dict(admin.session.headers))
    agent = Agent(api, "fw-host")
    stream = agent.watch()
    puts = {}
    while True:
        more, _, lines = stream.commit()
        puts.update(more)
        if any(line["type"] == "synced" for line in lines) or made["id"] not in puts:
            break
    assert made["id"] not in puts, "no port of the router's networks is here"
    workload = admin.post("/ports", {"port": {"network_id": subnet["network_id"], "binding:host_id": "fw-host"}})["port"]
    puts, _, _ = stream.commit()
    assert {made["id"], used["id"], one["id"]} <= set(puts) and unused["id"] not in puts
    assert puts[made["id"]]["object"]["ports"] == [port]
    alice.put(FW + f"groups/{made['id']}", {"firewall_group": {"ports": []}})
    _, gone, _ = stream.commit()
    assert gone == {made["id"], used["id"], one["id"]}
    alice.put(FW + f"groups/{made['id']}", {"firewall_group": {"ports": [port]}})
    puts, _, _ = stream.commit()
    assert set(puts) == {made["id"], used["id"], one["id"]}
    admin.delete(f"/ports/{workload['id']}")
    _, gone, _ = stream.commit()
    assert {made["id"], used["id"], one["id"]} <= gone
    stream.close()
    api("DELETE", "/weft/v1/hosts/fw-host", status=204)
