"""Real IPVS as the oracle of weft's director.

    guest (QEMU, emulated, Linux 6.1)                   this machine
    Debian's ipvsadm, ip_vs  -- guest/wire.py           weft-ipvsadm, weft-agent -- guest/wire.py
    keepalived                                          weft lb import
    the same commands, tables and frames (ipvs_cases.py, ipvs_packets.py) to both; what came of them is compared

One boot for all tests of this file.  What differs on purpose has its reason here, and in docs/director.md ("Differences from IPVS")."""

import importlib.util
import json
import pathlib
import re
import subprocess
import tempfile

import pytest

import ipvs_cases
import ipvs_packets
import ours
import second_kernel

HERE = pathlib.Path(__file__).resolve().parent
UNIT = second_kernel.ROOT / "tests" / "unit" / "director"
MODULES = ["veth", "nf_tables", "ip_vs", *(f"ip_vs_{name}" for name in ipvs_cases.SCHEDULERS)]
PROGRAMS = ["ip", "nsenter", "ipvsadm", "keepalived", "nft"]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRANSCRIPT = load(UNIT / "test_ipvsadm.py").read(UNIT / "ipvsadm.transcript")


def typed():
    """[[arguments, what is typed]] of the transcript."""
    return [[arguments, text.strip().replace("\\n", "\n") + "\n"] for arguments, _, text in (case.partition("<<<") for case, _ in TRANSCRIPT)]


def exchanged():
    orders, (before, after), marked = ipvs_cases.orders(), ipvs_cases.drained(), ipvs_cases.marked()
    rules = "\n".join([*marked["rules"], *ipvs_packets.rules()])
    return {"lines": [*(line for _, lines, _ in orders for line in lines), *before["lines"], *marked["lines"], *ipvs_packets.lines()],
            "rules": f"table inet marks {{\nchain in {{\ntype filter hook prerouting priority mangle; policy accept;\n{rules}\n}}\n}}\n",
            "exchanges": [*([name, True, frames] for name, _, frames in orders), *before["exchanges"], *marked["exchanges"], *ipvs_packets.exchanges()],
            "later": after}


KEEPALIVED = HERE / "keepalived.conf"
ASKED = {"typed": typed(), "listed": {"table": ipvs_cases.TABLE, "listings": ipvs_cases.LISTINGS}, "exchanged": exchanged(),
         "imported": {"file": KEEPALIVED.read_text(), "last": "10.0.0.250:1 "}}


@pytest.fixture(scope="module")
def real():
    log = second_kernel.ROOT / "build" / "test-logs" / "ipvs-console.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weft-ipvs-") as work, open(log, "wb") as console:
        kernel = second_kernel.fetch_kernel()
        image = second_kernel.Image(pathlib.Path(work) / "root")
        image.python()
        for program in PROGRAMS:
            image.program(program)
        for file in ("/etc/services", "/etc/protocols"):
            image.file(file)
        (image.root / "etc" / "hosts").write_text(ipvs_cases.HOSTS)
        (image.root / "etc" / "nsswitch.conf").write_text("hosts: files\n")
        image.modules(kernel, MODULES)
        for file in ("tests/kernel/guest/ipvs.py", "tests/kernel/guest/wire.py", "tests/tools/namespaces.py"):
            image.file(second_kernel.ROOT / file, f"guest/{pathlib.Path(file).name}")
        subprocess.run(["gcc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", image.root / "guest" / "many.so", HERE / "guest" / "many.c"], check=True)
        image.program(ours.BUILD / "src" / "cli" / "weft-ipvsadm", "guest/weft-ipvsadm")
        (image.root / "guest" / "ipvs.json").write_text(json.dumps(ASKED))
        status, results, text = second_kernel.boot(kernel, image, "python3 /guest/ipvs.py", work, log=console, memory_mb=512)
    assert status == 0, text[-6000:]
    return {result["name"]: result for result in results}


def part(real, name):
    assert name in real, f"the guest never came to {name}; it said {list(real)}"
    assert real[name]["ok"], real[name]["value"]
    return real[name]["value"]


@pytest.fixture(scope="module")
def director():
    return ours.answers(ASKED["exchanged"])


# ---- commands and listings ----------------------------------------------------------------------------------------------------------

