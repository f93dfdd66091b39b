"""'weft fabric ...' as its users see it: arguments in; requests, output and exit status out.  And the picture of 'weft fabric show', read
back: each line is followed from port to port."""

import json
import random
import re
import subprocess

import pytest

import fake_api
from test_program import WEFT

E1, E3, E4, E5 = "0x00000000000000e1", "0x00000000000000e3", "0x00000000000000e4", "0x00000000000000e5"


class Cli:
    def __init__(self, fabric, folder):
        # Nothing of Identity or the API: a fabric command that asked for it would fail.
        self.environment = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C.UTF-8", "WEFT_FABRIC_URL": fabric.url}

    def run(self, *arguments, stdin=None, **environment):
        return subprocess.run([WEFT, *arguments], env={**self.environment, **environment}, capture_output=True, text=True, timeout=60,
                              input=stdin)

    def __call__(self, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def json(self, *arguments, **options):
        return json.loads(self(*arguments, "-o", "json", **options))


@pytest.fixture
def fabric():
    server = fake_api.Fabric()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def weft(fabric, tmp_path):
    return Cli(fabric, tmp_path)


# ---- where and who -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", ["", "/", "/fabric/v1", "/fabric/v1/"])
def test_url(fabric, weft, suffix):
    fabric.get("/switches", {"switches": []})
    assert weft.json("fabric", "switch", "list", WEFT_FABRIC_URL=fabric.url + suffix) == []
    assert weft.json("fabric", "switch", "list", "--fabric-url", fabric.url + suffix, WEFT_FABRIC_URL="http://127.0.0.1:1") == []


def test_url_that_is_none(weft):
    result = weft.run("fabric", "show", WEFT_FABRIC_URL="127.0.0.1:9697")
    assert result.returncode == 1 and "fabric-url: '127.0.0.1:9697' does not begin with http:// or https://" in result.stderr


def test_nobody_there(weft):
    result = weft.run("fabric", "show", WEFT_FABRIC_URL="http://127.0.0.1:1")
    assert result.returncode == 5 and result.stderr.startswith("weft: weft-fabric cannot be reached: http://127.0.0.1:1/fabric/v1: ")
    assert "Start it ('weft-fabric'), or say where it is with --fabric-url or WEFT_FABRIC_URL" in result.stderr


def test_token(fabric, weft, tmp_path):
    fabric.token = "0123456789abcdef"
    fabric.get("/switches", {"switches": []})
    (tmp_path / "token").write_text("0123456789abcdef\nmore\n")
    (tmp_path / "wrong").write_text("fedcba9876543210\n")
    (tmp_path / "empty").write_text("")
    weft("fabric", "switch", "list", WEFT_FABRIC_TOKEN=fabric.token)
    weft("fabric", "switch", "list", "--fabric-token-file", str(tmp_path / "token"), WEFT_FABRIC_TOKEN="wrong")
    result = weft.run("fabric", "switch", "list")
    assert (result.returncode, result.stderr) == (
        4, "weft: weft-fabric wants a token: set WEFT_FABRIC_TOKEN or give --fabric-token-file\n")
    result = weft.run("fabric", "switch", "list", "--fabric-token-file", str(tmp_path / "wrong"))
    assert result.returncode == 4 and "wants another token" in result.stderr
    for name, message in (("none", "cannot read"), ("empty", "is empty")):
        result = weft.run("fabric", "switch", "list", "--fabric-token-file", str(tmp_path / name))
        assert result.returncode != 0 and "fabric-token-file: " in result.stderr and message in result.stderr
    assert "has more than one line" in weft.run("fabric", "switch", "list", WEFT_FABRIC_TOKEN="a\nX-Evil: b").stderr


def test_the_apis_token_is_not_for_the_fabric(fabric, weft):
    fabric.get("/switches", {"switches": []})
    weft("fabric", "switch", "list", OS_TOKEN="secret", OS_ENDPOINT="http://127.0.0.1:1", OS_AUTH_URL="http://127.0.0.1:1", OS_USERNAME="alice",
         OS_PASSWORD="secret")
    ((_, _, _, headers),) = fabric.requests
    assert not any("secret" in value for value in headers.values())


def test_debug_shows_no_token(fabric, weft):
    fabric.get("/switches", {"switches": []})
    result = weft.run("fabric", "switch", "list", "--debug", WEFT_FABRIC_TOKEN="0123456789abcdef")
    assert "GET" in result.stderr and "0123456789abcdef" not in result.stderr


@pytest.mark.parametrize("answer", [{}, {"switch": []}, []])
def test_an_answer_without_what_was_asked_for(fabric, weft, answer):
    fabric.get("/switches", answer)
    result = weft.run("fabric", "switch", "list")
    assert result.returncode == 1 and "answered without 'switches'" in result.stderr


# ---- lists ---------------------------------------------------------------------------------------------------------------

def test_lists_follow_pages_but_stay_at_our_server(fabric, weft):
    hosts = [{"mac": f"02:00:00:00:00:0{i}", "vlan": None, "addresses": [f"10.0.0.{i}", f"fd00::{i}"], "at": {"switch": E5, "port": i}}
             for i in (1, 2, 3)]
    fabric.get("/hosts?switch=0xe5", {"hosts": hosts[:2], "hosts_links": [
        {"rel": "next", "href": "http://elsewhere.example/fabric/v1/hosts?marker=02:00:00:00:00:02&switch=0xe5"}]})
    fabric.get("/hosts?marker=02:00:00:00:00:02&switch=0xe5", {"hosts": hosts[2:]})
    assert weft.json("fabric", "host", "list", "--switch", "229") == hosts
    lines = [line.split() for line in weft("fabric", "host", "list", "--switch", "0xE5").splitlines()]
    assert lines[0][:4] == ["MAC", "VLAN", "ADDRESSES", "AT"]
    assert lines[1] == ["02:00:00:00:00:01", "10.0.0.1,", "fd00::1", "0xe5:1"]
    assert weft("fabric", "host", "list", "--switch", "0xe5", "-o", "value", "-c", "at", "-c", "mac") == "".join(
        f"0xe5:{i} 02:00:00:00:00:0{i}\n" for i in (1, 2, 3))


def test_switches_and_links(fabric, weft):
    fabric.topology({0xe1: "up", 0xffffffffffffffff: "away"}, [((0xe1, 1), (0xffffffffffffffff, 2), 1, 7)])
    assert weft("fabric", "switch", "list", "-o", "value", "-c", "id", "-c", "state") == "0xe1 up\n0xffffffffffffffff away\n"
    assert weft("fabric", "link", "list", "-o", "value") == "0xe1:1 0xffffffffffffffff:2 1 7\n"
    assert weft.json("fabric", "link", "list")[0]["from"] == {"switch": E1, "port": 1}


def test_a_switch_and_its_ports(fabric, weft):
    fabric.get("/switches/0xe5", {"switch": {"id": E5, "state": "up", "ports": [
        {"number": 1, "name": "p1", "up": True, "kind": "link", "neighbor": {"switch": E3, "port": 4}, "hosts": 0, "weight": 10}]}})
    text = weft("fabric", "switch", "show", "229")
    assert re.search(r"^id +0xe5$", text, re.M) and re.search(r"^1 +p1 +true +link +0xe3:4 +0 +10 *$", text, re.M)
    assert weft.json("fabric", "switch", "show", "0xe5")["ports"][0]["neighbor"] == {"switch": E3, "port": 4}
    assert weft("fabric", "switch", "show", "0xe5", "-o", "value", "-c", "state") == "up\n"


def test_paths(fabric, weft):
    hops = [[(E5, 0, 1), (E3, 1, 4), (E4, 1, 0)], [(E5, 0, 2), (E4, 2, 0)]]
    answer = {"paths": [{"cost": 2 - i, "share": share, "flows": 3 + i, "hops": [{"switch": s, "in": a, "out": b} for s, a, b in hops[i]]}
                        for i, share in enumerate((0.333, 1.0))],
              "from": {"switch": E5, "port": 3}, "to": {"switch": E4, "port": None}}
    fabric.get("/paths?from=10.0.0.1&to=0xe4", answer)
    assert [re.split("  +", line) for line in weft("fabric", "paths", "10.0.0.1", "228").splitlines()] == [
        ["PATH", "COST", "SHARE", "FLOWS"],
        ["0xe5 :1 -> 1: 0xe3 :4 -> 1: 0xe4", "2", "33.3 %", "3"], ["0xe5 :2 -> 2: 0xe4", "1", "100 %", "4"]]
    assert weft.json("fabric", "paths", "10.0.0.1", "228") == answer["paths"]
    fabric.get("/paths?from=fd00%3A%3A1&to=02%3A00%3A00%3A00%3A00%3A01", {**answer, "paths": [{"cost": 0, "share": 1.0, "flows": 0, "hops": []}]})
    assert weft("fabric", "paths", "fd00::1", "02:00:00:00:00:01").splitlines()[1].split() == ["0xe5", "0", "100", "%", "0"]
    fabric.get("/paths?from=0x1&to=0x2", {**answer, "paths": []})
    result = weft.run("fabric", "paths", "1", "0x2")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "weft: there is no path from 1 to 0x2\n")


