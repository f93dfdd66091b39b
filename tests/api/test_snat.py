"""Blocks of translated ports, over the whole server: a server of its own, because what is given out again waits for every host.

         outside ---- 203.0.113.10 router ---- net-a (h1, h2) ---- inner router ---- net-b (h3)        net-c (h4), joined by nothing"""

import time

import pytest
import requests

from conftest import Agent, wait_until


def snat_of(admin, router):
    return admin("GET", f"/weft/v1/routers/{router['id']}/snat", status=200)["snat"]


def blocks_of(admin, router):
    return {host["host"]: [(block["first_port"], block["n_ports"]) for block in host["blocks"]] for host in snat_of(admin, router)["hosts"]}


def metric(server, name):
    return float(requests.get(server.metrics_url + "/metrics", timeout=60).text.split(f"\n{name} ")[1].split()[0])


@pytest.fixture
def world(admin):
    outside = admin.network("outside", **{"router:external": True})
    admin.subnet(outside, "203.0.113.0/24", enable_dhcp=False)
    nets = [admin.network(f"net-{name}") for name in "abc"]
    subnets = [admin.subnet(net, f"10.{i}.0.0/24") for i, net in enumerate(nets, 1)]
    router = admin("POST", "/v2.0/routers", {"router": {"name": "edge", "external_gateway_info": {"network_id": outside["id"]}}}, 201)["router"]
    inner = admin("POST", "/v2.0/routers", {"router": {"name": "inner"}}, 201)["router"]
    admin("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnets[0]["id"]}, 200)
    admin("PUT", f"/v2.0/routers/{inner['id']}/add_router_interface", {"subnet_id": subnets[1]["id"]}, 200)
    address = admin.port(nets[0])
    admin("PUT", f"/v2.0/routers/{inner['id']}/add_router_interface", {"port_id": address["id"]}, 200)
    agents = [Agent(admin, f"h{i}") for i in range(1, 5)]
    ports = [admin.port(net, **{"binding:host_id": agent.name}) for net, agent in zip([nets[0], nets[0], nets[1], nets[2]], agents)]
    return outside, router, agents, ports


def test_blocks_follow_ports_and_use_and_wait_for_every_host(server, admin, world):
    outside, router, agents, ports = world
    streams = [agent.watch() for agent in agents]
    for stream in streams:
        stream.until("synced")

    def acknowledge(*which):
        """What an agent does with a commit."""
        for i in which:
            revision = 0
            while not streams[i].lines.empty():
                line = streams[i].next()
                revision = line["revision"] if line["type"] in ("commit", "keepalive") else revision
            if revision:
                agents[i].status(applied_revision=revision)

    given = wait_until(lambda: (lambda b: b if len(b) == 3 and all(b.values()) else None)(blocks_of(admin, router)), "blocks for three hosts")
    assert set(given) == {"h1", "h2", "h3"}, "h4 is joined with nothing"
    assert all(first % n == 0 and first >= 1024 for blocks in given.values() for first, n in blocks)
    shown = snat_of(admin, router)
    assert shown["address"].startswith("203.0.113.") and shown["network_id"] == outside["id"] and not shown["is_exhausted"]
    assert metric(server, "weft_snat_ports_given") == shown["given"] == sum(n for blocks in given.values() for _, n in blocks)

    # Every host that may send or receive through the router is told of all blocks; another is not.
    fresh = agents[0].watch()
    told = [line["object"] for line in fresh.until("commit") if line["type"] == "put" and line["kind"] == "snat_block"]
    streams[0] = fresh
    assert {(block["host"], block["first_port"]) for block in told} == {(host, blocks[0][0]) for host, blocks in given.items()}
    fresh = agents[3].watch()
    assert not [line for line in fresh.until("commit") if line["type"] == "put" and line["kind"] in ("snat_block", "router")]
    streams[3] = fresh

    # Use makes it grow.
    agents[0].status(snat_usage={router["id"]: {"in_use": given["h1"][0][1], "failed": 0}})
    wait_until(lambda: len(blocks_of(admin, router)["h1"]) == 2, "a second block for h1")
    assert [host["in_use"] for host in snat_of(admin, router)["hosts"] if host["host"] == "h1"] == [given["h1"][0][1]]
    for usage in ([], {"x": {}}, {router["id"]: {"in_use": -1, "failed": 0}}, {router["id"]: {"in_use": 1}}):
        assert agents[0].status(status=400, snat_usage=usage)["NeutronError"]["message"].startswith("snat_usage")

    # h2 has no port there any more and says that nothing is in use: its block goes, and its ports are nobody's until all know.
    for agent in agents:
        agent.status(applied_revision=1)
    admin("DELETE", f"/v2.0/ports/{ports[1]['id']}", status=204)
    wait_until(lambda: [host for host in snat_of(admin, router)["hosts"] if host["host"] == "h2" and host["is_idle"]], "h2 to be idle")
    agents[1].status(snat_usage={})
    wait_until(lambda: "h2" not in blocks_of(admin, router), "h2's block to go")
    held = given["h2"][0][1]
    assert snat_of(admin, router)["in_quarantine"] == held
    agents[2].status(applied_revision=1)
    deadline = time.monotonic() + 2.5  # A sweep comes every 2 s.
    while time.monotonic() < deadline:
        acknowledge(0, 1, 3)
        assert snat_of(admin, router)["in_quarantine"] == held, "h3 has not heard of it"
        time.sleep(0.1)

    def all_know():
        acknowledge(0, 1, 2, 3)
        return snat_of(admin, router)["in_quarantine"] == 0

    wait_until(all_know, "the end of the quarantine")

    # Without SNAT nobody has a block.
    admin("PUT", f"/v2.0/routers/{router['id']}", {"router": {"external_gateway_info": {"network_id": outside["id"], "enable_snat": False}}}, 200)
    wait_until(lambda: not blocks_of(admin, router), "all blocks to go")
    assert snat_of(admin, router)["address"] is None
    admin("GET", "/weft/v1/routers/11111111-2222-4333-8444-555555555555/snat", status=404)
