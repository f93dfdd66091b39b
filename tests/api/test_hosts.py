"""Hosts and what their agents are told: docs/agent-protocol.md.

          admin ---- POST hosts, ports ----> weft-api <==== watch stream, status, answers ==== agent (a few words of it)"""

import json
import socket
import threading
import time
import uuid

import pytest
import requests

from conftest import Agent, Client, wait_until


def name():
    return "h" + uuid.uuid4().hex[:8]


def digest_of(puts):
    return {id: line["revision"] for id, line in puts.items()}


@pytest.fixture
def network(admin):
    network = admin.network("net-" + name())
    admin.subnet(network, "10.7.0.0/16")
    return network


def drain(stream, timeout=0.4):
    """What still comes within a moment: for 'nothing comes'."""
    lines = []
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            lines.append(stream.lines.get(timeout=0.05))
        except Exception:
            pass
    return [line for line in lines if line["type"] != "keepalive"]


# --- The resource and joining. ---

def test_host_is_created_listed_changed_and_deleted(admin):
    n = name()
    host = admin("POST", "/weft/v1/hosts", {"host": {"name": n, "description": "rack 1"}}, 201)["host"]
    assert host["state"] == "new" and len(host["join_token"]) == 43
    assert "join_token" not in admin("GET", f"/weft/v1/hosts/{n}", status=200)["host"]
    assert admin("GET", f"/weft/v1/hosts/{host['id']}", status=200)["host"]["name"] == n
    admin("POST", "/weft/v1/hosts", {"host": {"name": n}}, 409)
    assert admin("PUT", f"/weft/v1/hosts/{n}", {"host": {"description": "rack 2"}}, 200)["host"]["description"] == "rack 2"
    assert n in [h["name"] for h in admin("GET", "/weft/v1/hosts", status=200)["hosts"]]
    admin("DELETE", f"/weft/v1/hosts/{n}", status=204)
    admin("GET", f"/weft/v1/hosts/{n}", status=404)
    admin("POST", "/weft/v1/hosts", {"host": {"name": n}}, 201)


@pytest.mark.parametrize("host", [None, [], {}, {"name": ""}, {"name": "a/b"}, {"name": "x" * 129}, {"name": "ok", "state": "up"},
                                  {"name": "ok2", "description": 1}, {"name": "-x"}])
def test_malformed_host_is_400(admin, host):
    answer = admin("POST", "/weft/v1/hosts", {"host": host})
    assert answer.status_code == 400 and answer.json()["NeutronError"]["message"].startswith("host"), answer.text


def test_join_token_works_once(admin):
    agent = Agent(admin, name())
    shown = admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]
    assert shown["tunnel_address"] == agent.address and shown["underlay_mtu"] == 1500 and shown["version"] == "0.1"
    used = requests.post(f"{admin.url}/weft/v1/hosts/{agent.name}/join", json={"join_token": agent.host["join_token"]}, timeout=60)
    assert used.status_code == 401
    wrong = requests.post(f"{admin.url}/weft/v1/hosts/{agent.name}/join", json={"join_token": "x"}, timeout=60)
    assert wrong.status_code == 401
    token = admin("POST", f"/weft/v1/hosts/{agent.name}/join_token", status=200)["host"]["join_token"]
    agent.status(applied_revision=1)
    again = requests.post(f"{admin.url}/weft/v1/hosts/{agent.name}/join", json={"join_token": token}, timeout=60)
    assert again.status_code == 200
    agent.status(applied_revision=1, status=401)


def test_credential_is_for_its_host_only(admin):
    one, two = Agent(admin, name()), Agent(admin, name())
    one.client("PUT", f"/weft/v1/hosts/{two.name}/status", {"applied_revision": 1}, 401)
    one.client("POST", f"/weft/v1/hosts/{two.name}/watch", {"digest": {}}, 401)
    for path in ("/v2.0/networks", "/weft/v1/hosts"):
        one.client("GET", path, status=401)
    assert requests.put(f"{admin.url}/weft/v1/hosts/{one.name}/status", json={}, timeout=60).status_code == 401


def test_host_with_bound_ports_is_not_deleted(admin, network):
    agent = Agent(admin, name())
    port = admin.port(network, **{"binding:host_id": agent.name})
    assert port["id"] in admin("DELETE", f"/weft/v1/hosts/{agent.name}", status=409)["NeutronError"]["message"]


# --- The stream. ---