def test_flows(fabric, weft):
    flow = {"source_mac": "02:00:00:00:00:01", "destination_mac": "02:00:00:00:00:02", "ethertype": 0x0800, "source": "10.0.0.1",
            "destination": "10.0.0.2", "protocol": 17, "source_port": 1000, "destination_port": 53, "from": {"switch": E5, "port": 3},
            "to": {"switch": E4, "port": 3}, "age_seconds": 1,
            "hops": [{"switch": E5, "in": 0, "out": 1}, {"switch": E4, "in": 1, "out": 0}]}
    other = {**flow, "ethertype": 0x88b5, "source": None, "destination": None, "protocol": 0, "hops": []}
    fabric.get("/flows?limit=2", {"flows": [flow, other], "total": 7})
    result = weft.run("fabric", "flow", "list", "--limit", "2")
    assert result.stderr == "weft: these are 2 of 7; see --limit\n"
    assert [re.split("  +", line)[:8] for line in result.stdout.splitlines()[1:]] == [
        ["10.0.0.1", "10.0.0.2", "udp", "1000", "53", "0xe5:3", "0xe4:3", "0xe5 :1 -> 1: 0xe4"],
        ["02:00:00:00:00:01", "02:00:00:00:00:02", "0x88b5", "1000", "53", "0xe5:3", "0xe4:3", "0xe5"]]
    assert weft.json("fabric", "flow", "list", "--limit", "2") == [flow, other]
    fabric.get("/flows?limit=1000&host=10.0.0.1", {"flows": [], "total": 7})
    assert weft.run("fabric", "flow", "list", "--host", "10.0.0.1").stderr == ""


