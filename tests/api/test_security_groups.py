"""Security groups, their rules and templates, address groups, and the groups of ports, over HTTP.

    this test --- HTTP on 127.0.0.1 ---> weft-api --store memory (and SQLite where it is killed, and where two run)

The projects and clients are those of projects.py."""

import itertools
import pathlib
import threading

import pytest

from projects import NOBODY, Server, admin, alice, olga, rita, server  # noqa: F401: fixtures


@pytest.fixture(autouse=True)
def clean(request):
    yield
    if "admin" not in request.fixturenames:
        return
    api = request.getfixturevalue("admin")
    for kind in ("ports", "subnets", "networks"):
        for thing in api.get(f"/{kind}?fields=id")[kind]:
            api.delete(f"/{kind}/{thing['id']}")
    for rule in api.get("/security-group-rules")["security_group_rules"]:
        api.delete(f"/security-group-rules/{rule['id']}")
    for template in api.get("/default-security-group-rules")["default_security_group_rules"]:
        if template["description"] == "of a test":
            api.delete(f"/default-security-group-rules/{template['id']}")
    for group in api.get("/security-groups")["security_groups"]:
        api.delete(f"/security-groups/{group['id']}")
    for group in api.get("/address-groups")["address_groups"]:
        api.delete(f"/address-groups/{group['id']}")
    for setting in api.get("/security-groups-default-statefulness")["security_groups_default_statefulness"]:
        api.delete(f"/security-groups-default-statefulness/{setting['id']}")
    for quota in api.get("/quotas")["quotas"]:
        api.delete(f"/quotas/{quota['project_id']}")


def group(client, status=201, **attributes):
    return client.post("/security-groups", {"security_group": {"name": "web", **attributes}}, status).get("security_group")


def rule(client, in_group, status=201, **attributes):
    body = {"security_group_id": in_group["id"], "direction": "ingress", **attributes}
    return client.post("/security-group-rules", {"security_group_rule": body}, status).get("security_group_rule")


def rule_refused(client, in_group, status, type_, *texts, **attributes):
    body = {"security_group_id": in_group["id"], "direction": "ingress", **attributes}
    return client.refused("POST", "/security-group-rules", status, type_, *texts, body={"security_group_rule": body})


def default_group(client):
    found = [g for g in client.get("/security-groups?name=default")["security_groups"] if g["project_id"] == client.project]
    assert len(found) == 1
    return found[0]


def address_group(client, *addresses, **attributes):
    body = {"name": "office", "addresses": list(addresses), **attributes}
    return client.post("/address-groups", {"address_group": body})["address_group"]


def brief(rules):
    return sorted((r["direction"], r["ethertype"], r["protocol"], r["port_range_min"], r["port_range_max"], r["remote_ip_prefix"],
                   r["remote_group_id"]) for r in rules)


# --- Groups. ---

def test_a_list_shows_the_default_group_and_its_rules(alice):
    made = default_group(alice)
    assert made["name"] == "default" and made["stateful"] is True and made["description"] == "Default security group"
    assert brief(made["security_group_rules"]) == brief(alice.get("/security-group-rules")["security_group_rules"]) == [
        ("egress", "IPv4", None, None, None, None, None), ("egress", "IPv6", None, None, None, None, None),
        ("ingress", "IPv4", None, None, None, None, made["id"]), ("ingress", "IPv6", None, None, None, None, made["id"])]
    assert all(r["belongs_to_default_sg"] is True for r in made["security_group_rules"])
    assert default_group(alice)["id"] == made["id"]


def test_a_list_of_rules_makes_the_default_group_too(alice):
    assert len(alice.get("/security-group-rules")["security_group_rules"]) == 4


def test_a_group_lives(alice, admin, olga):
    made = group(alice, description="of alice")
    assert made["project_id"] == made["tenant_id"] == alice.project and made["stateful"] is True and made["revision_number"] == 0
    assert brief(made["security_group_rules"]) == [("egress", "IPv4", None, None, None, None, None),
                                                   ("egress", "IPv6", None, None, None, None, None)]
    path = f"/security-groups/{made['id']}"
    changed = alice.put(path, {"security_group": {"name": "db", "description": "", "stateful": False}})["security_group"]
    assert (changed["name"], changed["description"], changed["stateful"], changed["revision_number"]) == ("db", "", False, 1)
    assert alice.get(path)["security_group"] == changed == admin.get(path)["security_group"]
    assert alice.get(path + "?fields=name&fields=security_group_rules")["security_group"].keys() == {"name", "security_group_rules"}
    assert [g["id"] for g in alice.get("/security-groups?stateful=false")["security_groups"]] == [made["id"]]
    assert made["id"] not in [g["id"] for g in olga.get("/security-groups")["security_groups"]]
    for method, body in (("GET", None), ("PUT", {"security_group": {"name": "x"}}), ("DELETE", None)):
        olga.refused(method, path, 404, "SecurityGroupNotFound", made["id"], body=body)
    alice.delete(path)
    alice.refused("GET", path, 404, "SecurityGroupNotFound", made["id"])
    assert {r["security_group_id"] for r in alice.get("/security-group-rules")["security_group_rules"]} == {default_group(alice)["id"]}


def test_several_groups_at_once(alice):
    made = alice.post("/security-groups", {"security_groups": [{"name": "a"}, {"name": "b"}]})["security_groups"]
    assert [g["name"] for g in made] == ["a", "b"], "and not the default group, which came along"
    assert {g["name"] for g in alice.get("/security-groups")["security_groups"]} == {"a", "b", "default"}


