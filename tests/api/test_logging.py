"""The logging API over HTTP: log objects, their errors, and what becomes of them with the group or port that they name.

    this test --- HTTP on 127.0.0.1 ---> weft-api --store memory

The projects and clients are those of projects.py."""

import pytest

from projects import NOBODY, Server, admin, alice, clean, rita, server  # noqa: F401: fixtures


@pytest.fixture(autouse=True)
def no_logs(admin):
    yield
    for log in admin.get("/log/logs")["logs"]:
        admin.delete(f"/log/logs/{log['id']}")


def make(client, status=201, **attributes):
    return client.post("/log/logs", {"log": {"resource_type": "security_group", **attributes}}, status).get("log")


def refused(client, status, type_, *texts, **attributes):
    client.refused("POST", "/log/logs", status, type_, *texts, body={"log": {"resource_type": "security_group", **attributes}})


def group_of(client, **attributes):
    return client.post("/security-groups", {"security_group": {"name": "web", **attributes}}, 201)["security_group"]


def logs(client, query=""):
    return {log["id"] for log in client.get("/log/logs" + query)["logs"]}


def test_what_can_be_logged(admin):
    assert admin.get("/log/loggable-resources") == {"loggable_resources": [{"type": "firewall_group"}, {"type": "security_group"}]}
    assert admin.get("/extensions/logging")["extension"]["alias"] == "logging"


def test_a_log_has_what_clients_expect(admin, alice):
    log = make(admin)
    assert {key: log[key] for key in ("name", "description", "resource_type", "resource_id", "target_id", "event", "enabled", "project_id",
                                      "tenant_id", "revision_number")} == {
        "name": "", "description": "", "resource_type": "security_group", "resource_id": None, "target_id": None, "event": "ALL",
        "enabled": True, "project_id": admin.project, "tenant_id": admin.project, "revision_number": 0}
    assert admin.get(f"/log/logs/{log['id']}")["log"] == log
    other = make(admin, name="web", description="d", event="DROP", enabled=False, project_id=alice.project)
    assert (other["name"], other["event"], other["enabled"], other["project_id"]) == ("web", "DROP", False, alice.project)
    assert logs(admin) == {log["id"], other["id"]}
    assert logs(admin, "?name=web") == logs(admin, "?event=DROP") == logs(admin, "?enabled=false") == {other["id"]}
    assert [entry["id"] for entry in admin.get("/log/logs?sort_key=name&sort_dir=desc")["logs"]] == [other["id"], log["id"]]
    changed = admin.put(f"/log/logs/{log['id']}", {"log": {"name": "n", "description": "x", "enabled": False}})["log"]
    assert (changed["name"], changed["description"], changed["enabled"], changed["revision_number"]) == ("n", "x", False, 1)
    admin.delete(f"/log/logs/{log['id']}")
    admin.refused("GET", f"/log/logs/{log['id']}", 404, "LogResourceNotFound", f"Log resource {log['id']} could not be found.")


def test_what_a_log_may_not_be(admin, alice):
    network = alice.network()
    port, group = alice.port(network), group_of(alice)
    refused(admin, 400, "InvalidLogResourceType", "Invalid log resource_type: firewall.", resource_type="firewall")
    admin.refused("POST", "/log/logs", 400, "HTTPBadRequest", "resource_type", body={"log": {"name": "n"}})
    refused(admin, 404, "ResourceNotFound", f"Resource {NOBODY} could not be found.", resource_id=NOBODY)
    refused(admin, 404, "TargetResourceNotFound", f"Target resource {NOBODY} could not be found.", target_id=NOBODY)
    refused(admin, 400, "InvalidResourceConstraint",
            f"Invalid resource constraint between resource (security_group {group['id']}) and target resource (port {port['id']}).",
            resource_id=group["id"], target_id=port["id"])
    serving = admin.port(network, device_owner="network:dhcp")
    refused(admin, 409, "LoggingTypeNotSupported", f"Logging type security_group is not supported on port {serving['id']}.",
            target_id=serving["id"])
    refused(admin, 400, "HTTPBadRequest", "event", event="SOME")
    refused(admin, 400, "HTTPBadRequest", "resource_id", resource_id="me")
    refused(admin, 400, "HTTPBadRequest", "revision_number", revision_number=3)
    log = make(admin, resource_id=group["id"])
    for attribute, value in (("event", "DROP"), ("resource_type", "security_group"), ("target_id", port["id"]), ("resource_id", None)):
        admin.refused("PUT", f"/log/logs/{log['id']}", 400, "HTTPBadRequest", attribute, body={"log": {attribute: value}})


