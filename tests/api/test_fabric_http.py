"""weft-fabric's HTTP interface: every route with right and wrong input, tokens, web pages, slices in a file, metrics."""

import json
import re
import subprocess

import pytest
import requests

from fabric_lab import BUILD, REFERENCE, REFERENCE_LINKS, Fabric, arp, udp, wait_until

E1, E2, E3, E4, E5 = (f"0x{dpid:016x}" for dpid in sorted(REFERENCE))
ALICE, BOB, CAROL = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"


@pytest.fixture(scope="module")
def fabric(tmp_path_factory):
    """The reference topology; alice at 0xe5:3, bob at 0xe4:3, and carol, with one MAC in two VLANs, at 0xe4:3 and 0xe1:3."""
    running = Fabric(tmp_path_factory.mktemp("fabric")).start()
    try:
        network = running.network(REFERENCE, REFERENCE_LINKS)
        running.host(network, (0xe5, 3), ALICE, "10.0.0.1")
        running.host(network, (0xe4, 3), BOB, "10.0.0.2")
        running.host(network, (0xe4, 3), CAROL, "10.0.0.3", vlan=10)
        running.host(network, (0xe1, 3), CAROL, "10.0.0.4", vlan=20)
        yield running
    finally:
        running.stop()


@pytest.fixture
def alone(tmp_path):
    """One without switches, which a test may start with options of its own."""
    started = []

    def start(*options):
        started.append(Fabric(tmp_path, *options).start())
        return started[-1]
    yield start
    for running in started:
        running.stop()


# ---- what there is -----------------------------------------------------------------------------------------------------

def test_the_fabric_as_a_whole(fabric):
    answer = fabric.get("")["fabric"]
    assert {key: answer[key] for key in ("role", "elected", "path_mode", "install", "max_paths", "switches", "links", "hosts")} == {
        "role": "equal", "elected": False, "path_mode": "equal-cost", "install": "reactive", "max_paths": 64, "switches": 5,
        "links": 6, "hosts": 4}
    assert answer["uptime_seconds"] >= 0 and answer["version"]


def test_switches_are_sorted_and_say_what_is_at_them(fabric):
    switches = fabric.get("switches")["switches"]
    assert [s["id"] for s in switches] == [E1, E2, E3, E4, E5]
    assert {(s["state"], s["openflow"], s["hardware"], s["n_ports"]) for s in switches} == {("up", "1.3", "Emulated switch", 4)}
    assert [(s["n_links"], s["n_hosts"]) for s in switches] == [(2, 1), (3, 0), (3, 0), (2, 2), (2, 1)]
    assert all("ports" not in s for s in switches)


@pytest.mark.parametrize("name", ["0xe5", "0xE5", "229", "0x00000000000000e5"])
def test_a_switch_by_its_id(fabric, name):
    switch = fabric.get(f"switches/{name}")["switch"]
    assert switch["id"] == E5
    assert [(p["number"], p["name"], p["kind"], p["neighbor"], p["hosts"]) for p in switch["ports"]] == [
        (1, "p1", "link", {"switch": E3, "port": 1}, 0), (2, "p2", "link", {"switch": E2, "port": 1}, 0),
        (3, "p3", "host", None, 1), (4, "p4", "host", None, 0)]


@pytest.mark.parametrize("name", ["0xe6", "e5", "-229", "+229", " 229", "0x", "0x-1", "0x+e5", "0x0xe5", "229x", "18446744073709551845",
                                  "0x100000000000000e5", "%C3%A4", "2%2029"])
def test_what_is_no_switch_is_not_found(fabric, name):
    status, kind, message = fabric.refused("GET", f"switches/{name}")
    assert (status, kind) == (404, "SwitchNotFound") and requests.utils.unquote(name) in message


def test_links_are_listed_once(fabric):
    links = {((link["from"]["switch"], link["from"]["port"]), (link["to"]["switch"], link["to"]["port"]))
             for link in fabric.get("links")["links"]}
    assert links == {((E3, 1), (E5, 1)), ((E3, 4), (E4, 1)), ((E2, 1), (E5, 2)), ((E2, 2), (E4, 2)), ((E1, 1), (E2, 3)),
                     ((E1, 2), (E3, 2))}