def test_readers_read(alice, rita):
    made = group(alice)
    assert rita.get(f"/security-groups/{made['id']}")["security_group"] == made
    rita.refused("POST", "/security-groups", 403, "HTTPForbidden", body={"security_group": {}})
    rita.refused("DELETE", f"/security-groups/{made['id']}", 403, "HTTPForbidden")


def test_the_default_group_stays(alice, admin):
    made = default_group(alice)
    path = f"/security-groups/{made['id']}"
    for name in ("default", "Default"):
        alice.refused("POST", "/security-groups", 409, "SecurityGroupDefaultAlreadyExists", "name", body={"security_group": {"name": name}})
    alice.refused("PUT", path, 409, "SecurityGroupCannotUpdateDefault", "name", body={"security_group": {"name": "mine"}})
    assert alice.put(path, {"security_group": {"description": "ours"}})["security_group"]["description"] == "ours"
    other = group(alice)
    alice.refused("PUT", f"/security-groups/{other['id']}", 409, "SecurityGroupDefaultAlreadyExists", body={"security_group": {"name": "default"}})
    alice.refused("DELETE", path, 409, "SecurityGroupCannotRemoveDefault")
    admin.delete(path)
    assert default_group(alice)["id"] != made["id"], "a new one is made when it is needed"


@pytest.mark.parametrize("body, type_, texts", [
    ({"security_group": {"name": 7}}, "HTTPBadRequest", ("security_group.name", "'7'")),
    ({"security_group": {"name": "x" * 256}}, "HTTPBadRequest", ("security_group.name", "256")),
    ({"security_group": {"stateful": "perhaps"}}, "HTTPBadRequest", ("security_group.stateful", "'perhaps'")),
    ({"security_group": {"security_group_rules": []}}, "HTTPBadRequest", ("security_group_rules", "read-only")),
    ({"security_group": {"colour": "red"}}, "HTTPBadRequest", ("colour",)),
    ({"security_group": {"is_default": True}}, "HTTPBadRequest", ("is_default", "Unrecognized")),
    ({"security_group": []}, "HTTPBadRequest", ("'[]'",)),
    ({"group": {}}, "HTTPBadRequest", ("security_group",)),
    ({"security_groups": [{"name": "fine"}, {"name": "default"}]}, "SecurityGroupDefaultAlreadyExists", ("security_groups[1].name",)),
])
def test_wrong_groups_are_refused(alice, body, type_, texts):
    default_group(alice)
    alice.refused("POST", "/security-groups", 409 if "Default" in type_ else 400, type_, *texts, body=body)
    assert [g["name"] for g in alice.get("/security-groups")["security_groups"]] == ["default"], "nothing half"


def test_a_group_that_is_used_stays(alice, admin):
    network, used, other = alice.network(), group(alice), group(alice, name="other")
    path = f"/security-groups/{used['id']}"
    port = alice.port(network, security_groups=[used["id"]])
    alice.refused("DELETE", path, 409, "SecurityGroupInUse", used["id"], port["id"])
    alice.refused("PUT", path, 409, "SecurityGroupInUse", used["id"], "stateful", body={"security_group": {"stateful": False}})
    assert alice.put(path, {"security_group": {"stateful": True, "name": "still"}})["security_group"]["name"] == "still"
    alice.put(f"/ports/{port['id']}", {"port": {"security_groups": []}})
    assert alice.put(path, {"security_group": {"stateful": False}})["security_group"]["stateful"] is False
    referring = rule(alice, other, remote_group_id=used["id"])
    rule(alice, used, remote_group_id=used["id"])
    alice.refused("DELETE", path, 409, "SecurityGroupInUse", referring["id"])
    alice.delete(f"/security-group-rules/{referring['id']}")
    alice.delete(path)


# --- Rules. ---

def test_a_rule_lives(alice, admin, olga):
    web = group(alice)
    made = rule(alice, web, protocol="TCP", port_range_min=80, port_range_max="443", ethertype="ipv4", remote_ip_prefix="192.0.2.77/24",
                description="the web")
    assert {k: made[k] for k in ("protocol", "port_range_min", "port_range_max", "ethertype", "remote_ip_prefix", "normalized_cidr",
                                 "remote_group_id", "remote_address_group_id", "description", "direction", "project_id")} == {
        "protocol": "tcp", "port_range_min": 80, "port_range_max": 443, "ethertype": "IPv4", "remote_ip_prefix": "192.0.2.77/24",
        "normalized_cidr": "192.0.2.0/24", "remote_group_id": None, "remote_address_group_id": None, "description": "the web",
        "direction": "ingress", "project_id": alice.project}
    assert "name" not in made and made["belongs_to_default_sg"] is False
    path = f"/security-group-rules/{made['id']}"
    assert alice.get(path)["security_group_rule"] == made
    assert made in alice.get(f"/security-groups/{web['id']}")["security_group"]["security_group_rules"]
    olga.refused("GET", path, 404, "SecurityGroupRuleNotFound", made["id"])
    olga.refused("DELETE", path, 404, "SecurityGroupRuleNotFound", made["id"])
    alice.call("PUT", "/v2.0" + path, 405, {"security_group_rule": {"description": "no"}})
    by_admin = admin.post("/security-group-rules", {"security_group_rule": {"security_group_id": web["id"], "direction": "egress",
                                                                           "protocol": "udp"}})["security_group_rule"]
    assert by_admin["project_id"] == alice.project and by_admin in alice.get("/security-group-rules")["security_group_rules"]
    alice.delete(path)
    alice.refused("GET", path, 404, "SecurityGroupRuleNotFound", made["id"])