def test_first_watch_gives_hosts_and_then_what_is_bound(admin, network):
    agent = Agent(admin, name())
    stream = agent.watch()
    puts, deletes, lines = stream.commit()
    assert lines[-2]["type"] == "synced" and lines[-1]["type"] == "commit" and lines[-1]["revision"] == lines[-2]["revision"]
    assert agent.host["id"] in puts and {line["kind"] for line in puts.values()} == {"host"} and not deletes

    # A port of the network elsewhere is nothing to this host; binding one brings the network, its subnet and both ports.
    other = admin.port(network)
    assert drain(stream) == []
    mine = admin.port(network, **{"binding:host_id": agent.name})
    puts, deletes, lines = stream.commit()
    # And what its security group names: the group, its rules, and its members, in whatever network.
    kinds = sorted(line["kind"] for line in puts.values() if not line["kind"].startswith("security_group")
                   and line["object"].get("network_id", network["id"]) == network["id"])
    assert kinds == ["network", "port", "port", "subnet"] and {other["id"], mine["id"], network["id"]} <= set(puts)
    assert {"security_group", "security_group_rule"} <= {line["kind"] for line in puts.values()}
    stored = puts[mine["id"]]
    assert stored["object"]["binding:host_id"] == agent.name and stored["object"]["schema"] == 1
    assert lines[-1]["revision"] >= stored["revision"]

    # A change of one object sends that one; a deletion is told.
    admin("PUT", f"/v2.0/ports/{other['id']}", {"port": {"name": "renamed"}}, 200)
    puts, deletes, _ = stream.commit()
    assert set(puts) == {other["id"]} and puts[other["id"]]["object"]["name"] == "renamed"
    admin("DELETE", f"/v2.0/ports/{other['id']}", status=204)
    puts, deletes, _ = stream.commit()
    assert not puts and deletes == {other["id"]}

    # Unbinding the last one takes all of the network away.
    admin("PUT", f"/v2.0/ports/{mine['id']}", {"port": {"binding:host_id": ""}}, 200)
    puts, deletes, _ = stream.commit()
    assert not puts and mine["id"] in deletes and network["id"] in deletes and len(deletes) >= 3
    stream.close()


def test_digest_gives_the_difference_only(admin, network):
    agent = Agent(admin, name())
    ports = [admin.port(network, **{"binding:host_id": agent.name}) for _ in range(3)]
    stream = agent.watch()
    everything, _, _ = stream.commit()
    stream.close()
    digest = digest_of(everything)

    stream = agent.watch(digest)
    puts, deletes, lines = stream.commit()
    assert not puts and not deletes and [line["type"] for line in lines] == ["synced", "commit"]
    stream.close()

    admin("PUT", f"/v2.0/ports/{ports[0]['id']}", {"port": {"name": "changed"}}, 200)
    admin("DELETE", f"/v2.0/ports/{ports[1]['id']}", status=204)
    new = admin.port(network)
    unknown = str(uuid.uuid4())
    stream = agent.watch({**digest, unknown: 1})
    puts, deletes, _ = stream.commit()
    assert set(puts) == {ports[0]["id"], new["id"]}
    assert deletes == {ports[1]["id"], unknown}
    stream.close()


def test_moved_port_arrives_at_one_host_and_stays_known_at_the_other(admin, network):
    one, two = Agent(admin, name()), Agent(admin, name())
    moving = admin.port(network, **{"binding:host_id": one.name})
    staying = admin.port(network, **{"binding:host_id": one.name})
    first, second = one.watch(), two.watch()
    assert moving["id"] in first.commit()[0] and moving["id"] not in second.commit()[0]
    admin("PUT", f"/v2.0/ports/{moving['id']}", {"port": {"binding:host_id": two.name}}, 200)
    puts, deletes, _ = first.commit()
    assert set(puts) == {moving["id"]} and not deletes
    puts, _, _ = second.commit()
    assert {moving["id"], staying["id"], network["id"]} <= set(puts)
    first.close()
    second.close()