def test_logs_of_firewall_groups(admin, alice):
    network = alice.network()
    subnet = alice.post("/subnets", {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.9.0.0/24"}}, 201)["subnet"]
    router = alice.post("/routers", {"router": {"name": "r"}}, 201)["router"]
    at = alice.put(f"/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})["port_id"]
    workload = alice.port(network)
    group = alice.post("/fwaas/firewall_groups", {"firewall_group": {"name": "edge"}}, 201)["firewall_group"]
    refused(admin, 404, "ResourceNotFound", f"Resource {NOBODY} could not be found.", resource_type="firewall_group", resource_id=NOBODY)
    refused(admin, 404, "TargetResourceNotFound", f"Target resource {NOBODY} could not be found.", resource_type="firewall_group", target_id=NOBODY)
    refused(admin, 409, "LoggingTypeNotSupported", f"Logging type firewall_group is not supported on port {workload['id']}.",
            resource_type="firewall_group", target_id=workload["id"])
    refused(admin, 409, "LoggingTypeNotSupported", f"Logging type security_group is not supported on port {at}.", target_id=at)
    refused(admin, 400, "InvalidResourceConstraint",
            f"Invalid resource constraint between resource (firewall_group {group['id']}) and target resource (port {at}).",
            resource_type="firewall_group", resource_id=group["id"], target_id=at)
    alice.put(f"/fwaas/firewall_groups/{group['id']}", {"firewall_group": {"ports": [at]}})
    of_both = make(admin, resource_type="firewall_group", resource_id=group["id"], target_id=at)
    of_group = make(admin, resource_type="firewall_group", resource_id=group["id"], event="DROP")
    of_all = make(admin, resource_type="firewall_group", project_id=alice.project)
    assert (of_group["resource_type"], of_group["resource_id"], of_group["target_id"]) == ("firewall_group", group["id"], None)
    assert logs(admin, "?resource_type=firewall_group") == {of_both["id"], of_group["id"], of_all["id"]}
    alice.put(f"/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})  # With the port goes its log,
    assert logs(admin) == {of_group["id"], of_all["id"]}
    alice.delete(f"/fwaas/firewall_groups/{group['id']}")  # and with the group its.
    assert logs(admin) == {of_all["id"]}


def test_only_administrators_have_logs(admin, alice, rita):
    log = make(admin, project_id=alice.project)
    for client in (alice, rita):
        client.refused("POST", "/log/logs", 403, "HTTPForbidden", body={"log": {"resource_type": "security_group"}})
        client.refused("GET", "/log/logs", 403, "HTTPForbidden")
        client.refused("GET", f"/log/logs/{log['id']}", 403, "HTTPForbidden")
        client.refused("PUT", f"/log/logs/{log['id']}", 403, "HTTPForbidden", body={"log": {"enabled": False}})
        client.refused("DELETE", f"/log/logs/{log['id']}", 403, "HTTPForbidden")
        client.refused("GET", "/log/loggable-resources", 403, "HTTPForbidden")


def test_logs_go_with_what_they_name(admin, alice):
    network = alice.network()
    group = group_of(alice)
    port = alice.port(network, security_groups=[group["id"]])
    of_port, of_group = make(admin, target_id=port["id"]), make(admin, resource_id=group["id"], enabled=False)
    of_both, of_all = make(admin, resource_id=group["id"], target_id=port["id"]), make(admin, project_id=alice.project)
    assert logs(admin, f"?target_id={port['id']}") == {of_port["id"], of_both["id"]}
    assert logs(admin, f"?resource_id={group['id']}") == {of_group["id"], of_both["id"]}
    alice.delete(f"/ports/{port['id']}")
    assert logs(admin) == {of_group["id"], of_all["id"]}
    alice.delete(f"/security-groups/{group['id']}")
    assert logs(admin) == {of_all["id"]}