def test_rules_are_found_by_what_they_say(alice):
    web = group(alice)
    made = rule(alice, web, protocol=17, ethertype="IPv6", remote_ip_prefix="2001:db8::1")
    assert (made["protocol"], made["remote_ip_prefix"], made["normalized_cidr"]) == ("17", "2001:db8::1/128", "2001:db8::1/128")
    for query in (f"security_group_id={web['id']}&protocol=17", "ethertype=IPv6&protocol=17", "remote_ip_prefix=2001:db8::1",
                  "normalized_cidr=2001:db8::1/128", "direction=ingress&belongs_to_default_sg=false"):
        assert [r["id"] for r in alice.get(f"/security-group-rules?{query}")["security_group_rules"]] == [made["id"]], query
    alice.refused("GET", "/security-group-rules?name=x", 400, "HTTPBadRequest", "name")


@pytest.mark.parametrize("given, shown", [
    ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
    ({"protocol": "icmpv6", "ethertype": "IPv6", "port_range_min": 128}, {"protocol": "ipv6-icmp", "port_range_min": 128, "port_range_max": None}),
    ({"protocol": "1", "ethertype": "IPv6"}, {"protocol": "58"}),
    ({"protocol": "icmp", "port_range_min": 0, "port_range_max": 0}, {"port_range_min": 0, "port_range_max": 0}),
    ({"protocol": "any"}, {"protocol": "any"}),
    ({"protocol": 0}, {"protocol": "0"}),
    ({"protocol": 255}, {"protocol": "255"}),
    ({"protocol": "sctp", "port_range_min": 1, "port_range_max": 65535}, {"port_range_max": 65535}),
    ({"protocol": None, "remote_ip_prefix": None, "remote_group_id": None}, {"protocol": None, "remote_ip_prefix": None}),
    ({"remote_ip_prefix": "10.0.0.0/8"}, {"normalized_cidr": "10.0.0.0/8"}),
])
def test_rules_in_all_forms(alice, given, shown):
    made = rule(alice, group(alice), **given)
    assert {name: made[name] for name in shown} == shown


TCP = {"protocol": "tcp"}


@pytest.mark.parametrize("given, status, type_, texts", [
    ({**TCP, "port_range_min": 80, "port_range_max": 79}, 400, "SecurityGroupInvalidPortRange", ("port_range_min must be <= port_range_max",)),
    ({**TCP, "port_range_min": 80}, 400, "SecurityGroupInvalidPortRange", ()),
    ({**TCP, "port_range_max": 80}, 400, "SecurityGroupInvalidPortRange", ()),
    ({**TCP, "port_range_min": -16, "port_range_max": 80}, 400, "SecurityGroupInvalidPortValue", ("port_range_min", "Invalid value for port -16")),
    ({**TCP, "port_range_min": 80, "port_range_max": 65536}, 400, "SecurityGroupInvalidPortValue", ("Invalid value for port 65536",)),
    ({**TCP, "port_range_min": "ssh"}, 400, "SecurityGroupInvalidPortValue", ("Invalid value for port ssh",)),
    ({**TCP, "port_range_min": 0, "port_range_max": 80}, 400, "SecurityGroupInvalidPortValue", ("Invalid value for port 0",)),
    ({"port_range_min": 80, "port_range_max": 80}, 400, "SecurityGroupProtocolRequiredWithPorts", ("protocol",)),
    ({"protocol": "any", "port_range_min": 80, "port_range_max": 80}, 400, "SecurityGroupProtocolRequiredWithPorts", ()),
    ({"protocol": "gre", "port_range_min": 80, "port_range_max": 80}, 400, "SecurityGroupInvalidProtocolForPort", ("protocol 47",)),
    ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 256}, 400, "SecurityGroupInvalidIcmpValue", ("ICMP code (port_range_max) 256",)),
    ({"protocol": "icmp", "port_range_min": 300, "port_range_max": 1}, 400, "SecurityGroupInvalidIcmpValue", ("ICMP type (port_range_min) 300",)),
    ({"protocol": 1, "port_range_max": 6}, 400, "SecurityGroupMissingIcmpType", ("ICMP code (port-range-max) 6",)),
    ({"protocol": "carrier-pigeon"}, 400, "SecurityGroupRuleInvalidProtocol", ("protocol", "carrier-pigeon", "udplite")),
    ({"protocol": 256}, 400, "SecurityGroupRuleInvalidProtocol", ("256",)),
    ({"protocol": -1}, 400, "SecurityGroupRuleInvalidProtocol", ("-1",)),
    ({"protocol": ["tcp"]}, 400, "HTTPBadRequest", ("protocol", "is not a string")),
    ({"protocol": "ipv6-icmp"}, 400, "SecurityGroupEthertypeConflictWithProtocol", ("IPv4", "ipv6-icmp")),
    ({"protocol": "58"}, 400, "SecurityGroupEthertypeConflictWithProtocol", ("58",)),
    ({"ethertype": "IPX"}, 400, "HTTPBadRequest", ("ethertype", "'IPX'", "IPv4")),
    ({"ethertype": None}, 400, "HTTPBadRequest", ("ethertype",)),
    ({"direction": "sideways"}, 400, "HTTPBadRequest", ("direction", "'sideways'")),
    ({"remote_ip_prefix": "192.168.1./24"}, 400, "InvalidCIDR", ("remote_ip_prefix", "192.168.1./24")),
    ({"remote_ip_prefix": "192.168.1.1/33"}, 400, "InvalidCIDR", ("192.168.1.1/33",)),
    ({"remote_ip_prefix": 256}, 400, "InvalidCIDR", ("256",)),
    ({"remote_ip_prefix": "2001:db8::/32"}, 400, "SecurityGroupRuleParameterConflict", ("IPv4", "2001:db8::/32")),
    ({"remote_ip_prefix": "10.0.0.0/8", "ethertype": "IPv6"}, 400, "SecurityGroupRuleParameterConflict", ("IPv6", "10.0.0.0/8")),
    ({"remote_group_id": NOBODY}, 404, "SecurityGroupNotFound", (NOBODY,)),
    ({"remote_group_id": "bad_group_id"}, 404, "SecurityGroupNotFound", ("bad_group_id",)),
    ({"remote_address_group_id": NOBODY}, 404, "AddressGroupNotFound", (NOBODY,)),
    ({"remote_address_group_id": "bad"}, 404, "AddressGroupNotFound", ("bad",)),
    ({"security_group_id": NOBODY}, 404, "SecurityGroupNotFound", (NOBODY,)),
    ({"security_group_id": "bad"}, 404, "SecurityGroupNotFound", ("bad",)),
    ({"security_group_id": None}, 400, "HTTPBadRequest", ("security_group_id",)),
    ({"name": "x"}, 400, "HTTPBadRequest", ("name", "Unrecognized")),
    ({"ip_version": 6}, 400, "HTTPBadRequest", ("ip_version", "Unrecognized")),
    ({"normalized_cidr": "10.0.0.0/8"}, 400, "HTTPBadRequest", ("normalized_cidr", "read-only")),
])
def test_wrong_rules_are_refused(alice, given, status, type_, texts):
    web = group(alice)
    rule_refused(alice, web, status, type_, *texts, **given)
    assert len(alice.get(f"/security-groups/{web['id']}")["security_group"]["security_group_rules"]) == 2


