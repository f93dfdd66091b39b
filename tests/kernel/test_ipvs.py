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
MODULES = ["veth", "ip_vs", *(f"ip_vs_{name}" for name in ipvs_cases.SCHEDULERS)]
PROGRAMS = ["ip", "nsenter", "ipvsadm", "keepalived"]


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
    orders = ipvs_cases.orders()
    return {"lines": [*(line for _, lines, _ in orders for line in lines), *ipvs_packets.lines()],
            "exchanges": [*([name, True, frames] for name, _, frames in orders), *ipvs_packets.exchanges()]}


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

@pytest.mark.parametrize("name", ipvs_cases.ORDERS)
def test_the_order_is_that_of_ipvs(real, director, name):
    """Client's port and server of each packet that went to a server, in order."""
    got, expected = director["exchanges"][name], part(real, "exchanged")["exchanges"][name]
    assert got == expected
    assert bool(got) == (name not in ipvs_cases.NOBODY)


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