def test_statistics(fabric, weft):
    statistics = {"packet_ins": 7, "floods": 0, "events": {"link_up": 2, "link_down": 0}, "drops": {"no_path": 1}}
    fabric.get("/statistics", {"statistics": statistics})
    assert [line.split() for line in weft("fabric", "statistics").splitlines()[1:]] == [
        ["packet_ins", "7"], ["floods", "0"], ["events.link_up", "2"], ["drops.no_path", "1"]]
    assert "events.link_down 0\n" in weft("fabric", "statistics", "-o", "value")
    assert weft.json("fabric", "statistics") == statistics


# ---- slices, weights, roles ------------------------------------------------------------------------------------------------

def test_slice_set_sends_what_the_flags_say(fabric, weft, tmp_path):
    sent = [{"switch": "0xe1", "port": 3}, {"switch": "0xe5", "port": 4, "vlan": 10}, {"switch": "0x1", "port": 5, "vlan": "untagged"},
            {"switch": "0x1", "port": 6, "mac": "02:00:00:00:00:01"}, {"mac": "02:00:00:00:00:02"}]
    fabric.answers["PUT", "/slices/red"] = (200, {"slice": {"name": "red", "bindings": sent}})
    text = weft("fabric", "slice", "set", "red", "--binding", "switch=0xe1,port=3", "--binding", "port=4,vlan=10,switch=229", "--binding",
                "switch=1,port=5,vlan=untagged", "--binding", "switch=1,port=6,mac=02:00:00:00:00:01", "--binding", "mac=02:00:00:00:00:02")
    assert fabric.requests[-1][2] == {"slice": {"bindings": sent}}
    for line in ("0xe1:3", "0xe5:4 vlan 10", "0x1:5 untagged", "0x1:6 02:00:00:00:00:01", "02:00:00:00:00:02"):
        assert line in [part.removeprefix("bindings").strip() for part in text.splitlines()]
    # What 'slice show -o json' printed makes another slice.
    fabric.get("/slices/blue", {"slice": {"name": "blue", "bindings": sent[:1]}})
    shown = weft("fabric", "slice", "show", "blue", "-o", "json")
    (tmp_path / "slice.json").write_text(shown)
    for options in (dict(arguments=[str(tmp_path / "slice.json")]), dict(arguments=["-"], stdin=json.dumps({"slice": json.loads(shown)}))):
        weft("fabric", "slice", "set", "red", "--file", *options["arguments"], stdin=options.get("stdin"))
        assert fabric.requests[-1][2] == {"slice": {"bindings": sent[:1]}}