def test_a_rule_has_one_other_side(alice):
    web, office = group(alice), address_group(alice, "10.0.0.0/8")
    sides = {"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": web["id"], "remote_address_group_id": office["id"]}
    for a, b in itertools.combinations(sides, 2):
        rule_refused(alice, web, 400, "SecurityGroupMultipleRemoteEntites", a, **{a: sides[a], b: sides[b]})
    for name, value in sides.items():
        assert rule(alice, web, **{name: value})[name] == value


def test_rules_of_others_groups(alice, olga):
    web, hers = group(alice), group(olga)
    rule_refused(olga, web, 404, "SecurityGroupNotFound", web["id"])
    rule_refused(alice, web, 404, "SecurityGroupNotFound", hers["id"], remote_group_id=hers["id"])
    office = address_group(olga, "10.0.0.0/8")
    rule_refused(alice, web, 404, "AddressGroupNotFound", office["id"], remote_address_group_id=office["id"])


@pytest.mark.parametrize("first, second", [
    ({}, {"remote_ip_prefix": "0.0.0.0/0"}),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}, {"protocol": 6, "port_range_min": 80, "port_range_max": 80}),
    ({"ethertype": "IPv6", "protocol": "icmpv6"}, {"ethertype": "IPv6", "protocol": 58}),
    ({"remote_ip_prefix": "10.0.0.1/8"}, {"remote_ip_prefix": "10.0.0.0/8", "description": "another word"}),
    ({"protocol": None}, {"protocol": "any"}),
])
def test_a_rule_twice_is_refused(alice, first, second):
    web, other = group(alice), group(alice, name="other")
    made = rule(alice, web, **first)
    rule_refused(alice, web, 409, "SecurityGroupRuleExists", made["id"], **second)
    rule(alice, other, **second)
    rule(alice, web, **{**second, "direction": "egress", "protocol": "udp", "ethertype": "IPv4", "remote_ip_prefix": None,
                        "port_range_min": None, "port_range_max": None})
    alice.delete(f"/security-group-rules/{made['id']}")
    rule(alice, web, **second)


def test_rules_at_once(alice):
    web, other = group(alice), group(alice, name="other")

    def bulk(*rules):
        return {"security_group_rules": [{"security_group_id": web["id"], "direction": "ingress", **r} for r in rules]}
    made = alice.post("/security-group-rules", bulk({"protocol": "tcp"}, {"protocol": "udp"}))["security_group_rules"]
    assert [r["protocol"] for r in made] == ["tcp", "udp"]
    path = "/security-group-rules"
    alice.refused("POST", path, 409, "DuplicateSecurityGroupRuleInPost",
                  body=bulk({"protocol": "ah"}, {"protocol": 51}))
    alice.refused("POST", path, 409, "SecurityGroupRuleExists", made[0]["id"], body=bulk({"protocol": "ah"}, {"protocol": "tcp"}))
    alice.refused("POST", path, 400, "SecurityGroupNotSingleGroupRules", body=bulk({"protocol": "ah"}, {"security_group_id": other["id"]}))
    assert len(alice.get(f"/security-groups/{web['id']}")["security_group"]["security_group_rules"]) == 4, "all or nothing"


def test_quotas(alice, admin):
    path = f"/quotas/{alice.project}"
    admin.put(path, {"quota": {"security_group": 2, "security_group_rule": 8}})
    web = group(alice)  # And the default group: 2 groups, 6 rules.
    alice.refused("POST", "/security-groups", 409, "OverQuota", "['security_group']", body={"security_group": {}})
    rule(alice, web)
    rule(alice, web, direction="egress", protocol="udp")
    rule_refused(alice, web, 409, "OverQuota", "['security_group_rule']", protocol="tcp")
    details = alice.get(path + "/details.json")["quota"]
    assert details["security_group"] == {"limit": 2, "used": 2, "reserved": 0}
    assert details["security_group_rule"] == {"limit": 8, "used": 8, "reserved": 0}
    admin.put(path, {"quota": {"security_group": 9}})
    alice.refused("POST", "/security-groups", 409, "OverQuota", "['security_group_rule']", body={"security_group": {}})
    admin.put(path, {"quota": {"security_group_rule": -1}})
    group(alice)