def test_hosts_by_what_is_known_of_them(fabric):
    def found(query=""):
        return [(h["mac"], h["vlan"], h["addresses"], h["at"]["switch"], h["at"]["port"]) for h in fabric.get(f"hosts{query}")["hosts"]]

    alice, bob = (ALICE, None, ["10.0.0.1"], E5, 3), (BOB, None, ["10.0.0.2"], E4, 3)
    ten, twenty = (CAROL, 10, ["10.0.0.3"], E4, 3), (CAROL, 20, ["10.0.0.4"], E1, 3)
    assert found() == [alice, bob, ten, twenty]
    assert found(f"?mac={BOB}") == [bob]
    assert found(f"?mac={CAROL}") == [ten, twenty]
    assert found(f"?mac={CAROL}&switch=0xe1") == [twenty]
    assert found("?address=10.0.0.3") == [ten]
    assert found(f"?address=10.0.0.3&mac={ALICE}") == []
    assert found("?switch=228") == [bob, ten]
    assert found("?switch=0xe2") == []
    assert found("?address=fd00::1") == []


def test_hosts_come_in_pages(fabric):
    first = fabric.get("hosts?limit=3")
    assert len(first["hosts"]) == 3 and [link["rel"] for link in first["hosts_links"]] == ["next"]
    href = first["hosts_links"][0]["href"]
    assert href.startswith(fabric.url)
    second = fabric.get(href[len(fabric.url):])
    assert [(h["mac"], h["vlan"]) for h in second["hosts"]] == [(CAROL, 20)] and "hosts_links" not in second
    assert "hosts_links" not in fabric.get("hosts?limit=4")
    # The filter goes along with the link.
    first = fabric.get("hosts?limit=1&switch=0xe4")
    second = fabric.get(first["hosts_links"][0]["href"][len(fabric.url):])
    assert [h["mac"] for h in first["hosts"] + second["hosts"]] == [BOB, CAROL] and "hosts_links" not in second


@pytest.mark.parametrize("query, message", [
    ("mac=02:00", "mac: '02:00' is not a MAC address"), ("address=10.0.0.300", "address: '10.0.0.300' is not an IP address"),
    ("limit=0", "limit: '0' is not 1 to"), ("limit=x", "limit: 'x' is not 1 to"), ("limit=1000000", "limit: '1000000' is not 1 to"),
    ("limit=-1", "limit: '-1'"), ("marker=x", "marker: 'x'"), ("marker=02:00:00:00:00:01,x", "marker: '02:00:00:00:00:01,x'"),
    ("hsot=1", "hsot: "), ("limit=1&limit=2", "limit: "),
])
def test_wrong_queries_for_hosts_are_named(fabric, query, message):
    status, kind, text = fabric.refused("GET", f"hosts?{query}")
    assert (status, kind) == (400, "BadRequest") and text.startswith(message)


def test_links_come_in_pages(fabric):
    whole, found, path = fabric.get("links")["links"], [], "/fabric/v1/links?limit=1"
    while path:
        answer = fabric.get(path)
        assert len(answer["links"]) == 1
        found += answer["links"]
        path = answer["links_links"][0]["href"][len(fabric.url):] if "links_links" in answer else None
    assert found == whole and len(whole) == 6
    assert "links_links" not in fabric.get("links?limit=6")
    for query, message in (("limit=0", "limit: '0'"), ("limit=10001", "limit: '10001'"), ("marker=0xe1", "marker: '0xe1'"),
                           ("marker=0xe1:x", "marker: '0xe1:x'"), ("marker=x:1", "marker: 'x:1'"), ("marker=", "marker: ''")):
        status, _, text = fabric.refused("GET", f"links?{query}")
        assert status == 400 and text.startswith(message)


@pytest.mark.parametrize("path", ["", "switches", "switches/0xe5", "links", "paths?from=0xe1&to=0xe2", "flows", "statistics", "slices"])
def test_unknown_query_parameters_are_refused(fabric, path):
    status, _, message = fabric.refused("GET", f"{path}{'&' if '?' in path else '?'}colour=red")
    assert status == 400 and message.startswith("colour: ")