def test_metadata_of_a_port_is_told_to_its_host_only(admin, network):
    here, there = Agent(admin, name()), Agent(admin, name())
    metadata = {"hostname": "www.example.org", "public_keys": {"me": "ssh-rsa A"}, "user_data": "secret", "meta": {"a": "b"}}
    first = admin.port(network, **{"binding:host_id": here.name, "weft:metadata": metadata})
    others = [admin.port(network, **{"binding:host_id": agent.name}) for agent in (here, there)]
    assert first["weft:metadata"] == metadata and others[0]["weft:metadata"] == {}
    streams = {}
    for agent, expected in ((here, metadata), (there, {})):
        streams[agent.name] = agent.watch()
        puts, _, _ = streams[agent.name].commit()
        assert puts[first["id"]]["object"].get("weft:metadata", {}) == expected
    admin("PUT", f"/v2.0/ports/{first['id']}", {"port": {"binding:host_id": there.name}}, 200)
    for agent, expected in ((here, {}), (there, metadata)):
        puts, _, _ = streams[agent.name].commit()
        assert puts[first["id"]]["object"].get("weft:metadata", {}) == expected
        streams[agent.name].close()
    for wrong in ({"hostname": "-"}, {"hostname": 7}, {"public_keys": []}, {"public_keys": {"a": "one\ntwo"}}, {"user_data": 1}, {"colour": "red"},
                  {"meta": {"a": 1}}, {"user_data": "x" * 70000}):
        answer = admin("PUT", f"/v2.0/ports/{first['id']}", {"port": {"weft:metadata": wrong}})
        assert answer.status_code == 400 and "weft:metadata" in answer.text, (wrong, answer.text)


def test_bulk_create_is_one_commit_and_reaches_every_watcher(admin):
    network = admin.network("bulk-" + name())
    admin.subnet(network, "10.8.0.0/16")
    agents = [Agent(admin, name()) for i in range(3)]
    streams = [agent.watch() for agent in agents]
    for stream in streams:
        stream.commit()
    for agent in agents:
        admin.port(network, **{"binding:host_id": agent.name})
    for stream in streams:
        known = {}
        while sum(line["kind"] == "port" for line in known.values()) < 3:
            known.update(stream.commit()[0])
    body = {"ports": [{"network_id": network["id"], "name": f"p{i}", "binding:host_id": agents[i % 3].name} for i in range(300)]}
    ports = admin("POST", "/v2.0/ports", body, 201)["ports"]
    created = {port["id"] for port in ports}
    for stream in streams:
        puts = {}
        while not created & set(puts):  # Before it, what else happened to members of the ports' group.
            puts = stream.commit()[0]
        assert created <= set(puts)
        stream.close()


def test_new_stream_replaces_the_old_one(admin):
    agent = Agent(admin, name())
    old = agent.watch()
    old.commit()
    new = Agent.watch(agent)
    new.commit()
    assert old.has_ended.wait(60)
    assert admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]["connected"] is True
    new.close()


def test_keepalive_says_the_revision(admin):
    agent = Agent(admin, name())
    stream = agent.watch()
    stream.commit()
    admin.network("elsewhere-" + name())
    revision = stream.until("keepalive", timeout=60)[-1]["revision"]
    assert revision > 0
    stream.close()


def test_slow_agent_is_bounded_and_catches_up(server, admin, network):
    """An agent that does not read for a while gets each object once, in its last form."""
    agent = Agent(admin, name())
    port = admin.port(network, **{"binding:host_id": agent.name})
    body = json.dumps({"digest": {}}).encode()
    host, _, port_number = admin.url.split("//")[1].partition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port_number)))
    raw.sendall((f"POST /weft/v1/hosts/{agent.name}/watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {agent.credential}\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    wait_until(lambda: admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]["connected"], "the stream")
    before = resident(server)
    for round in range(20):
        admin("PUT", f"/v2.0/ports/{port['id']}", {"port": {"description": "x" * 250 + str(round)}}, 200)
    raw.settimeout(60)
    seen = b""
    while b"x" * 250 + b"19" not in seen:
        piece = raw.recv(65536)
        assert piece, "the stream ended"
        seen += piece
    raw.close()
    assert resident(server) - before < 4 << 20
    wait_until(lambda: not admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]["connected"], "the end of the stream")


def resident(server):
    text = requests.get(server.metrics_url + "/metrics", timeout=60).text
    return float(text.split("\nprocess_resident_memory_bytes ")[1].split()[0])


@pytest.mark.parametrize("digest", [None, [], {"x": 1}, {"00000000-0000-4000-8000-000000000000": "1"}, {"00000000-0000-4000-8000-000000000000": -1}])
def test_malformed_digest_is_400(admin, digest):
    agent = Agent(admin, name())
    answer = agent.client("POST", f"/weft/v1/hosts/{agent.name}/watch", {"digest": digest})
    assert answer.status_code == 400 and answer.json()["NeutronError"]["message"].startswith("digest"), answer.text


# --- Status. ---

def test_port_becomes_active_when_its_host_says_so(admin, network):
    one, two = Agent(admin, name()), Agent(admin, name())
    port = admin.port(network, **{"binding:host_id": one.name})

    def status():
        return admin("GET", f"/v2.0/ports/{port['id']}", status=200)["port"]["status"]

    assert status() == "DOWN"
    two.status(ports={port["id"]: "ACTIVE"})
    assert status() == "DOWN", "another host's word does not count"
    one.status(applied_revision=5, ports={port["id"]: "ACTIVE"})
    assert status() == "ACTIVE"
    assert [p["id"] for p in admin("GET", f"/v2.0/ports?status=ACTIVE&id={port['id']}", status=200)["ports"]] == [port["id"]]
    one.status(ports={port["id"]: "DOWN"})
    assert status() == "DOWN"
    one.status(ports={port["id"]: "ACTIVE"})
    admin("PUT", f"/v2.0/ports/{port['id']}", {"port": {"name": "kept"}}, 200)
    assert status() == "ACTIVE", "a change of the port keeps its status"
    one.status(all_ports=True, ports={})
    assert status() == "DOWN", "a complete report without it"
    one.status(ports={port["id"]: "ACTIVE"})
    admin("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": two.name}}, 200)
    assert status() == "DOWN", "the new host has not said anything"