def test_the_default_group_comes_whatever_the_quota(alice, admin):
    admin.put(f"/quotas/{alice.project}", {"quota": {"security_group": 0, "security_group_rule": 0}})
    port = alice.port(alice.network())
    made = default_group(alice)
    assert port["security_groups"] == [made["id"]] and len(made["security_group_rules"]) == 4


# --- Ports. ---

def test_a_port_is_in_the_default_group_unless_it_says_otherwise(alice):
    network, web = alice.network(), group(alice)
    default = default_group(alice)
    assert alice.port(network)["security_groups"] == alice.port(network, security_groups=None)["security_groups"] == [default["id"]]
    assert alice.port(network, security_groups=[])["security_groups"] == []
    port = alice.port(network, security_groups=[web["id"], default["id"], web["id"]])
    assert port["security_groups"] == [web["id"], default["id"]]
    path = f"/ports/{port['id']}"
    assert alice.put(path, {"port": {"name": "n"}})["port"]["security_groups"] == [web["id"], default["id"]]
    assert alice.put(path, {"port": {"security_groups": [web["id"]]}})["port"]["security_groups"] == [web["id"]]
    assert alice.get(path)["port"]["security_groups"] == [web["id"]]
    assert [p["id"] for p in alice.get(f"/ports?security_groups={web['id']}")["ports"]] == [port["id"]]
    assert len(alice.get(f"/ports?security_groups={web['id']}&security_groups={default['id']}")["ports"]) == 3
    assert alice.get(f"/ports?security_groups={NOBODY}")["ports"] == []
    assert alice.put(path, {"port": {"security_groups": None}})["port"]["security_groups"] == []
    alice.delete(path)
    alice.delete(f"/security-groups/{web['id']}")


def test_bulk_ports_share_the_default_group_that_comes_with_them(alice):
    network = alice.network()
    made = alice.post("/ports", {"ports": [{"network_id": network["id"]}] * 3})["ports"]
    assert {tuple(p["security_groups"]) for p in made} == {(default_group(alice)["id"],)}


def test_groups_that_a_port_cannot_have(alice, olga, admin):
    network, hers = alice.network(), group(olga)
    mine = group(alice)
    for id_ in (NOBODY, hers["id"]):
        body = {"port": {"network_id": network["id"], "security_groups": [mine["id"], id_]}}
        alice.refused("POST", "/ports", 404, "SecurityGroupNotFound", "port.security_groups[1]", id_, body=body)
    port = alice.port(network, security_groups=[mine["id"]])
    path = f"/ports/{port['id']}"
    alice.refused("PUT", path, 404, "SecurityGroupNotFound", hers["id"], body={"port": {"security_groups": [hers["id"]], "name": "x"}})
    assert alice.get(path)["port"] == port, "nothing half"
    assert admin.put(path, {"port": {"security_groups": [hers["id"]]}})["port"]["security_groups"] == [hers["id"]]
    both = [hers["id"], mine["id"]]
    assert alice.put(path, {"port": {"security_groups": both}})["port"]["security_groups"] == both, "what it has it may keep"
    assert alice.put(path, {"port": {"name": "kept"}})["port"]["security_groups"] == both
    olga.refused("DELETE", f"/security-groups/{hers['id']}", 409, "SecurityGroupInUse")


def test_port_security_and_groups_exclude_each_other(alice):
    network, web = alice.network(), group(alice)
    body = {"port": {"network_id": network["id"], "port_security_enabled": False, "security_groups": [web["id"]]}}
    alice.refused("POST", "/ports", 400, "PortSecurityAndIPRequiredForSecurityGroups", "security_groups", body=body)
    open_port = alice.port(network, port_security_enabled=False)
    assert open_port["security_groups"] == []
    path = f"/ports/{open_port['id']}"
    alice.refused("PUT", path, 400, "PortSecurityAndIPRequiredForSecurityGroups", body={"port": {"security_groups": [web["id"]]}})
    both = alice.put(path, {"port": {"port_security_enabled": True, "security_groups": [web["id"]]}})["port"]
    assert both["security_groups"] == [web["id"]]
    alice.refused("PUT", path, 409, "PortSecurityPortHasSecurityGroup", "port_security_enabled", body={"port": {"port_security_enabled": False}})
    assert alice.put(path, {"port": {"port_security_enabled": False, "security_groups": []}})["port"]["port_security_enabled"] is False
    assert alice.put(path, {"port": {"port_security_enabled": True}})["port"]["security_groups"] == [], "nothing passes"
    alice.delete(f"/security-groups/{web['id']}")


def test_ports_of_the_networks_devices_are_in_no_group(alice, admin):
    network, web = alice.network(), group(alice)
    assert alice.port(network, device_owner="network:dhcp", security_groups=[web["id"]])["security_groups"] == []
    port = alice.port(network, security_groups=[web["id"]])
    assert admin.put(f"/ports/{port['id']}", {"port": {"device_owner": "network:dhcp"}})["port"]["security_groups"] == []
    alice.delete(f"/security-groups/{web['id']}")


def test_a_port_that_becomes_a_routers_leaves_its_groups(alice):
    network, web = alice.network(), group(alice)
    subnet = alice.subnet(network)
    port = alice.port(network, security_groups=[web["id"]], fixed_ips=[{"subnet_id": subnet["id"]}])
    router = alice.post("/routers", {"router": {}})["router"]
    alice.put(f"/routers/{router['id']}/add_router_interface", {"port_id": port["id"]})
    assert alice.get(f"/ports/{port['id']}")["port"]["security_groups"] == []
    alice.delete(f"/security-groups/{web['id']}")
    alice.put(f"/routers/{router['id']}/remove_router_interface", {"port_id": port["id"]})
    alice.delete(f"/routers/{router['id']}")