def test_slice_list_and_delete(fabric, weft):
    fabric.get("/slices", {"slices": [{"name": "red", "bindings": [{"mac": "02:00:00:00:00:02"}, {"switch": E1, "port": 3}]}]})
    assert weft("fabric", "slice", "list").splitlines()[1].split() == ["red", "2", "02:00:00:00:00:02,", "0xe1:3"]
    fabric.answers["DELETE", "/slices/red"] = fabric.answers["DELETE", "/slices/a%20b"] = (204, None)
    result = weft.run("fabric", "slice", "delete", "red", "blue", "a b")
    assert result.returncode == 3 and "'/fabric/v1/slices/blue' could not be found" in result.stderr
    assert [path for method, path, _, _ in fabric.requests if method == "DELETE"] == [
        "/fabric/v1/slices/red", "/fabric/v1/slices/blue", "/fabric/v1/slices/a%20b"]


def test_weight_and_role(fabric, weft):
    fabric.answers["PUT", "/switches/0xe5/ports/3"] = (200, {"port": {"number": 3, "weight": 10, "neighbor": {"switch": E3, "port": 1}}})
    assert re.search(r"^neighbor +0xe3:1$", weft("fabric", "port", "set", "229", "3", "--weight", "10"), re.M)
    assert fabric.requests[-1][2] == {"port": {"weight": 10}}
    fabric.answers["PUT", "/role"] = (200, {"fabric": {"role": "slave"}})
    assert weft("fabric", "role", "set", "slave", "-o", "value") == "slave\n"
    assert fabric.requests[-1][2] == {"role": "slave"}


def test_server_words_are_passed_on(fabric, weft):
    fabric.answers["PUT", "/slices/red"] = (409, {"error": {"code": 409, "message": "slice.bindings[0]: belongs to slice 'blue'."}})
    result = weft.run("fabric", "slice", "set", "red", "--binding", "mac=02:00:00:00:00:01")
    assert (result.returncode, result.stderr) == (1, "weft: slice.bindings[0]: belongs to slice 'blue'.\n")