def test_what_some_host_has_no_room_for_is_shown(admin):
    one, two, stranger = (Agent(admin, name()) for _ in range(3))
    network, outside = admin.network(), admin.network(**{"router:external": True, "provider:network_type": "flat", "provider:physical_network": one.name})
    subnet = admin.subnet(network, "10.0.0.0/24")
    admin.subnet(outside, "203.0.113.0/24")
    ports = [admin.port(network, **{"binding:host_id": host.name}) for host in (one, two)]
    for host in (one, two):
        host.status(physical_networks=[one.name])
    router = admin("POST", "/v2.0/routers", {"router": {}}, 201)["router"]
    interface = admin("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]}, 200)
    shown = {}
    for path, kind, member, body in (
            ("/v2.0/networks", "network", "status", network),
            ("/v2.0/routers", "router", "status", router),
            ("/v2.0/floatingips", "floatingip", "status", {"floating_network_id": outside["id"]}),
            ("/v2.0/fwaas/firewall_groups", "firewall_group", "status", {"ports": [interface["port_id"]]}),
            ("/load-balancer/v2/lbaas/loadbalancers", "loadbalancer", "operating_status", {"vip_subnet_id": subnet["id"]})):
        thing = body if "id" in body else admin("POST", path, {kind: body}, 201)[kind]
        shown[thing["id"]] = f"{path}/{thing['id']}", kind, member
    one.status(left_out=list(shown))  # Without a stream it is not heard.
    streams = [host.watch() for host in (one, two, stranger)]

    def statuses():
        return [admin("GET", path, status=200)[kind][member] for path, kind, member in shown.values()]

    well, ill = ["ACTIVE", "ACTIVE", "DOWN", "INACTIVE", "ONLINE"], ["ERROR", "ERROR", "ERROR", "ERROR", "DEGRADED"]
    try:
        assert statuses() == well
        stranger.status(left_out=list(shown))
        assert statuses() == well, "they are not its business"
        one.status(left_out=[*shown, ports[0]["id"], interface["port_id"], "00000000-0000-4000-8000-000000000000"])
        assert statuses() == ill
        router = router["id"]
        assert [r["id"] for r in admin("GET", f"/v2.0/routers?status=ERROR&id={router}", status=200)["routers"]] == [router]
        tree, kind, _ = list(shown.values())[4]
        assert admin("GET", f"{tree}/status", status=200)["statuses"][kind]["operating_status"] == "DEGRADED"
        one.status(applied_revision=5)
        assert statuses() == ill, "a report that does not name it changes nothing"
        two.status(left_out=[router])
        one.status(left_out=[])
        assert statuses() == [*well[:1], "ERROR", *well[2:]], "another host has none, still"
        two.status(left_out=[])
        assert statuses() == well
        two.status(left_out=list(shown))
        assert statuses() == ill
        streams.pop(1).close()
        admin("DELETE", f"/v2.0/ports/{ports.pop()['id']}", status=204)
        admin("DELETE", f"/weft/v1/hosts/{two.name}", status=204)
        assert statuses() == well, "the host is gone"
        for wrong in ({}, ["router"], [7], None):
            assert one.status(400, left_out=wrong)["NeutronError"]["message"].startswith("left_out")
    finally:
        for stream in streams:
            stream.close()
        group = next(path for path, kind, _ in shown.values() if kind == "firewall_group")
        admin("PUT", group, {"firewall_group": {"ports": []}}, 200)
        for path, _, _ in list(shown.values())[:1:-1]:
            admin("DELETE", path, status=204)
        admin("PUT", f"/v2.0/routers/{interface['id']}/remove_router_interface", {"subnet_id": subnet["id"]}, 200)
        for path in (list(shown.values())[1][0], *(f"/v2.0/ports/{port['id']}" for port in ports), list(shown.values())[0][0], f"/v2.0/networks/{outside['id']}"):
            admin("DELETE", path, status=204)


def test_report_makes_the_host_up_and_says_its_revision(admin):
    agent = Agent(admin, name())
    assert admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]["state"] == "new"
    agent.status(applied_revision=77, tunnel_address="2001:db8::7", underlay_mtu=9000, version="0.2", ports={})
    host = admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]
    assert (host["state"], host["applied_revision"], host["tunnel_address"], host["underlay_mtu"], host["version"]) == (
        "up", 77, "2001:db8::7", 9000, "0.2")
    assert host["seen_at"]