# --- Templates. ---

def test_new_groups_get_the_templates(alice, admin):
    path = "/default-security-group-rules"
    built_in = alice.get(path)["default_security_group_rules"]
    assert sorted((t["direction"], t["ethertype"], t["remote_group_id"], t["used_in_default_sg"], t["used_in_non_default_sg"])
                  for t in built_in) == [("egress", "IPv4", None, True, True), ("egress", "IPv6", None, True, True),
                                         ("ingress", "IPv4", "PARENT", True, False), ("ingress", "IPv6", "PARENT", True, False)]
    assert "project_id" not in built_in[0] and "tenant_id" not in built_in[0]
    template = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "remote_group_id": "PARENT",
                "description": "of a test"}
    alice.refused("POST", path, 403, "HTTPForbidden", body={"default_security_group_rule": template})
    made = admin.post(path, {"default_security_group_rule": template})["default_security_group_rule"]
    assert made["used_in_default_sg"] is False and made["used_in_non_default_sg"] is True
    assert alice.get(f"{path}/{made['id']}")["default_security_group_rule"] == made
    web = group(alice)
    ssh = [r for r in web["security_group_rules"] if r["protocol"] == "tcp"]
    assert [(r["port_range_min"], r["remote_group_id"], r["description"]) for r in ssh] == [(22, web["id"], "of a test")]
    assert len(default_group(alice)["security_group_rules"]) == 4
    admin.refused("POST", path, 409, "DefaultSecurityGroupRuleExists", made["id"], body={"default_security_group_rule": template})
    alice.refused("DELETE", f"{path}/{made['id']}", 403, "HTTPForbidden")
    admin.delete(f"{path}/{made['id']}")
    admin.refused("DELETE", f"{path}/{made['id']}", 404, "DefaultSecurityGroupRuleNotFound", made["id"])
    assert len(group(alice)["security_group_rules"]) == 2
    for bad, status, type_ in (({"direction": "ingress", "remote_group_id": "NOBODY"}, 404, "SecurityGroupNotFound"),
                               ({"direction": "ingress", "port_range_min": 5}, 400, "SecurityGroupProtocolRequiredWithPorts"),
                               ({"direction": "ingress", "security_group_id": web["id"]}, 400, "HTTPBadRequest"),
                               ({"protocol": "tcp"}, 400, "HTTPBadRequest")):
        admin.refused("POST", path, status, type_, body={"default_security_group_rule": bad})
    assert len(alice.get(path)["default_security_group_rules"]) == 4


def test_templates_hold_the_groups_that_they_name(alice, admin):
    web = group(admin, name="monitoring")
    made = admin.post("/default-security-group-rules", {"default_security_group_rule": {
        "direction": "ingress", "remote_group_id": web["id"], "description": "of a test"}})["default_security_group_rule"]
    admin.refused("DELETE", f"/security-groups/{web['id']}", 409, "SecurityGroupInUse", made["id"])
    new = group(alice)
    assert web["id"] in [r["remote_group_id"] for r in new["security_group_rules"]]
    admin.delete(f"/default-security-group-rules/{made['id']}")
    alice.delete(f"/security-groups/{new['id']}")
    admin.delete(f"/security-groups/{web['id']}")


# --- Default statefulness. ---

def test_new_groups_are_as_stateful_as_is_set(alice, admin, olga):
    path, name = "/security-groups-default-statefulness", "security_groups_default_statefulness"

    def set_to(stateful, **more):
        return admin.post(path, {name: {"stateful": stateful, **more}})[name]
    assert alice.get(path)[name] == []
    of_all = set_to(False)
    assert (of_all["project_id"], of_all["tenant_id"], of_all["stateful"]) == (None, None, False)
    assert group(alice)["stateful"] is False and default_group(alice)["stateful"] is False
    assert group(alice, stateful=True)["stateful"] is True
    of_alice = set_to(True, project_id=alice.project)
    assert group(alice)["stateful"] is True and group(olga)["stateful"] is False
    assert alice.get(path)[name] == [of_alice] and olga.get(path)[name] == []
    assert {s["id"] for s in admin.get(path)[name]} == {of_all["id"], of_alice["id"]}
    assert alice.get(f"{path}/{of_alice['id']}")[name] == of_alice
    alice.refused("GET", f"{path}/{of_all['id']}", 404, "SecurityGroupDefaultStatefulnessNotFound", of_all["id"])
    type_ = "SecurityGroupDefaultStatefulnessAlreadyExists"
    admin.refused("POST", path, 409, type_, alice.project, body={name: {"tenant_id": alice.project}})
    admin.refused("POST", path, 409, type_, "None", body={name: {"project_id": None, "stateful": True}})
    admin.refused("POST", path, 409, type_, "None", body={name: [{"project_id": "p"}, {}]})
    admin.refused("POST", path, 400, "HTTPBadRequest", "stateful", "'x'", body={name: {"stateful": "x"}})
    admin.refused("PUT", f"{path}/{of_all['id']}", 400, "HTTPBadRequest", "project_id", body={name: {"project_id": "p"}})
    assert len(admin.get(path)[name]) == 2, "nothing half"
    for method, where in (("POST", path), ("PUT", f"{path}/{of_alice['id']}"), ("DELETE", f"{path}/{of_alice['id']}")):
        alice.refused(method, where, 403, "HTTPForbidden", body={name: {"stateful": False}})
    assert admin.put(f"{path}/{of_alice['id']}", {name: {"stateful": False}})[name]["stateful"] is False
    assert group(alice)["stateful"] is False
    admin.delete(f"{path}/{of_alice['id']}")
    admin.delete(f"{path}/{of_all['id']}")
    assert group(alice)["stateful"] is True