def test_paths_between_switches_and_hosts(fabric):
    for source, destination in (("0xe5", "0xe4"), ("10.0.0.1", BOB), (ALICE, "228")):
        answer = fabric.get(f"paths?from={source}&to={destination}")
        paths = sorted(answer["paths"], key=lambda path: path["hops"][0]["out"])
        assert [(p["cost"], p["share"], [(h["switch"], h["in"], h["out"]) for h in p["hops"]]) for p in paths] == [
            (2, 0.5, [(E5, 0, 1), (E3, 1, 4), (E4, 1, 0)]), (2, 0.5, [(E5, 0, 2), (E2, 1, 2), (E4, 2, 0)])]
        assert answer["from"]["switch"] == E5 and answer["to"]["switch"] == E4
    answer = fabric.get(f"paths?from={BOB}&to=0xe4")
    assert answer["from"] == {"switch": E4, "port": 3} and answer["to"] == {"switch": E4, "port": None}
    assert [(p["cost"], p["hops"]) for p in answer["paths"]] == [(0, [])]


@pytest.mark.parametrize("query, status, kind, message", [
    ("", 400, "BadRequest", "from: is missing"), ("from=0xe5", 400, "BadRequest", "to: is missing"),
    ("from=0xe5&to=0xe6", 404, "SwitchNotFound", "Switch '0xe6' could not be found."),
    ("from=10.9.9.9&to=0xe5", 404, "HostNotFound", "from: host '10.9.9.9' could not be found."),
    ("from=0xe5&to=02:00:00:00:00:09", 404, "HostNotFound", "to: host '02:00:00:00:00:09' could not be found."),
    ("from=&to=0xe5", 404, "SwitchNotFound", "Switch '' could not be found."),
    ("from=a.b&to=0xe5", 404, "HostNotFound", "from: host 'a.b' could not be found."),
])
def test_paths_from_or_to_nowhere(fabric, query, status, kind, message):
    answer = fabric.refused("GET", f"paths?{query}")
    assert answer[:2] == (status, kind) and answer[2].startswith(message)


def test_flows_and_their_paths(fabric):
    network = fabric.networks[0]
    for port in range(1000, 1010):
        network.say((0xe5, 3), udp((ALICE, "10.0.0.1"), (BOB, "10.0.0.2"), port, 53))
    fabric.wait_for(flows=10)
    answer = fabric.get("flows")
    assert answer["total"] == 10 and len(answer["flows"]) == 10
    flow = next(f for f in answer["flows"] if f["source_port"] == 1003)
    assert {key: flow[key] for key in ("source_mac", "destination_mac", "ethertype", "source", "destination", "protocol",
                                       "destination_port", "from", "to")} == {
        "source_mac": ALICE, "destination_mac": BOB, "ethertype": 0x0800, "source": "10.0.0.1", "destination": "10.0.0.2",
        "protocol": 17, "destination_port": 53, "from": {"switch": E5, "port": 3}, "to": {"switch": E4, "port": 3}}
    assert flow["hops"][0]["switch"] == E5 and flow["hops"][-1]["switch"] == E4
    assert sum(p["flows"] for p in fabric.get("paths?from=0xe5&to=0xe4")["paths"]) == 10
    assert len(fabric.get("flows?limit=3")["flows"]) == 3
    assert len(fabric.get("flows?host=10.0.0.2&limit=4")["flows"]) == 4
    assert fabric.get(f"flows?host={CAROL}")["flows"] == []
    assert [h["flows"] for h in fabric.get(f"hosts?mac={ALICE}")["hosts"]] == [10]


@pytest.mark.parametrize("query, status, message", [
    ("limit=0", 400, "limit: '0' is not 1 to 10000."), ("limit=10001", 400, "limit: '10001' is not"), ("limit=", 400, "limit: ''"),
    ("host=10.9.9.9", 404, "host: host '10.9.9.9' could not be found."), ("host=x", 404, "host: host 'x' could not be found."),
])
def test_wrong_queries_for_flows_are_named(fabric, query, status, message):
    answer = fabric.refused("GET", f"flows?{query}")
    assert answer[0] == status and answer[2].startswith(message)


def test_statistics_count_events_and_drops(fabric):
    statistics = fabric.get("statistics")["statistics"]
    assert statistics["events"]["switch_up"] == 5 and statistics["events"]["link_up"] == 6 and statistics["packet_ins"] > 0
    assert statistics["drops"]["no_path"] == 0