def test_report_names_the_physical_networks(admin):
    agent = Agent(admin, "uplinked")

    def shown():
        host = admin("GET", "/weft/v1/hosts/uplinked", status=200)["host"]
        return host["physical_networks"], host["updated_at"]

    assert shown()[0] == []
    agent.status(physical_networks=["right", "left", "right"])
    assert shown()[0] == ["left", "right"], "sorted, each once"
    agent.status(applied_revision=1)
    assert shown()[0] == ["left", "right"], "what a report does not say stays"
    stream = agent.watch()
    own = [line["object"] for line in stream.until("commit") if line["type"] == "put" and line["object"]["id"] == agent.host["id"]]
    assert own[0]["physical_networks"] == ["left", "right"]
    agent.status(physical_networks=[])
    assert shown()[0] == []


def test_applied_revision_passes_what_is_irrelevant_and_waits_for_what_is_not(server, admin):
    """A deleted network's VNI is in quarantine until this has passed its deletion on every host that is up."""
    agent = Agent(admin, name())
    network = admin.network("q-" + name())
    admin.subnet(network, "10.1.0.0/24")
    port = admin.port(network, **{"binding:host_id": agent.name})
    stream = agent.watch()
    agent.status(applied_revision=stream.commit()[2][-1]["revision"])
    agent.status(applied_revision=stream.commit()[2][-1]["revision"])  # The first report made the host up, which is a change.

    def applied():
        return admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]["applied_revision"]

    def revision():
        return int(requests.get(server.metrics_url + "/metrics", timeout=60).text.split("\nweft_store_revision ")[1].split()[0])

    admin.network("irrelevant-" + name())
    assert applied() == revision(), "what is nothing to the host counts as applied"
    admin("DELETE", f"/v2.0/ports/{port['id']}", status=204)
    admin("DELETE", f"/v2.0/networks/{network['id']}", status=204)
    deleted_at = revision()
    assert applied() < deleted_at, "the agent has not said that it applied the deletion"
    reached = 0
    while reached < deleted_at - 1:
        reached = stream.commit()[2][-1]["revision"]
    assert applied() < deleted_at
    agent.status(applied_revision=reached)
    assert applied() >= deleted_at
    stream.close()


def test_heartbeat_writes_nothing(server, admin):
    agent = Agent(admin, name())
    agent.status(applied_revision=1, ports={}, physical_networks=["a", "b"])

    def revision():
        return requests.get(server.metrics_url + "/metrics", timeout=60).text.split("\nweft_store_revision ")[1].split()[0]

    before = revision()
    for i in range(5):
        agent.status(applied_revision=i + 2, tunnel_address=agent.address, underlay_mtu=1500, version="0.1", ports={},
                     physical_networks=["b", "a"])
    assert revision() == before