# --- Address groups. ---

def test_an_address_group_lives(alice, olga):
    made = address_group(alice, "198.51.100.7/24", "2001:db8::1", "198.51.100.0/24", description="d")
    assert sorted(made["addresses"]) == ["198.51.100.0/24", "2001:db8::1/128"] and made["project_id"] == alice.project
    path = f"/address-groups/{made['id']}"
    grown = alice.put(path + "/add_addresses", {"addresses": ["10.0.0.0/8", "10.0.0.1/8"]})["address_group"]
    assert sorted(grown["addresses"]) == ["10.0.0.0/8", "198.51.100.0/24", "2001:db8::1/128"] and grown["revision_number"] == 1
    alice.refused("PUT", path + "/add_addresses", 400, "AddressesAlreadyExist", "10.0.0.0/8", body={"addresses": ["192.0.2.0/24", "10.0.0.0/8"]})
    alice.refused("PUT", path + "/remove_addresses", 404, "AddressesNotFound", "192.0.2.0/24", body={"addresses": ["10.0.0.0/8", "192.0.2.0/24"]})
    assert alice.get(path)["address_group"] == grown, "nothing half"
    shrunk = alice.put(path + "/remove_addresses", {"addresses": ["2001:db8::1/128", "10.9.9.9/8"]})["address_group"]
    assert shrunk["addresses"] == ["198.51.100.0/24"]
    alice.refused("PUT", path, 400, "HTTPBadRequest", "addresses", body={"address_group": {"addresses": []}})
    assert alice.put(path, {"address_group": {"name": "n"}})["address_group"]["name"] == "n"
    olga.refused("PUT", path + "/add_addresses", 404, "AddressGroupNotFound", made["id"], body={"addresses": ["192.0.2.0/24"]})
    for bad in ({"addresses": ["192.0.2.0/33"]}, {"addresses": "192.0.2.0/24"}, {"addresses": [7]}, {}, {"addresses": [], "more": 1}):
        alice.refused("PUT", path + "/add_addresses", 400, "HTTPBadRequest", "addresses", body=bad)
    used = rule(alice, group(alice), remote_address_group_id=made["id"])
    assert used["remote_address_group_id"] == made["id"]
    alice.refused("DELETE", path, 409, "AddressGroupInUse", made["id"])
    alice.delete(f"/security-group-rules/{used['id']}")
    alice.delete(path)
    alice.refused("GET", path, 404, "AddressGroupNotFound", made["id"])


def test_an_address_group_has_a_limit(alice):
    many = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(4096)]
    made = address_group(alice, *many)
    assert len(made["addresses"]) == 4096
    path = f"/address-groups/{made['id']}/add_addresses"
    alice.refused("PUT", path, 400, "HTTPBadRequest", "addresses", "4097", body={"addresses": ["192.0.2.0/24"]})
    alice.refused("POST", "/address-groups", 400, "HTTPBadRequest", "4097", body={"address_group": {"addresses": many + ["192.0.2.0/24"]}})


def test_address_groups_are_limited_for_each_project(alice, olga, admin):
    assert admin.get(f"/quotas/{alice.project}")["quota"]["address_group"] == 100
    many = [f"10.{i // 256}.{i % 256}.0/24" for i in range(4096)]
    first, second = address_group(alice, *many), address_group(alice, *many[:4095])
    alice.put(f"/address-groups/{second['id']}/add_addresses", {"addresses": ["192.0.2.0/24"]})
    third = address_group(alice)
    alice.refused("PUT", f"/address-groups/{third['id']}/add_addresses", 409, "OverQuota", "addresses", "8193", "8192",
                  body={"addresses": ["192.0.2.0/24"]})
    alice.refused("POST", "/address-groups", 409, "OverQuota", "8193", body={"address_group": {"addresses": ["192.0.2.0/24"]}})
    address_group(olga, "192.0.2.0/24")
    alice.put(f"/address-groups/{first['id']}/remove_addresses", {"addresses": many[:1]})
    alice.put(f"/address-groups/{third['id']}/add_addresses", {"addresses": ["192.0.2.0/24"]})
    admin.put(f"/quotas/{alice.project}", {"quota": {"address_group": 3}})
    alice.refused("POST", "/address-groups", 409, "OverQuota", "['address_group']", body={"address_group": {"addresses": []}})
    admin.delete(f"/quotas/{alice.project}")


# --- Many at once, and afterwards. ---

