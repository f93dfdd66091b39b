"""Networks on physical networks over HTTP: flat and VLAN, for administrators."""

import pathlib

import pytest

from projects import Server, admin, alice, at_once, clean, outside, server  # noqa: F401


def provider(client, kind, physical="physnet1", segment=None, **attributes):
    body = {"provider:network_type": kind, "provider:physical_network": physical, **attributes}
    if segment is not None:
        body["provider:segmentation_id"] = segment
    return client.network(**body)


def shown(network):
    return network["provider:network_type"], network["provider:physical_network"], network["provider:segmentation_id"]


def test_flat_and_vlan_networks(admin, alice):  # noqa: F811
    flat = provider(admin, "flat", **{"router:external": True})
    vlan = provider(admin, "vlan", segment=101)
    top = provider(admin, "vlan", segment="4094")
    plain = admin.network()
    assert shown(flat) == ("flat", "physnet1", None) and shown(vlan) == ("vlan", "physnet1", 101) and shown(top)[2] == 4094
    assert shown(plain)[:2] == ("vxlan", None)
    assert flat["mtu"] == vlan["mtu"] == 1450  # 1500 would not go between hosts.
    assert not [key for key in alice.get(f"/networks/{flat['id']}")["network"] if key.startswith("provider:")]
    for query, found in (("provider:network_type=flat", [flat]), ("provider:segmentation_id=101", [vlan]),
                         ("provider:physical_network=physnet1&provider:network_type=vlan", [vlan, top])):
        assert {n["id"] for n in admin.get(f"/networks?{query}")["networks"]} == {n["id"] for n in found}, query
    admin.refused("POST", "/networks", 409, "FlatNetworkInUse", "physnet1",
                  body={"network": {"provider:network_type": "flat", "provider:physical_network": "physnet1"}})
    admin.refused("POST", "/networks", 409, "VlanIdInUse", "101", "physnet1", body={"network": {
        "provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 101}})
    # Elsewhere they are free, and here when the network is gone.
    provider(admin, "flat", "physnet2")
    provider(admin, "vlan", "physnet2", 101)
    for network in (flat, vlan):
        admin.delete(f"/networks/{network['id']}")
    provider(admin, "flat")
    provider(admin, "vlan", segment=101)
    admin.refused("PUT", f"/networks/{top['id']}", 400, "HTTPBadRequest", "network.provider:segmentation_id", "at creation",
                  body={"network": {"provider:segmentation_id": 7}})


@pytest.mark.parametrize("attributes, field, text", [
    ({"provider:network_type": "flat"}, "provider:physical_network", "physical_network required for flat"),
    ({"provider:network_type": "vlan", "provider:segmentation_id": 7}, "provider:physical_network", "physical_network required for vlan"),
    ({"provider:network_type": "flat", "provider:physical_network": "p", "provider:segmentation_id": 7}, "provider:segmentation_id", "'7'"),
    ({"provider:network_type": "vlan", "provider:physical_network": "p"}, "provider:segmentation_id", "segmentation_id required"),
    ({"provider:network_type": "vlan", "provider:physical_network": "p", "provider:segmentation_id": 0}, "provider:segmentation_id", "'0'"),
    ({"provider:network_type": "vlan", "provider:physical_network": "p", "provider:segmentation_id": 4095}, "provider:segmentation_id",
     "'4095': segmentation_id out of range (1 through 4094)"),
    ({"provider:network_type": "vlan", "provider:physical_network": "p", "provider:segmentation_id": "x"}, "provider:segmentation_id", "x"),
    ({"provider:network_type": "vlan", "provider:physical_network": "p", "provider:segmentation_id": True}, "provider:segmentation_id", "true"),
    ({"provider:network_type": "vxlan", "provider:physical_network": "p"}, "provider:physical_network", "'p'"),
])
def test_bad_provider_networks_are_refused(admin, attributes, field, text):  # noqa: F811
    admin.refused("POST", "/networks", 400, "InvalidInput", "network." + field, text, body={"network": attributes})


def test_provider_networks_are_for_administrators(alice):  # noqa: F811
    for attribute, value in (("provider:network_type", "flat"), ("provider:physical_network", "p"), ("provider:segmentation_id", 7)):
        alice.refused("POST", "/networks", 403, "PolicyNotAuthorized", attribute, body={"network": {attribute: value}})


def test_a_segment_at_once(admin):  # noqa: F811
    vlan = {"network": {"provider:network_type": "vlan", "provider:physical_network": "p", "provider:segmentation_id": 5}}
    for _ in range(5):
        results = at_once(*[(admin, "POST", "/networks", vlan)] * 4)
        assert sorted(status for status, _ in results) == [201, 409, 409, 409]
        network, = admin.get("/networks?provider:segmentation_id=5")["networks"]
        admin.delete(f"/networks/{network['id']}")


def test_an_external_network_becomes_internal_only_unused(admin, alice):  # noqa: F811
    network, _ = outside(admin)
    made = alice.post("/floatingips", {"floatingip": {"floating_network_id": network["id"]}})["floatingip"]
    internal = {"network": {"router:external": False}}
    admin.refused("PUT", f"/networks/{network['id']}", 409, "ExternalNetworkInUse", network["id"], body=internal)
    alice.delete(f"/floatingips/{made['id']}")
    for _ in range(8):
        admin.put(f"/networks/{network['id']}", {"network": {"router:external": True}})
        (created, answer), (changed, _) = at_once((alice, "POST", "/routers", {"router": {"external_gateway_info": {
            "network_id": network["id"]}}}), (admin, "PUT", f"/networks/{network['id']}", internal))
        assert (created, changed) in ((201, 409), (404, 200)), answer
        if created == 201:
            alice.delete(f"/routers/{answer['router']['id']}")


def test_segments_survive_kill_9():
    server = Server("FOLDER/weft.db")  # noqa: F811
    try:
        admin = server.login("admin", "correct horse", "admin")  # noqa: F811
        made = [provider(admin, "flat"), provider(admin, "vlan", segment=9)]
        server.kill()
        server.log.close()
        pathlib.Path(server.folder.name, "log").unlink()
        server.start()
        admin = server.login("admin", "correct horse", "admin")
        assert [admin.get(f"/networks/{network['id']}")["network"] for network in made] == made
        admin.refused("POST", "/networks", 409, "VlanIdInUse", body={"network": {
            "provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 9}})
        for network in made:
            admin.delete(f"/networks/{network['id']}")
        provider(admin, "vlan", segment=9)
    finally:
        server.stop()