def test_text_of_a_hostile_switch_stays_json(alone):
    """Bytes that are no UTF-8, in whatever a switch calls itself and its ports."""
    fabric = alone()
    network = fabric.network({0x1: 2}, hardware=b"\xff\xfe\x1b[31m\"", names={1: b"\x80\xff", 2: b"a\nb"})
    (switch,) = fabric.get("switches")["switches"]
    assert switch["hardware"] and "\x1b" not in switch["hardware"]
    ports = fabric.get("switches/1")["switch"]["ports"]
    assert [p["number"] for p in ports] == [1, 2] and all(p["name"].isprintable() for p in ports)
    assert "\x1b" not in fabric.log()
    network.switches[1].disconnect()
    fabric.wait_for(switches=0)
    assert [s["state"] for s in fabric.get("switches")["switches"]] == ["away"]


def test_a_link_that_is_gone_is_not_listed(alone):
    fabric = alone()
    network = fabric.network({0x1: 2, 0x2: 2}, [((0x1, 1), (0x2, 1))])
    assert len(fabric.get("paths?from=1&to=2")["paths"]) == 1
    network.switches[2].disconnect()
    fabric.wait_for(links=0)
    assert fabric.get("links")["links"] == []
    assert fabric.get("paths?from=1&to=2")["paths"] == []


def test_many_hosts_do_not_hold_up_the_fabric(alone):
    """The list of 20,000 hosts comes in pages, each of them bounded, and is complete."""
    fabric = alone("--max-hosts-port", "100000")
    network = fabric.network({0x1: 2})
    fabric.host(network, (0x1, 1), "02:00:00:00:00:01", "10.0.0.1")
    expected = {f"06:00:00:00:{i >> 8:02x}:{i & 255:02x}" for i in range(20000)}
    for mac in expected:
        network.say((0x1, 1), arp(mac, "0.0.0.0"))  # An ARP probe: the MAC becomes known, no address.
    fabric.wait_for(hosts=20001)
    macs, path, n_pages = [], "/fabric/v1/hosts", 0
    while path:
        answer = fabric.get(path)
        assert 0 < len(answer["hosts"]) <= 1000
        macs += [host["mac"] for host in answer["hosts"]]
        path = answer["hosts_links"][0]["href"][len(fabric.url):] if "hosts_links" in answer else None
        n_pages += 1
    assert n_pages == 21 and macs == sorted(expected | {"02:00:00:00:00:01"})


# ---- control -----------------------------------------------------------------------------------------------------------

def test_weights_move_paths(fabric):
    def outs():
        return sorted(p["hops"][0]["out"] for p in fabric.get("paths?from=0xe5&to=0xe4")["paths"])

    assert outs() == [1, 2]
    answer = fabric.ask("PUT", "switches/0xe5/ports/1", {"port": {"weight": 10}})
    assert answer.status_code == 200 and answer.json()["port"]["weight"] == 10
    try:
        assert outs() == [2]
        (link,) = [link for link in fabric.get("links")["links"] if link["to"] == {"switch": E5, "port": 1}]
        assert (link["weight"], link["weight_back"]) == (1, 10)
        assert fabric.get("switches/0xe5")["switch"]["ports"][0]["weight"] == 10
    finally:
        fabric.ask("PUT", "switches/0xe5/ports/1", {"port": {"weight": 1}})
    assert outs() == [1, 2]