def test_the_transcript_is_what_ipvsadm_says(real):
    """tests/unit has weft-ipvsadm do and say what the transcript says: 344 commands, of which half are refused."""
    hint = re.compile(r"`\S+ -h' or '\S+ --help'")
    said = []
    for out, err, status in part(real, "typed"):
        said.append([hint.sub("HINT", line) for line in [*out.splitlines(), *(f"! {line}" for line in err.splitlines()), f"rc {status}"]])
    for (case, expected), got in zip(TRANSCRIPT, said, strict=True):
        assert got == [hint.sub("HINT", line) for line in expected], case


def comparable(listing, answer):
    """Lines, exit status: without the thresholds that our -S does not forget, and what we say besides."""
    out, err, status = answer
    if listing.startswith("-S"):
        out = re.sub(r"(?m) -[xy] \d+", "", out)
    lines = [*out.splitlines(), *(line for line in err.splitlines() if not line.startswith("weft-ipvsadm: ")), status]
    return lines if "--nosort" not in listing else in_any_order(lines)


def in_any_order(lines):
    """Services as they come out of the kernel's hash table are in no order; their servers are in theirs."""
    return lines[:3], sorted(re.split(r"(?m)^(?=\w)", "\n".join(map(str, lines[3:-1])) + "\n")), lines[-1]


@pytest.mark.parametrize("listing", ["restore", *ipvs_cases.LISTINGS])
def test_listings_are_ipvsadms(real, listing):
    answers = part(real, "listed")
    assert comparable(listing, answers["ours"][listing]) == comparable(listing, answers["real"][listing])


def test_each_restores_what_the_other_has_saved(real):
    answers = part(real, "listed")
    for which in ("real", "ours"):
        _, restored, _, saved, _ = answers[which]["restored"]
        assert restored[2] == 0, restored
        assert comparable("-S", saved) == comparable("-S", answers["real"]["-S -n"])
    # ipvsadm's -S does not say them, so only the kernel, which has restored ours, has them again.
    assert answers["real"]["restored"][2][0] == answers["real"]["-L -n --thresholds"][0]


# ---- whose turn it is ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [*ipvs_cases.ORDERS, *ipvs_cases.MARKED])
def test_the_order_is_that_of_ipvs(real, director, name):
    """Client's port and server of each packet that went to a server, in order."""
    got, expected = director["exchanges"][name], part(real, "exchanged")["exchanges"][name]
    assert got == expected
    assert bool(got) == (name not in ipvs_cases.NOBODY)


# ---- who drains ---------------------------------------------------------------------------------------------------------------------

def drained_clients(exchanges, name):
    """{"refused": clients of whom a new connection is, "moved": those whose other one has another server or none, "drained": whose server drains,
    "new": servers of new connections}"""
    def of(case, first):
        return {port - first: server for port, server in exchanges[case] if port - first in ipvs_cases.DRAINED_CLIENTS}

    draining = 12 if ipvs_cases.DRAINED[name][1] > 1 else 11
    before, after, new = of(name, 1000), of(f"{name}, drained", 1000), of(f"{name}, drained", 1000 + ipvs_cases.NEW_PORT)
    assert set(before) == set(ipvs_cases.DRAINED_CLIENTS)
    return {"refused": set(before) - set(new), "moved": {client for client in before if after.get(client) != before[client]},
            "drained": {client for client in before if before[client] == draining}, "new": set(new.values()), "draining": draining}


@pytest.mark.parametrize("name", ipvs_cases.DRAINED)
def test_a_server_of_weight_0_gets_nothing_new(real, director, name):
    """Rows are each one's own, so that clients differ; who is refused, and what becomes of connections, does not."""
    ours_has, real_has = (drained_clients(source["exchanges"], name) for source in (director, part(real, "exchanged")))
    for has in (ours_has, real_has):
        assert has["drained"] and has["draining"] not in has["new"]
        assert bool(has["refused"]) == ("fallback" not in name)
        if "port" not in name and "fallback" not in name:
            assert has["refused"] == has["drained"]
    assert not real_has["moved"]
    # Nothing is remembered here: with the flag those go to the server that has the row now.
    assert ours_has["moved"] == (ours_has["drained"] if "fallback" in name else set())