@pytest.mark.parametrize("report,field", [({"applied_revision": "x"}, "applied_revision"), ({"applied_revision": -1}, "applied_revision"),
                                          ({"tunnel_address": "10.0.0.300"}, "tunnel_address"), ({"tunnel_address": "224.0.0.1"}, "tunnel_address"),
                                          ({"underlay_mtu": 70000}, "underlay_mtu"), ({"underlay_mtu": -1}, "underlay_mtu"), ({"underlay_mtu": 1279}, "underlay_mtu"),
                                          ({"underlay_mtu": "1500"}, "underlay_mtu"), ({"version": 1}, "version"),
                                          ({"physical_networks": "left"}, "physical_networks"), ({"physical_networks": [""]}, "physical_networks"),
                                          ({"physical_networks": [1]}, "physical_networks"), ({"physical_networks": ["x" * 65]}, "physical_networks"),
                                          ({"physical_networks": [str(i) for i in range(65)]}, "physical_networks"),
                                          ({"ports": []}, "ports"),
                                          ({"ports": {"x": "UP"}}, "ports")])
def test_malformed_report_names_the_field(admin, report, field):
    agent = Agent(admin, name())
    assert agent.status(status=400, **report)["NeutronError"]["message"].startswith(field)


def test_tunnel_address_of_a_host_that_is_up_is_not_taken(admin):
    one, two = Agent(admin, name()), Agent(admin, name())
    one.status(applied_revision=1)
    refused = two.status(status=409, applied_revision=1, tunnel_address=one.address)["NeutronError"]
    assert refused["type"] == "TunnelAddressInUse"
    assert one.address in refused["message"] and one.name in refused["message"] and refused["message"].startswith("tunnel_address")
    three = admin("POST", "/weft/v1/hosts", {"host": {"name": name()}}, 201)["host"]
    answer = requests.post(f"{admin.url}/weft/v1/hosts/{three['name']}/join", timeout=60,
                           json={"join_token": three["join_token"], "tunnel_address": one.address})
    assert answer.status_code == 409, "nor by joining"
    assert admin("GET", f"/weft/v1/hosts/{two.name}", status=200)["host"]["tunnel_address"] == two.address
    one.status(tunnel_address=one.address)
    two.status(tunnel_address="10.78.0.1")
    one.status(tunnel_address=two.address), "what it left is free"


# --- Questions. ---

def answer_next(agent, stream, make):
    """Answers one question of the stream on a thread."""
    def work():
        question = stream.until("request")[-1]
        agent.client("POST", f"/weft/v1/hosts/{agent.name}/answers/{question['id']}", make(question), 204)
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_counters_are_asked_from_the_ports_host(admin, network):
    agent = Agent(admin, name())
    port = admin.port(network, **{"binding:host_id": agent.name})
    stream = agent.watch()
    thread = answer_next(agent, stream, lambda q: {"answer": {"counters": [{"port": q["arguments"]["ports"][0], "tx_packets": 3}], "said": q["operation"]}})
    answer = admin("GET", f"/weft/v1/ports/{port['id']}/counters", status=200)
    thread.join()
    assert answer == {"counters": [{"port": port["id"], "tx_packets": 3}], "said": "counters"}

    thread = answer_next(agent, stream, lambda q: {"error": f"{q['operation']}: no such port"})
    assert "no such port" in admin("GET", f"/weft/v1/ports/{port['id']}/drops", status=400)["NeutronError"]["message"]
    thread.join()
    thread = answer_next(agent, stream, lambda q: {"answer": {"asked": q["arguments"]}})
    assert admin("GET", f"/weft/v1/ports/{port['id']}/flows?limit=7", status=200)["asked"] == {"port": port["id"], "limit": 7}
    thread.join()
    thread = answer_next(agent, stream, lambda q: {"answer": {"asked": q["arguments"]}})
    assert admin("GET", f"/weft/v1/hosts/{agent.name}/drops", status=200)["asked"] == {"ports": None}
    thread.join()
    stream.close()