def at_once(*works):
    """Runs the functions at the same moment; their results, an exception instead of one that failed."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def run(i):
        barrier.wait()
        try:
            results[i] = works[i]()
        except BaseException as error:  # noqa: B902
            results[i] = error
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def status_of(client, method, path, body=None):
    answer = client.session.request(method, client.server.url + "/v2.0" + path, json=body, timeout=60)
    return answer.status_code


def clients(client, n):
    return [type(client)(client.server, client.session.headers["X-Auth-Token"], client.project) for _ in range(n)]


def test_a_template_goes_while_a_group_copies_it(alice, admin):
    for _ in range(6):
        web = group(admin, name="monitoring")
        made = admin.post("/default-security-group-rules", {"default_security_group_rule": {
            "direction": "ingress", "remote_group_id": web["id"], "description": "of a test"}})["default_security_group_rule"]
        one, other, third = clients(alice, 1) + clients(admin, 2)
        new, deleted, gone = at_once(lambda: group(one), lambda: status_of(other, "DELETE", f"/default-security-group-rules/{made['id']}"),
                                     lambda: status_of(third, "DELETE", f"/security-groups/{web['id']}"))
        assert isinstance(new, dict) and deleted == 204 and gone in (204, 409)
        rules = alice.get(f"/security-groups/{new['id']}")["security_group"]["security_group_rules"]
        assert gone == 409 or web["id"] not in [rule["remote_group_id"] for rule in rules], "a rule names a group that is gone"
        alice.delete(f"/security-groups/{new['id']}")
        if gone == 409:
            admin.delete(f"/security-groups/{web['id']}")


def test_the_default_group_is_made_once(alice, admin):
    network = alice.network()
    for _ in range(5):
        for made in alice.get("/ports")["ports"]:
            alice.delete(f"/ports/{made['id']}")
        for made in admin.get(f"/security-groups?project_id={alice.project}")["security_groups"]:
            admin.delete(f"/security-groups/{made['id']}")
        works = [lambda c=c: c.port(network)["security_groups"] for c in clients(alice, 4)]
        works += [lambda c=c: [default_group(c)["id"]] for c in clients(alice, 4)]
        results = at_once(*works)
        assert len({tuple(r) if isinstance(r, list) else r for r in results}) == 1, results
        assert len(alice.get("/security-groups")["security_groups"]) == 1
        assert len(alice.get("/security-group-rules")["security_group_rules"]) == 4


def test_the_same_rule_at_once_is_made_once_and_others_do_not_mind(alice):
    web = group(alice)

    def body(port):
        return {"security_group_rule": {"security_group_id": web["id"], "direction": "ingress", "protocol": "tcp", "port_range_min": port,
                                        "port_range_max": port}}
    works = [lambda c=c, p=1 + i % 5: status_of(c, "POST", "/security-group-rules", body(p)) for i, c in enumerate(clients(alice, 20))]
    statuses = at_once(*works)
    assert sorted(statuses) == [201] * 5 + [409] * 15, statuses
    assert len(alice.get(f"/security-groups/{web['id']}")["security_group"]["security_group_rules"]) == 7


def test_a_group_does_not_go_from_under_those_who_take_it(alice, admin):
    network = alice.network()
    for _ in range(10):
        web, other = group(alice), group(alice, name="other")
        a, b, c, d = clients(alice, 4)
        deleted, port, own, remote = at_once(
            lambda: status_of(a, "DELETE", f"/security-groups/{web['id']}"),
            lambda: status_of(b, "POST", "/ports", {"port": {"network_id": network["id"], "security_groups": [web["id"]]}}),
            lambda: status_of(c, "POST", "/security-group-rules", {"security_group_rule": {"security_group_id": web["id"], "direction": "ingress"}}),
            lambda: status_of(d, "POST", "/security-group-rules", {"security_group_rule": {"security_group_id": other["id"], "direction": "ingress",
                                                                                          "remote_group_id": web["id"]}}))
        assert deleted in (204, 409) and port in (201, 404) and own in (201, 404) and remote in (201, 404)
        if deleted == 204:
            assert port == remote == 404, "nobody is left who refers to it"
        ids = {g["id"] for g in alice.get("/security-groups")["security_groups"]}
        for found in alice.get("/security-group-rules")["security_group_rules"]:
            assert found["security_group_id"] in ids and found["remote_group_id"] in ids | {None}
        for found in alice.get("/ports")["ports"]:
            assert set(found["security_groups"]) <= ids
            alice.delete(f"/ports/{found['id']}")
        for id_ in (other["id"], web["id"]):
            if id_ in ids:
                alice.delete(f"/security-groups/{id_}")


def test_additions_to_an_address_group_at_once_all_arrive(alice):
    made = address_group(alice)
    works = [lambda c=c, i=i: status_of(c, "PUT", f"/address-groups/{made['id']}/add_addresses", {"addresses": [f"10.{i}.0.0/16"]})
             for i, c in enumerate(clients(alice, 6))]
    assert at_once(*works) == [200] * 6
    assert len(alice.get(f"/address-groups/{made['id']}")["address_group"]["addresses"]) == 6


def test_all_is_there_after_kill_9():
    running = Server("FOLDER/weft.db")
    try:
        api = running.login("admin", "correct horse", "admin")
        network, web, office = api.network(), group(api, stateful=False), address_group(api, "192.0.2.0/24")
        rule(api, web, protocol="tcp", port_range_min=80, port_range_max=80, remote_ip_prefix="10.1.2.3/8", description="d")
        rule(api, web, ethertype="IPv6", remote_address_group_id=office["id"])
        api.port(network, security_groups=[web["id"]])
        api.port(network, port_security_enabled=False)
        api.get("/default-security-group-rules")
        paths = ("/security-groups", "/security-group-rules", "/address-groups", "/ports", "/default-security-group-rules")
        before = [api.get(path) for path in paths]
        running.kill()
        running.log.close()
        pathlib.Path(running.folder.name, "log").unlink()
        running.start()
        api = running.login("admin", "correct horse", "admin")
        assert [api.get(path) for path in paths] == before
        rule_refused(api, web, 409, "SecurityGroupRuleExists", protocol="tcp", port_range_min=80, port_range_max=80, remote_ip_prefix="10.0.0.0/8")
        api.refused("DELETE", f"/security-groups/{web['id']}", 409, "SecurityGroupInUse")
        api.refused("DELETE", f"/address-groups/{office['id']}", 409, "AddressGroupInUse")
    finally:
        running.stop()