@pytest.mark.parametrize("place, body, status, message", [
    ("0xe5/ports/1", {"port": {"weight": 0}}, 400, "port.weight: 0 is not 1 to 16777215."),
    ("0xe5/ports/1", {"port": {"weight": 16777216}}, 400, "port.weight: 16777216 is not 1 to 16777215."),
    ("0xe5/ports/1", {"port": {"weight": -1}}, 400, "port.weight: -1 is not"),
    ("0xe5/ports/1", {"port": {"weight": 1.5}}, 400, "port.weight: 1.5 is not"),
    ("0xe5/ports/1", {"port": {"weight": "1"}}, 400, 'port.weight: "1" is not'),
    ("0xe5/ports/1", {"port": {}}, 400, "port.weight: is missing."),
    ("0xe5/ports/1", {"port": 1}, 400, "port: 1 is not an object."),
    ("0xe5/ports/1", {"port": {"weight": 1, "up": False}}, 400, "port.up: cannot be set: only weight can."),
    ("0xe5/ports/1", {}, 400, "port: is missing."),
    ("0xe5/ports/1", None, 400, "port: is missing."),
    ("0xe5/ports/5", {"port": {"weight": 1}}, 404, "Port '5' could not be found."),
    ("0xe5/ports/0", {"port": {"weight": 1}}, 404, "Port '0' could not be found."),
    ("0xe5/ports/-1", {"port": {"weight": 1}}, 404, "Port '-1' could not be found."),
    ("0xe5/ports/4294967297", {"port": {"weight": 1}}, 404, "Port '4294967297' could not be found."),
    ("0xe6/ports/1", {"port": {"weight": 1}}, 404, "Switch '0xe6' could not be found."),
])
def test_wrong_weights_are_named(fabric, place, body, status, message):
    answer = fabric.refused("PUT", f"switches/{place}", body)
    assert answer[0] == status and answer[2].startswith(message)


def test_role(alone):
    fabric = alone()
    network = fabric.network({0x1: 1})
    for role in ("slave", "master", "equal"):
        answer = fabric.ask("PUT", "role", {"role": role})
        assert answer.status_code == 200 and answer.json()["fabric"]["role"] == role
        wait_until(lambda: fabric.get("switches/1")["switch"]["role"] == role, f"the switch confirms {role}")
        assert fabric.get("")["fabric"]["role"] == role
    assert fabric.get("statistics")["statistics"]["events"]["role_changed"] == 3
    network.close()
    fabric.networks.remove(network)


@pytest.mark.parametrize("body, message", [
    ({"role": "boss"}, 'role: "boss" is not equal, master or slave.'), ({"role": 1}, "role: 1 is not equal, master or slave."),
    ({}, "role: is missing."), (None, "role: is missing."),
])
def test_wrong_roles_are_named(fabric, body, message):
    assert fabric.refused("PUT", "role", body) == (400, "BadRequest", message)
    assert fabric.get("")["fabric"]["role"] == "equal"


@pytest.mark.parametrize("raw, status", [("{", 400), ("[]", 400), ("null", 400), ("", 400), ('{"role": "equal"', 400),
                                         pytest.param('{"role": "' + "x" * (5 << 20) + '"}', 413, id="5 MiB")])
def test_bodies_that_are_no_object(fabric, raw, status):
    assert fabric.refused("PUT", "role", raw=raw)[0] == status


# ---- slices ------------------------------------------------------------------------------------------------------------

def test_slices_from_beginning_to_end(alone):
    fabric = alone()
    bindings = [{"switch": E1, "port": 3}, {"switch": E1, "port": 4, "vlan": 10}, {"switch": E1, "port": 4, "vlan": "untagged"},
                {"switch": E1, "port": 5, "mac": ALICE}, {"mac": BOB}]
    assert fabric.get("slices") == {"slices": []}
    answer = fabric.ask("PUT", "slices/red", {"slice": {"bindings": [{"switch": 225, "port": 3}, *bindings[1:]]}})
    assert answer.status_code == 200 and answer.json() == {"slice": {"name": "red", "bindings": bindings}}
    fabric.ask("PUT", "slices/blue", {"slice": {"name": "blue", "bindings": []}})
    assert [s["name"] for s in fabric.get("slices")["slices"]] == ["blue", "red"]
    assert fabric.get("slices/red")["slice"]["bindings"] == bindings
    assert fabric.ask("PUT", "slices/red", {"slice": {"bindings": bindings[:1]}}).json()["slice"]["bindings"] == bindings[:1]
    answer = fabric.ask("DELETE", "slices/red")
    assert (answer.status_code, answer.content) == (204, b"")
    assert fabric.refused("GET", "slices/red") == (404, "SliceNotFound", "Slice 'red' could not be found.")
    assert fabric.refused("DELETE", "slices/red")[:2] == (404, "SliceNotFound")