def test_connections_are_asked_from_each_host_that_may_have_some(admin, network):
    one, other, idle = (Agent(admin, name()) for _ in range(3))
    ports = {agent.name: admin.port(network, **{"binding:host_id": agent.name}) for agent in (one, other)}
    streams = {agent.name: agent.watch() for agent in (one, other, idle)}
    project = ports[one.name]["project_id"]

    def ask(method, query, answers, status=200):
        threads = [answer_next(agent, streams[agent.name], answer) for agent, answer in answers]
        answer = admin(method, f"/weft/v1/connections?{query}", status=status)
        for thread in threads:
            thread.join()
        if "failures" in answer:  # Of this test's hosts only: others left ports behind.
            answer["failures"] = [failure for failure in answer["failures"] if failure["host"] in streams]
        return answer

    def says(*connections, **more):
        return lambda q: {"answer": {"connections": [{"local": c, "asked": [q["operation"], q["arguments"]]} for c in connections], "truncated": False, **more}}

    answer = ask("GET", f"project_id={project}&protocol=tcp&state=established&limit=3", [(one, says("a", "b")), (other, says("c", "d"))])
    asked = ["connections", {"project": project, "protocol": "tcp", "state": "established", "limit": 3}]
    assert len(answer["connections"]) == 3 and answer["truncated"] and answer["failures"] == []
    assert all(c["asked"] == asked and c["host"] in (one.name, other.name) for c in answer["connections"])

    answer = ask("GET", f"port_id={ports[one.name]['id']}&address=10.0.0.0/8&port_number=80&translated=true", [(one, says("a"))])
    assert answer["connections"][0]["asked"][1] == {"port": ports[one.name]["id"], "address": "10.0.0.0/8", "port_number": "80", "translated": "true", "limit": 100}
    answer = ask("GET", f"project_id={project}&host={other.name}", [(other, lambda q: {"error": "busy"})])
    assert answer["connections"] == [] and answer["failures"][0]["host"] == other.name and "busy" in answer["failures"][0]["error"]

    answer = ask("DELETE", f"project_id={project}&protocol=17", [(one, lambda q: {"answer": {"deleted": 2}}), (other, lambda q: {"answer": {"deleted": 3}})])
    assert answer == {"deleted": 5, "failures": []}
    for method, query, word in (("DELETE", "", "all=true"), ("DELETE", "protcol=tcp", "protcol"), ("DELETE", "limit=3", "limit"), ("GET", "state=open", "state"),
                                ("GET", "address=10.0.0.300", "address"), ("GET", "port_number=65536", "port_number"), ("GET", "limit=0", "limit"),
                                ("GET", "protocol=tcp&protocol=udp", "protocol"), ("GET", "translated=yes", "translated"), ("DELETE", "all=1", "all")):
        assert word in admin(method, f"/weft/v1/connections?{query}", status=400)["NeutronError"]["message"]
    admin("GET", f"/weft/v1/connections?port_id={uuid.uuid4()}", status=404)
    for stream in streams.values():
        stream.close()


def test_silent_or_absent_agent_is_told(admin, network):
    agent = Agent(admin, name())
    unbound, port = admin.port(network), admin.port(network, **{"binding:host_id": agent.name})
    admin("GET", f"/weft/v1/ports/{unbound['id']}/counters", status=409)
    assert "not connected" in admin("GET", f"/weft/v1/ports/{port['id']}/counters", status=409)["NeutronError"]["message"]
    stream = agent.watch()
    stream.commit()
    start = time.monotonic()
    admin("GET", f"/weft/v1/ports/{port['id']}/counters", status=504)
    assert time.monotonic() - start > 2
    agent.client("POST", f"/weft/v1/hosts/{agent.name}/answers/{uuid.uuid4()}", {"answer": {}}, 404)
    stream.close()


def test_another_projects_port_cannot_be_asked_about(server, admin, network):
    project = admin.project("asks-" + name())
    user = "asks-" + name()
    admin.user(user, project=project)
    client = server.client(user, "pw-of-user", project["name"])
    port = admin.port(network)
    client("GET", f"/weft/v1/ports/{port['id']}/counters", status=404)
    client("GET", "/weft/v1/hosts", status=403)
    for method in ("GET", "DELETE"):
        client(method, f"/weft/v1/connections?port_id={port['id']}", status=404)
        client(method, f"/weft/v1/connections?project_id={port['project_id']}", status=404)
    assert client("GET", "/weft/v1/connections", status=200) == {"connections": [], "truncated": False, "failures": []}
    assert client("DELETE", "/weft/v1/connections?all=true", status=200) == {"deleted": 0, "failures": []}