# ---- counters -----------------------------------------------------------------------------------------------------------------------

def counters(listing):
    """{service or (service, server): [connections, packets in and out, bytes in and out]}"""
    found, service = {}, None
    for line in listing.splitlines()[3:]:
        words = [word for word in line.split() if word != "IPv6"]
        if words[0] == "->":
            found[service, words[1]] = list(map(int, words[2:]))
        else:
            service = " ".join(words[:2])
            found[service] = list(map(int, words[2:]))
    return found


def test_counters_are_those_of_ipvs(real, director):
    """Of services, and of servers but those that hash services have by rows, which are each one's own.  IPVS counts what it has put together, we what comes."""
    hashing = {f"TCP {address}:80" for address in ipvs_cases.drained_addresses()}
    # Answers do not pass: all that goes out is what IPVS says itself, which counts nowhere here.
    silent = {f"{name} {ipvs_packets.bracket(virtual)}:80" for way, (_, virtual, *_) in ipvs_packets.WAYS.items() if not way.startswith("nat")
              for name in ("TCP", "UDP", "SCTP")}
    silent |= {f"FWM {mark}" for way, mark in ipvs_packets.MARKS.items() if not way.startswith("nat")}
    in_fragments = {f"{name} {ipvs_packets.bracket(virtual)}:80" for way, (_, virtual, *_) in ipvs_packets.WAYS.items() if way.endswith(", fragments")
                    for name in ("TCP", "UDP")}
    got, expected = counters(director["counters"]), counters(part(real, "exchanged")["counters"])
    assert got.keys() == expected.keys()
    for key in [key for key in got if key[0] in hashing]:
        del got[key], expected[key]
    for key in [key for key in got if (key[0] if isinstance(key, tuple) else key) in in_fragments]:
        assert got[key][1] > expected[key][1] and got[key][0] == expected[key][0], key
        del got[key], expected[key]
    n_errors = 0
    for key in got:
        if (key[0] if isinstance(key, tuple) else key) in silent:
            assert got[key][2] == got[key][4] == 0, key
            n_errors += expected[key][2]
            expected[key][2] = expected[key][4] = 0
    assert n_errors
    assert {key: (got[key], expected[key]) for key in got if got[key] != expected[key]} == {}
    assert any(values[2] for values in got.values()) and len(got) > 150


# ---- packets ------------------------------------------------------------------------------------------------------------------------

def reasons(case, field):
    return {number for number, (cases, fields, _) in enumerate(ipvs_packets.DIFFERENCES) if re.fullmatch(cases, case) and re.fullmatch(fields, field)}


def differing(real, director, way):
    theirs = part(real, "exchanged")["exchanges"]
    return {(case, field): values for case, frames in director["exchanges"].items() if case.startswith(f"{way}: ")
            for field, values in ipvs_packets.differences(frames, theirs[case]).items()}


@pytest.mark.parametrize("way", ipvs_packets.WAYS)
def test_packets_are_those_of_ipvs(real, director, way):
    """Each field of all that the director sends, (ours, IPVS's)."""
    assert not {where: values for where, values in differing(real, director, way).items() if not reasons(*where)}


def test_every_difference_that_is_allowed_is_there(real, director):
    seen = set()
    for way in ipvs_packets.WAYS:
        for where in differing(real, director, way):
            seen |= reasons(*where)
    assert [text for number, (*_, text) in enumerate(ipvs_packets.DIFFERENCES) if number not in seen] == []


# ---- keepalived ---------------------------------------------------------------------------------------------------------------------

def test_an_import_is_what_keepalived_makes_of_its_file(real, tmp_path):
    config = tmp_path / "lb.conf"
    subprocess.run([ours.BUILD / "src/cli/weft", "lb", "import", KEEPALIVED, "--to", config], check=True, stderr=subprocess.PIPE, timeout=60)
    saved = subprocess.run([ours.BUILD / "src/cli/weft-ipvsadm", "--config", config, "-S", "-n"], check=True, stdout=subprocess.PIPE, text=True,
                           timeout=60).stdout
    theirs = part(real, "imported")
    assert comparable("-S", [saved, "", 0]) == comparable("-S", [theirs["table"], "", 0]), theirs["said"]
    assert len(saved.splitlines()) > 40
