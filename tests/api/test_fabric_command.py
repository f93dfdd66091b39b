"""'weft fabric ...' against the real weft-fabric, which controls emulated switches: what the fake server of tests/unit/cli cannot prove."""

import json
import os
import re
import subprocess

import pytest

from fabric_lab import BUILD, REFERENCE, REFERENCE_LINKS, Fabric, udp

ALICE, BOB = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Weft:
    def __init__(self, fabric, folder):
        self.environment = {"HOME": str(folder), "LC_ALL": "C.UTF-8", "WEFT_FABRIC_URL": fabric.url}

    def run(self, *arguments, stdin=None, **environment):
        return subprocess.run([BUILD / "src/cli/weft", "fabric", *map(str, arguments)], env={**self.environment, **environment},
                              capture_output=True, text=True, input=stdin, timeout=60)

    def __call__(self, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def rows(self, *arguments):
        return [re.split("  +", line.strip()) for line in self(*arguments).splitlines()[1:]]


@pytest.fixture(scope="module")
def fabric(tmp_path_factory):
    running = Fabric(tmp_path_factory.mktemp("fabric")).start()
    try:
        network = running.network(REFERENCE, REFERENCE_LINKS)
        running.host(network, (0xe5, 3), ALICE, "10.0.0.1")
        running.host(network, (0xe4, 3), BOB, "10.0.0.2")
        yield running
    finally:
        running.stop()


@pytest.fixture
def weft(fabric, tmp_path):
    return Weft(fabric, tmp_path)


def test_show_draws_what_is_there(weft):
    assert weft("show").split("\n", 1)[1] == """\
5 switches, 6 links, 2 hosts, 0 flows

┌─ 0xe1 up ──────────────────────────┐
│ :1     to 0xe2:3                   ├──┐
│ :2     to 0xe3:2                   ├──│──┐
└────────────────────────────────────┘  │  │
┌─ 0xe2 up ──────────────────────────┐  │  │
│ :1     to 0xe5:2                   ├──│──│────────┐
│ :2     to 0xe4:2                   ├──│──│──┐     │
│ :3     to 0xe1:1                   ├──┘  │  │     │
└────────────────────────────────────┘     │  │     │
┌─ 0xe3 up ──────────────────────────┐     │  │     │
│ :1     to 0xe5:1                   ├─────│──│──┐  │
│ :2     to 0xe1:2                   ├─────┘  │  │  │
│ :4     to 0xe4:1                   ├──┐     │  │  │
└────────────────────────────────────┘  │     │  │  │
┌─ 0xe4 up ──────────────────────────┐  │     │  │  │
│ :1     to 0xe3:4                   ├──┘     │  │  │
│ :2     to 0xe2:2                   ├────────┘  │  │
│ :3     02:00:00:00:00:02  10.0.0.2 │           │  │
└────────────────────────────────────┘           │  │
┌─ 0xe5 up ──────────────────────────┐           │  │
│ :1     to 0xe3:1                   ├───────────┘  │
│ :2     to 0xe2:1                   ├──────────────┘
│ :3     02:00:00:00:00:01  10.0.0.1 │
└────────────────────────────────────┘
"""


def test_every_list_is_as_the_controller_says(weft):
    assert [row[0] for row in weft.rows("switch", "list")] == ["0xe1", "0xe2", "0xe3", "0xe4", "0xe5"]
    assert weft.rows("link", "list")[0] == ["0xe1:1", "0xe2:3", "1", "1"] and len(weft.rows("link", "list")) == 6
    assert [row[:3] for row in weft.rows("host", "list", "--switch", "228")] == [[BOB, "10.0.0.2", "0xe4:3"]]
    assert re.search(r"^3 +p3 +true +host +1 +1 ", weft("switch", "show", "0xe5"), re.M)
    assert {row[0] for row in weft.rows("paths", ALICE, "10.0.0.2")} == {
        "0xe5 :1 -> 1: 0xe3 :4 -> 1: 0xe4", "0xe5 :2 -> 1: 0xe2 :2 -> 2: 0xe4"}
    assert weft.rows("paths", "0xe4", BOB) == [["0xe4", "0", "100 %", "0"]]
    assert ["events.switch_up", "5"] in weft.rows("statistics")


def test_flows_are_on_the_paths_they_say(fabric, weft):
    network = fabric.networks[0]
    for port in range(2000, 2008):
        network.say((0xe5, 3), udp((ALICE, "10.0.0.1"), (BOB, "10.0.0.2"), port, 53))
    fabric.wait_for(flows=8)
    flows = weft.rows("flow", "list", "--host", BOB)
    assert len(flows) == 8 and {row[2] for row in flows} == {"udp"}
    counts = {row[0]: int(row[3]) for row in weft.rows("paths", "0xe5", "0xe4")}
    assert counts == {path: sum(row[7] == path for row in flows) for path in counts} and sum(counts.values()) == 8


def test_weight_role_and_slices_take_effect(fabric, weft):
    weft("port", "set", "0xe5", "1", "--weight", "10")
    assert [row[0] for row in weft.rows("paths", "0xe5", "0xe4")] == ["0xe5 :2 -> 1: 0xe2 :2 -> 2: 0xe4"]
    weft("port", "set", "0xe5", "1", "--weight", "1")
    assert weft("role", "set", "master", "-o", "value", "-c", "role") == "master\n"
    weft("role", "set", "equal")
    weft("slice", "set", "red", "--binding", "switch=229,port=3", "--binding", f"mac={BOB}")
    assert {row[3] for row in weft.rows("host", "list")} == {"red"}
    assert weft.rows("slice", "list") == [["red", "2", f"0xe5:3, {BOB}"]]
    weft("slice", "set", "blue", "--file", "-", stdin=json.dumps({"bindings": [{"switch": 1, "port": 1, "vlan": "untagged"}]}))
    result = weft.run("slice", "set", "blue", "--binding", f"mac={BOB}")
    assert (result.returncode, result.stderr) == (1, "weft: slice.bindings[0]: belongs to slice 'red'.\n")
    weft("slice", "delete", "red", "blue")
    assert weft("slice", "list", "-o", "json").strip() == "[]"


def test_what_is_not_there(weft):
    for arguments in (["switch", "show", "1"], ["slice", "show", "none"], ["slice", "delete", "none"], ["paths", "1", "2"],
                      ["flow", "list", "--host", "10.9.9.9"], ["port", "set", "0xe5", "9", "--weight", "1"], ["host", "list", "--switch", "7"]):
        result = weft.run(*arguments)
        assert result.returncode == 3 and "could not be found" in result.stderr, arguments


def test_tls_and_a_token(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=fabric",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"],
                   check=True, capture_output=True)
    (tmp_path / "token").write_text("0123456789abcdef\n")
    fabric = Fabric(tmp_path, "--http-tls-certificate", tmp_path / "certificate.pem", "--http-tls-key", tmp_path / "key.pem",
                    "--http-token-file", tmp_path / "token").start()
    try:
        assert fabric.url.startswith("https://")
        weft = Weft(fabric, tmp_path)
        ca, token = ["--fabric-ca", tmp_path / "certificate.pem"], ["--fabric-token-file", tmp_path / "token"]
        assert "0 switches, 0 links, 0 hosts, 0 flows" in weft("show", *ca, *token)
        assert weft.run("show", *ca).returncode == 4
        result = weft.run("show", *token)
        assert result.returncode == 5 and "certificate" in result.stderr
    finally:
        fabric.stop()


def test_after_the_controller_has_gone(tmp_path):
    fabric = Fabric(tmp_path).start()
    fabric.stop()
    result = Weft(fabric, tmp_path).run("show")
    assert result.returncode == 5 and "weft-fabric cannot be reached" in result.stderr