def test_a_project_waits_for_few_answers_about_connections(server, admin):
    project, user, agent = admin.project("curious-" + name()), "curious-" + name(), Agent(admin, name())
    admin.user(user, project=project)
    client = server.client(user, "pw-of-user", project["name"])
    port = client.port(client.network())
    admin("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": agent.name}}, 200)
    stream = agent.watch()
    stream.commit()

    def ask(i):
        path = f"/weft/v1/ports/{port['id']}/flows" if i % 2 else "/weft/v1/connections"
        client.fresh()("GET", path, status=200)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    questions = [stream.until("request")[-1] for _ in threads]
    for path in ("/weft/v1/connections", f"/weft/v1/ports/{port['id']}/flows"):
        assert client("GET", path, status=429)["NeutronError"]["type"] == "TooManyQuestions"
    client("DELETE", "/weft/v1/connections?all=true", status=429)
    extra = answer_next(agent, stream, lambda q: {"answer": {"connections": [], "truncated": False}})
    admin("GET", f"/weft/v1/connections?port_id={port['id']}", status=200)  # Administrators are not counted.
    extra.join()
    for question in questions:
        agent.client("POST", f"/weft/v1/hosts/{agent.name}/answers/{question['id']}", {"answer": {"connections": [], "flows": [], "truncated": False}}, 204)
    for thread in threads:
        thread.join()
    extra = answer_next(agent, stream, lambda q: {"answer": {"flows": [], "truncated": False}})
    client("GET", f"/weft/v1/ports/{port['id']}/flows", status=200)
    extra.join()
    stream.close()


def test_a_tenant_is_not_told_where_its_connections_are(server, admin):
    project, user, agent = admin.project("tenant-" + name()), "tenant-" + name(), Agent(admin, name())
    admin.user(user, project=project)
    client = server.client(user, "pw-of-user", project["name"])
    port = client.port(client.network())
    admin("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": agent.name}}, 200)
    stream = agent.watch()
    stream.commit()
    thread = answer_next(agent, stream, lambda q: {"answer": {"connections": [{"local": "a"}], "truncated": False}})
    assert client("GET", "/weft/v1/connections", status=200)["connections"] == [{"local": "a"}]
    thread.join()
    thread = answer_next(agent, stream, lambda q: {"error": "busy"})
    assert client("GET", "/weft/v1/connections", status=200)["failures"] == [{"error": "A host did not answer."}]
    thread.join()
    for host in (agent.name, "elsewhere"):
        for method in ("GET", "DELETE"):
            refused = client(method, f"/weft/v1/connections?host={host}", status=403)["NeutronError"]
            assert refused["type"] == "PolicyNotAuthorized" and agent.name not in refused["message"]
    stream.close()


def test_trace_goes_on_at_the_next_host(admin, network):
    one, two = Agent(admin, name(), tunnel_address="192.0.2.1"), Agent(admin, name(), tunnel_address="192.0.2.2")
    port = admin.port(network, **{"binding:host_id": one.name})
    far = admin.port(network, **{"binding:host_id": two.name})
    first, second = one.watch(), two.watch()
    threads = [
        answer_next(one, first, lambda q: {"answer": {
            "steps": [{"stage": "l2", "text": "known"}], "verdict": "tunnelled", "reason": None,
            "outputs": [{"host": two.name, "port": None, "frame": q["arguments"]["frame"] + "ff"}]}}),
        answer_next(two, second, lambda q: {"answer": {
            "steps": [{"stage": "deliver", "text": json.dumps(q["arguments"], sort_keys=True)}], "verdict": "delivered", "reason": None,
            "outputs": [{"host": None, "port": far["id"], "frame": "00"}]}})]
    answer = admin("POST", f"/weft/v1/ports/{port['id']}/trace", {"frame": "aabb"}, 200)
    for thread in threads:
        thread.join()
    assert [(step["host"], step["stage"]) for step in answer["steps"]] == [(one.name, "l2"), (two.name, "deliver")]
    assert answer["steps"][1]["text"] == '{"frame": "aabbff", "tunnel_source": "192.0.2.1"}'
    assert answer["verdict"] == "delivered" and answer["outputs"] == [{"host": two.name, "port": far["id"], "frame": "00"}]
    for frame in (None, "", "abc", "zz", 5):
        admin("POST", f"/weft/v1/ports/{port['id']}/trace", {"frame": frame}, 400)
    first.close()
    second.close()


def test_state_survives_a_restart(start):
    server = start()
    admin = server.client()
    agent = Agent(admin, "h1")
    network = admin.network()
    port = admin.port(network, **{"binding:host_id": "h1"})
    agent.status(applied_revision=3, ports={port["id"]: "ACTIVE"})
    server.kill()
    server.start()
    admin = server.client()
    agent.client = Client(server.url, {"Authorization": f"Bearer {agent.credential}"})
    assert admin("GET", "/weft/v1/hosts/h1", status=200)["host"]["state"] == "up"
    assert admin("GET", f"/v2.0/ports/{port['id']}", status=200)["port"]["status"] == "ACTIVE"
    stream = agent.watch()
    assert port["id"] in stream.commit()[0]
    stream.close()