@pytest.mark.parametrize("arguments, message", [
    (["switch", "show", "e5"], "SWITCH: 'e5' is not a switch's id, such as 0xe5 or 229"),
    (["switch", "show", "0x10000000000000000"], "SWITCH: '0x10000000000000000' is not a switch's id, such as 0xe5 or 229"),
    (["switch", "show", "18446744073709551616"], "SWITCH: '18446744073709551616' is not a switch's id, such as 0xe5 or 229"),
    (["switch", "show", "0x"], "SWITCH: '0x' is not a switch's id, such as 0xe5 or 229"),
    (["switch", "show", " 1"], "SWITCH: ' 1' is not a switch's id, such as 0xe5 or 229"),
    (["host", "list", "--switch", "x"], "--switch: 'x' is not a switch's id, such as 0xe5 or 229"),
    (["paths", "1", "10.0.0.300"], "TO: '10.0.0.300' is not a MAC, an IP address or a switch's id"),
    (["paths", "a&b", "1"], "FROM: 'a&b' is not a MAC, an IP address or a switch's id"),
    (["flow", "list", "--limit", "0"], "--limit: '0' is not a number from 1 to 10000"),
    (["flow", "list", "--host", "229"], "--host: '229' is not a MAC or an IP address"),
    (["port", "set", "1", "x", "--weight", "1"], "PORT: 'x' is not a number from 1 to 4294967039"),
    (["port", "set", "1", "1", "--weight", "0"], "--weight: '0' is not a number from 1 to 16777215"),
    (["port", "set", "1", "1"], "--weight is missing; see 'weft fabric port set --help'"),
    (["slice", "set", "s"], "which hosts belong to it? give --binding or --file"),
    (["slice", "set", "s", "--binding", "port"], "--binding: 'port': 'port' is not KEY=VALUE"),
    (["slice", "set", "s", "--binding", ""], "--binding: '': '' is not KEY=VALUE"),
    (["slice", "set", "s", "--binding", "switch=x,port=1"], "--binding: switch: 'x' is not a switch's id, such as 0xe5 or 229"),
    (["slice", "set", "s", "--binding", "switch=1,port=0"], "--binding: port: '0' is not a port's number"),
    (["slice", "set", "s", "--binding", "switch=1,port=1,vlan=5000"], "--binding: vlan: '5000' is not 0 to 4095 or 'untagged'"),
    (["slice", "set", "s", "--binding", "mac=02"], "--binding: mac: '02' is not a MAC address"),
    (["slice", "set", "s", "--binding", "host=x"], "--binding: 'host' is not switch, port, vlan or mac"),
    (["slice", "set", "s", "--binding", "port=1,port=2"], "--binding: 'port=1,port=2': there are two 'port'"),
    (["slice", "set", "s", "--file", "/dev/null", "--binding", "mac=02:00:00:00:00:01"], "--file and --binding exclude each other"),
    (["slice", "set", "s", "--file", "/nowhere"], "--file: '/nowhere', line -1: unable to open /nowhere: No such file or directory"),
])
def test_wrong_values_are_named_and_nothing_is_sent(fabric, weft, arguments, message):
    result = weft.run("fabric", *arguments)
    assert (result.returncode, result.stderr) == (1, f"weft: {message}\n")
    assert not fabric.requests


@pytest.mark.parametrize("text, message", [("[]", 'has no list "bindings"'), ('{"slice": {}}', 'has no list "bindings"'), ("{", "line 1")])
def test_files_that_are_no_slice(fabric, weft, text, message):
    result = weft.run("fabric", "slice", "set", "s", "--file", "-", stdin=text)
    assert result.returncode == 1 and result.stderr.startswith("weft: --file: '-'") and message in result.stderr
    assert not fabric.requests


def test_wrong_roles_are_a_wrong_command_line(weft):
    result = weft.run("fabric", "role", "set", "boss")
    assert (result.returncode, result.stderr) == (2, "weft: ROLE: 'boss' is not one of: equal master slave\n")


def test_completion(fabric, weft):
    fabric.topology({0xe1: "up", 0xe5: "up"}, [], [((0xe5, 3), "02:00:00:00:00:01", ["10.0.0.1"])])
    fabric.get("/slices", {"slices": [{"name": "red", "bindings": []}]})

    def offers(*words):
        return weft("__complete", str(len(words)), "weft", *words).split()

    assert offers("fabric", "s") == ["show", "switch", "statistics", "slice"]
    assert offers("fabric", "slice", "") == ["list", "show", "set", "delete"]
    assert offers("fabric", "switch", "show", "0xe") == ["0xe1", "0xe5"]
    assert offers("fabric", "host", "list", "--switch", "") == ["0xe1", "0xe5"]
    assert offers("fabric", "flow", "list", "--host", "") == ["10.0.0.1", "02:00:00:00:00:01"]
    assert offers("fabric", "paths", "0xe1", "") == ["0xe1", "0xe5", "10.0.0.1", "02:00:00:00:00:01"]
    assert offers("fabric", "slice", "show", "r") == ["red"]
    assert offers("fabric", "role", "set", "") == ["equal", "master", "slave"]
    assert "--binding" in offers("fabric", "slice", "set", "red", "--")
    assert "--fabric-url" in offers("fabric", "show", "--")


# ---- the picture -----------------------------------------------------------------------------------------------------------