def test_hosts_of_a_slice_reach_each_other_only(alone):
    fabric = alone()
    network = fabric.network({0x1: 4})
    for port, (mac, address) in enumerate([(ALICE, "10.0.0.1"), (BOB, "10.0.0.2"), (CAROL, "10.0.0.3")], 1):
        fabric.host(network, (0x1, port), mac, address)
    network.say((0x1, 1), udp((ALICE, "10.0.0.1"), (CAROL, "10.0.0.3"), 1, 1))
    fabric.wait_for(flows=1)
    fabric.ask("PUT", "slices/red", {"slice": {"bindings": [{"switch": "1", "port": 1}, {"mac": BOB}]}})
    fabric.wait_for(flows=0)
    assert [h["slice"] for h in fabric.get("hosts")["hosts"]] == ["red", "red", None]
    network.say((0x1, 1), udp((ALICE, "10.0.0.1"), (CAROL, "10.0.0.3"), 1, 1))
    network.say((0x1, 1), udp((ALICE, "10.0.0.1"), (BOB, "10.0.0.2"), 1, 1))
    fabric.wait_for(flows=1)
    assert fabric.get("flows")["flows"][0]["destination"] == "10.0.0.2"
    assert fabric.get("statistics")["statistics"]["drops"]["slice"] >= 1


@pytest.mark.parametrize("name, slice, status, message", [
    ("red", [{"switch": "0xe1"}], 400, "slice.bindings[0].port: is missing: a switch and a port go together"),
    ("red", [{"port": 1}], 400, "slice.bindings[0].switch: is missing: a switch and a port go together"),
    ("red", [{"mac": BOB}, {"switch": "x", "port": 1}], 400, 'slice.bindings[1].switch: "x" is not a datapath id'),
    ("red", [{"switch": "0x10000000000000000", "port": 1}], 400, "slice.bindings[0].switch: "),
    ("red", [{"switch": " 1", "port": 1}], 400, 'slice.bindings[0].switch: " 1" is not'),
    ("red", [{"switch": "0x", "port": 1}], 400, 'slice.bindings[0].switch: "0x" is not'),
    ("red", [{"switch": -1, "port": 1}], 400, "slice.bindings[0].switch: -1 is not"),
    ("red", [{"switch": 1, "port": 0}], 400, "slice.bindings[0].port: 0 is not a port's number"),
    ("red", [{"switch": 1, "port": "1"}], 400, 'slice.bindings[0].port: "1" is not a port\'s number'),
    ("red", [{"switch": 1, "port": 4294967295}], 400, "slice.bindings[0].port: 4294967295 is not"),
    ("red", [{"switch": 1, "port": 1, "vlan": 4096}], 400, "slice.bindings[0].vlan: 4096 is not 0 to 4095"),
    ("red", [{"switch": 1, "port": 1, "vlan": "10"}], 400, 'slice.bindings[0].vlan: "10" is not'),
    ("red", [{"mac": "02:00"}], 400, 'slice.bindings[0].mac: "02:00" is not a MAC address'),
    ("red", [{"mac": BOB, "vlan": 1}], 400, "slice.bindings[0]: a binding is "),
    ("red", [{"switch": 1, "port": 1, "vlan": 1, "mac": BOB}], 400, "slice.bindings[0]: a binding is "),
    ("red", [{}], 400, "slice.bindings[0]: a binding is "),
    ("red", [1], 400, "slice.bindings[0]: 1 is not an object"),
    ("red", [{"mac": BOB}, {"mac": BOB}], 409, "slice.bindings[1]: is there twice"),
    ("red", [{"host": "x", "mac": BOB}], 400, 'slice.bindings[0].host: "x" is not a part of a binding'),
    ("red", 5, 400, "slice.bindings: 5 is not a list"),
    ("a%20b", [], 400, "slice.name: 'a b' is not 1 to 63 letters"),
    ("x" * 64, [], 400, f"slice.name: '{'x' * 64}' is not"),
])
def test_wrong_slices_are_named(fabric, name, slice, status, message):
    answer = fabric.refused("PUT", f"slices/{name}", {"slice": {"bindings": slice}})
    assert answer[0] == status and answer[2].startswith(message)
    assert fabric.get("slices") == {"slices": []}


