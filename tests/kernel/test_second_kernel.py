"""weft on Debian's own kernel, the oldest it promises to run on.

    this machine                         guest (QEMU, emulated, Linux 6.1)
    pytest -- console: RESULT {json} --- run.py: one check after the other
                                           weft-api, two hosts (namespaces) with weft-agent, five workloads

One boot for all tests of this file; each test is one of the guest's checks."""

import os
import pathlib
import re
import tempfile

import pytest

import second_kernel

BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", second_kernel.ROOT / "build" / "release"))
HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def guest():
    log = second_kernel.ROOT / "build" / "test-logs" / "second-kernel-console.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weft-kernel-") as work, open(log, "wb") as console:
        kernel = second_kernel.fetch_kernel()
        image = second_kernel.Image(pathlib.Path(work) / "root")
        image.python()
        for program in ("ip", "tc", "ping", "bpftool", "nsenter"):
            image.program(program)
        (image.root / "bin" / "true").symlink_to("busybox")
        image.modules(kernel, second_kernel.MODULES)
        image.file(HERE / "guest" / "run.py", "guest/run.py")
        for module in ("bench/lab.py", "bench/weft.py", "tests/tools/namespaces.py"):
            image.file(second_kernel.ROOT / module, f"guest/{pathlib.Path(module).name}")
        for program in ("src/api/weft-api", "src/agent/weft-agent", "bench/traffic-client", "bench/traffic-server",
                        "tests/bpf/differential", "tests/bpf/maps"):
            image.program(BUILD / program, f"guest/build/{program}")
        image.file(BUILD / "src" / "dataplane" / "weft.bpf.o", "guest/weft.bpf.o")
        for part in ("director", "check", "server"):
            image.file(BUILD / "src" / "director" / f"{part}.bpf.o", f"guest/{part}.bpf.o")
        status, results, text = second_kernel.boot(kernel, image, "BUILD=/guest/build python3 /guest/run.py", work, log=console)
    assert status == 0, text[-6000:]
    return {result["name"]: result for result in results}


@pytest.mark.parametrize("check", [
    "kernel_is_debians", "plain_veth_passes_traffic", "every_program_loads", "the_directors_program_loads", "native_and_kernel_build_agree",
    "the_loader_brings_the_maps_to_what_is_desired", "one_host_passes_traffic", "two_hosts_pass_traffic",
    "a_broadcast_reaches_every_port_once", "frames_that_are_not_ip_pass_between_hosts", "dhcp_is_answered",
    "a_spoofed_source_is_dropped", "an_agent_dies_and_traffic_goes_on"])
def test_second_kernel(guest, check):
    assert check in guest, f"the guest never came to {check}; it said {list(guest)}"
    assert guest[check]["ok"], guest[check]["text"]


def test_the_programs_that_loaded_are_all_there_are(guest):
    source = (second_kernel.ROOT / "src" / "dataplane" / "bpf" / "weft.bpf.c").read_text()
    declared = set(re.findall(r"^PROGRAM int (\w+)", source, re.M))
    assert declared and set(guest["every_program_loads"]["text"].split()) == declared