class Picture:
    """What a person sees: boxes and what is in them, and the lines between, each followed from its box to where it ends."""

    RIGHT, LEFT, UP, DOWN = (0, 1), (0, -1), (-1, 0), (1, 0)
    CORNERS = {"┐": {RIGHT: DOWN, UP: LEFT}, "┘": {RIGHT: UP, DOWN: LEFT}}

    def __init__(self, text):
        self.lines = text.splitlines()
        self.ports, self.titles, self.texts, switch, port = {}, {}, {}, None, None
        for row, line in enumerate(self.lines):
            if title := re.match(r"┌─ (0x[0-9a-f]+) (.*?) ─*┐", line):
                switch = title[1]
                self.titles[switch] = title[2]
            elif line.startswith("│"):
                number, text = re.match(r"│ (?::(\d+))? +(.*?) *[├│]", line).groups()
                port = int(number) if number else port
                self.ports.setdefault(row, (switch, port))
                self.texts.setdefault((switch, port), []).append(text)

    def at(self, row, column):
        return self.lines[row][column] if row < len(self.lines) and column < len(self.lines[row]) else " "

    def follow(self, row):
        """From the box at this row along its line to a box again; the row there."""
        column, direction = self.lines[row].index("├") + 1, self.RIGHT
        while self.at(row, column) != "├":
            here = self.at(row, column)
            if here in self.CORNERS:
                direction = self.CORNERS[here][direction]
            else:
                # A line that stands in the way is in front: ours goes on behind it.
                assert here in ("─│" if direction in (self.LEFT, self.RIGHT) else "│"), (row, column, here)
            row, column = row + direction[0], column + direction[1]
        assert direction == self.LEFT
        return row

    def links(self):
        rows = [row for row, line in enumerate(self.lines) if re.match("│.*├", line)]
        ends = {row: self.follow(row) for row in rows}
        assert all(ends[ends[row]] == row != ends[row] for row in rows)
        return {frozenset((self.ports[row], self.ports[ends[row]])) for row in rows}


def as_links(links):
    return {frozenset((f"0x{dpid:x}", port) for dpid, port in link[:2]) for link in links}


def test_picture_of_the_reference_topology(fabric, weft):
    links = [((0xe5, 1), (0xe3, 1)), ((0xe3, 4), (0xe4, 1)), ((0xe5, 2), (0xe2, 1)), ((0xe2, 2), (0xe4, 2), 1, 10)]
    hosts = [((0xe5, 3), "02:00:00:00:00:01", ["10.0.0.1"]), ((0xe4, 3), "02:00:00:00:00:02", ["10.0.0.2", "fd00::2", "fd00::3"])]
    fabric.topology({0xe1: "away", 0xe2: "up", 0xe3: "up", 0xe4: "up", 0xe5: "up"}, links, hosts)
    text = weft("fabric", "show")
    assert text == """\
weft-fabric 0.1.0: role equal, equal-cost paths (at most 64), reactive
5 switches (1 away), 4 links, 2 hosts, 0 flows

┌─ 0xe1 away for 12 s ────────────────────────────┐
└─────────────────────────────────────────────────┘
┌─ 0xe2 up ───────────────────────────────────────┐
│ :1     to 0xe5:2                                ├───────────┐
│ :2     to 0xe4:2                                ├─────┐     │
└─────────────────────────────────────────────────┘     │     │
┌─ 0xe3 up ───────────────────────────────────────┐     │     │
│ :1     to 0xe5:1                                ├─────│──┐  │
│ :4     to 0xe4:1                                ├──┐  │  │  │
└─────────────────────────────────────────────────┘  │  │  │  │
┌─ 0xe4 up ───────────────────────────────────────┐  │  │  │  │
│ :1     to 0xe3:4                                ├──┘  │  │  │
│ :2     to 0xe2:2  weight 10                     ├─────┘  │  │
│ :3     02:00:00:00:00:02  10.0.0.2  fd00::2  +1 │        │  │
└─────────────────────────────────────────────────┘        │  │
┌─ 0xe5 up ───────────────────────────────────────┐        │  │
│ :1     to 0xe3:1                                ├────────┘  │
│ :2     to 0xe2:1                                ├───────────┘
│ :3     02:00:00:00:00:01  10.0.0.1              │
└─────────────────────────────────────────────────┘
"""
    assert Picture(text).links() == as_links(links)
    plain = weft("fabric", "show", LC_ALL="C")
    assert plain.isascii() and [len(line) for line in plain.splitlines()] == [len(line) for line in text.splitlines()]