@pytest.mark.parametrize("body, message", [
    (None, "slice: is missing."), ({}, "slice: is missing."), ({"slice": []}, "slice: [] is not an object"),
    ({"slice": {}}, "slice.bindings: is missing"), ({"slice": {"bindngs": [], "bindings": []}}, "slice.bindngs: cannot be set"),
    ({"slice": {"name": "blue", "bindings": []}}, 'slice.name: "blue" is not \'red\''),
])
def test_slices_that_are_none(fabric, body, message):
    status, _, text = fabric.refused("PUT", "slices/red", body)
    assert status == 400 and text.startswith(message)
    assert fabric.get("slices") == {"slices": []}


def test_a_binding_belongs_to_one_slice(alone):
    fabric = alone()
    fabric.ask("PUT", "slices/red", {"slice": {"bindings": [{"mac": BOB}]}})
    assert fabric.refused("PUT", "slices/blue", {"slice": {"bindings": [{"mac": ALICE}, {"mac": BOB}]}})[::2] == (
        409, "slice.bindings[1]: belongs to slice 'red'.")
    assert [s["name"] for s in fabric.get("slices")["slices"]] == ["red"]


def test_slices_are_kept_in_a_file(alone, tmp_path):
    path = tmp_path / "slices.json"
    fabric = alone("--slices", path)
    bindings = [{"switch": E1, "port": 4, "vlan": "untagged"}, {"mac": BOB}]
    fabric.ask("PUT", "slices/red", {"slice": {"bindings": bindings}})
    fabric.ask("PUT", "slices/blue", {"slice": {"bindings": [{"mac": ALICE}]}})
    fabric.ask("DELETE", "slices/blue")
    before = fabric.get("slices")
    assert json.loads(path.read_text()) == before == {"slices": [{"name": "red", "bindings": bindings}]}
    fabric.process.kill()
    fabric.process.wait()
    fabric.start()
    assert fabric.get("slices") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fabric.log", "slices.json"]


def test_a_slice_that_cannot_be_kept_is_told(alone, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    fabric = alone("--slices", folder / "slices.json")
    folder.rmdir()
    status, kind, message = fabric.refused("PUT", "slices/red", {"slice": {"bindings": []}})
    assert (status, kind) == (500, "SlicesNotKept") and "No such file" in message
    assert fabric.get("slices/red")["slice"]["bindings"] == []


@pytest.mark.parametrize("text, message", [
    ("{", "line 1"), ("[]", 'has no list "slices"'), ('{"slices": [{}]}', "slice 0 has no name"),
    ('{"slices": [{"name": "red"}]}', "slice 'red': slice.bindings: is missing"),
    ('{"slices": [{"name": "red", "bindings": [{"switch": "q", "port": 1}]}]}', 'slice.bindings[0].switch: "q" is not a datapath id'),
    ('{"slices": [{"name": "red", "bindings": []}, {"name": "red", "bindings": []}]}', "slice 'red' is there twice"),
])
def test_a_wrong_file_is_refused_at_the_start(tmp_path, text, message):
    path = tmp_path / "slices.json"
    path.write_text(text)
    result = subprocess.run([BUILD / "src/controller/weft-fabric", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--http-listen",
                             "127.0.0.1:0", "--slices", path], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and message in result.stdout + result.stderr and str(path) in result.stdout + result.stderr


# ---- the boundary ------------------------------------------------------------------------------------------------------

def test_every_answer_is_json_with_a_request_id(fabric):
    for path in ("", "switches", "switches/x", "nothing", "hosts?limit=x"):
        answer = fabric.ask("GET", path)
        assert answer.headers["Content-Type"].startswith("application/json") and answer.headers["X-Request-Id"].startswith("req-")
        assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("path", ["", "switches", "switches/0xe5", "links", "hosts", "paths?from=0xe5&to=0xe4", "flows", "statistics", "slices",
                                  "/metrics", "/healthz", "/readyz"])
def test_head_is_get_without_a_body(fabric, path):
    answer = fabric.ask("HEAD", path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "switches", "GET, HEAD"), ("DELETE", "switches/0xe5", "GET, HEAD"), ("GET", "role", "PUT"), ("DELETE", "role", "PUT"),
    ("GET", "switches/0xe5/ports/1", "PUT"), ("PATCH", "slices/red", "DELETE, GET, HEAD, PUT"), ("PUT", "", "GET, HEAD"), ("POST", "hosts", "GET, HEAD"),
])
def test_methods_that_are_not_there(fabric, method, path, allow):
    answer = fabric.ask(method, path)
    assert answer.status_code == 405 and sorted(answer.headers["Allow"].split(", ")) == allow.split(", ")