@pytest.mark.parametrize("seed", range(40))
def test_picture_of_any_topology_shows_its_links(fabric, weft, seed):
    """Random multigraphs, with parallel links and cables from a switch to itself: every line leads where its link does."""
    chance = random.Random(seed)
    switches = {dpid: "up" for dpid in chance.sample(range(1, 1 << 16), chance.randrange(1, 13))}
    free = [(dpid, port) for dpid in switches for port in range(1, chance.randrange(2, 12))]
    chance.shuffle(free)
    links = [(free.pop(), free.pop()) for _ in range(chance.randrange(len(free) // 2 + 1))]
    hosts = [(place, f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}", [f"10.0.{i >> 8}.{i & 255}"])
             for i, place in enumerate(place for place in free for _ in range(chance.choice((0, 1, 1, 9))))]
    fabric.topology(switches, links, hosts)
    picture = Picture(weft("fabric", "show", COLUMNS="1000"))
    assert picture.links() == as_links(links), f"seed {seed}"
    assert list(picture.titles) == [f"0x{dpid:x}" for dpid in sorted(switches)]
    for link in links:
        for one, other in (link, link[::-1]):
            assert picture.texts[f"0x{one[0]:x}", one[1]] == [f"to 0x{other[0]:x}:{other[1]}"]
    for place in free:
        here = [f"{mac}  {addresses[0]}" for at, mac, addresses in hosts if at == place]
        expected = here if len(here) <= 7 else here[:6] + [f"... and {len(here) - 6} more"]
        assert picture.texts.get((f"0x{place[0]:x}", place[1]), []) == expected


def test_what_does_not_fit_is_listed(fabric, weft):
    links = [((1, 1), (2, 1), 1, 5), ((1, 2), (2, 2))]
    hosts = [((2, 3), "02:00:00:00:00:01", ["10.0.0.1"])]
    fabric.topology({1: "up", 2: "up"}, links, hosts)
    listed = """
0x1 up
    :1     to 0x2:1
    :2     to 0x2:2
0x2 up
    :1     to 0x1:1  weight 5
    :2     to 0x1:2
    :3     02:00:00:00:00:01  10.0.0.1
"""
    assert weft("fabric", "show", COLUMNS="43").endswith(listed)
    assert "┌" in weft("fabric", "show", COLUMNS="44")
    switches = {dpid: "up" for dpid in range(1, 30)}
    fabric.topology(switches, [((dpid, 1), (dpid + 1, 2)) for dpid in range(1, 29)])
    text = weft("fabric", "show", COLUMNS="1000")
    assert "┌" not in text and "\n0x1d up\n    :2     to 0x1c:1\n" in text


def test_hosts_are_counted_where_they_are_too_many(fabric, weft):
    fabric.topology({1: "up"}, [], n_hosts=100000)
    del fabric.answers["GET", "/hosts"]
    assert "─ 0x1 up, 100000 hosts ─" in weft("fabric", "show")


def test_what_the_answers_lack_is_left_out(fabric, weft):
    """A switch that went between two answers, or a server that answers nonsense, makes no picture wrong."""
    fabric.topology({1: "up", 2: "up"}, [((1, 1), (2, 1)), ((1, 2), (9, 1))], [((9, 3), "02:00:00:00:00:01", [])])
    links = fabric.answers["GET", "/links"][1]["links"]
    links += [{}, {"from": 1, "to": None}, {"from": {"switch": "x", "port": 1}, "to": {"switch": "1", "port": 3}},
              {"from": {"switch": "1", "port": 7}, "to": {"switch": "1", "port": 7}}]
    picture = Picture(weft("fabric", "show"))
    assert picture.links() == as_links([((1, 1), (2, 1))]) and list(picture.titles) == ["0x1", "0x2"]
    fabric.topology({}, [])
    assert weft("fabric", "show").splitlines()[1:] == ["0 switches, 0 links, 0 hosts, 0 flows"]


def test_show_as_json(fabric, weft):
    fabric.topology({0xe1: "up"}, [], [((0xe1, 3), "02:00:00:00:00:01", ["10.0.0.1"])])
    shown = weft.json("fabric", "show")
    assert set(shown) == {"fabric", "switches", "links", "hosts"}
    assert shown["switches"][0]["id"] == E1 and shown["hosts"][0]["at"] == {"switch": E1, "port": 3}