@pytest.mark.parametrize("path", ["nothing", "switches/0xe5/ports", "slices/red/bindings", "/fabric/v2", "/fabric", "/", "//fabric/v1"])
def test_paths_that_are_not_there(fabric, path):
    assert fabric.ask("GET", path).status_code == 404


def test_web_pages_are_refused_without_a_token(fabric):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Host": "127.evil.example"},
                    {"Host": "localhost.evil.example:9697"}, {"Host": "10.0.0.1:9697"}, {"Host": "[::1].evil.example"}, {"Host": "localhostess"}):
        for method, path, body in (("PUT", "role", {"role": "slave"}), ("GET", "hosts", None), ("DELETE", "slices/red", None)):
            assert fabric.refused(method, path, body, headers=headers)[0] == 403, headers
    assert fabric.get("")["fabric"]["role"] == "equal"
    port = fabric.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", "127.0.0.1", "localhost", f"LOCALHOST:{port}", f"[::1]:{port}", "127.8.8.8"):
        assert fabric.ask("GET", "", headers={"Host": host}).status_code == 200, host


def test_token(alone, tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef\nmore\n")
    fabric = alone("--http-token-file", tmp_path / "token")
    for wrong in (None, "", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg", "0123456789abcdef\tmore"):
        fabric.token = wrong
        for method, path, body in (("GET", "", None), ("GET", "hosts", None), ("PUT", "role", {"role": "slave"}), ("DELETE", "slices/x", None)):
            assert fabric.refused(method, path, body)[0] == 401, wrong
    fabric.token = "0123456789abcdef"
    assert fabric.get("")["fabric"]["role"] == "equal"
    # With a token it is the client's affair what it is called, and where the page comes from.
    assert fabric.ask("GET", "", headers={"Host": "fabric.example", "Origin": "http://console.example"}).status_code == 200
    fabric.token = None
    assert fabric.ask("GET", "/healthz").text == "ok\n" and fabric.ask("GET", "/readyz").status_code == 200


@pytest.mark.parametrize("content, message", [(None, "cannot read"), ("short\n", "16 characters or more"), ("", "16 characters or more"),
                                              ("x" * 300, "more than 255 characters")])
def test_wrong_token_files_are_refused_at_the_start(tmp_path, content, message):
    if content is not None:
        (tmp_path / "token").write_text(content)
    result = subprocess.run([BUILD / "src/controller/weft-fabric", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--http-listen",
                             "127.0.0.1:0", "--http-token-file", tmp_path / "token"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "http-token-file" in result.stderr and message in result.stderr


def test_another_address_needs_a_token(tmp_path):
    result = subprocess.run([BUILD / "src/controller/weft-fabric", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--http-listen", "0.0.0.0:0"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "http-token-file is needed" in result.stderr


def test_metrics_can_be_parsed(fabric):
    """The text format of Prometheus: a family's help and type, once each, then its samples, each with other labels."""
    answer = fabric.ask("GET", "/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer.text.endswith("\n")
    samples, helped, kinds = {}, set(), {}
    for line in answer.text.splitlines():
        if line.startswith("# HELP "):
            name, text = line[7:].split(" ", 1)
            assert name not in helped and text
            helped.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name in helped and name not in kinds and kind in ("counter", "gauge")
            assert name.endswith("_total") == (kind == "counter")
            kinds[name] = kind
            family = name
        else:
            name, labels, value = re.fullmatch(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? ([0-9.e+]+)', line).groups()
            labels = tuple(re.findall(r'([a-z_]+)="([^"]*)"', labels or ""))
            assert name == family and (name, labels) not in samples
            samples[name, labels] = float(value)
    assert helped == set(kinds)
    assert samples["weft_fabric_switches", ()] == 5 and samples["weft_fabric_links", ()] == 6
    assert {labels[0][1] for name, labels in samples if name == "weft_fabric_switch_up"} == {E1, E2, E3, E4, E5}
    assert samples["weft_fabric_events_total", (("event", "switch_up"),)] == 5
