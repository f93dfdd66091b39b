"""weft as systemd runs it, on a Debian of its own: installed, started, restarted, rebooted, cut off from power.

    this machine                         guest (QEMU, emulated; init is systemd, the disk outlives its reboots)
    pytest -- console: RESULT {json} --- guest/systemd.py: one check after the other, in three boots

All three boots happen before the first test of this file; each test is one of the guest's checks."""

import ast
import os
import pathlib
import tempfile

import pytest

import debian_guest
import second_kernel

BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", second_kernel.ROOT / "build" / "release"))
SCRIPT = pathlib.Path(__file__).resolve().parent / "guest" / "systemd.py"


def checks():
    """"BOOT/NAME" of everything that the script in the guest goes through."""
    tree = ast.parse(SCRIPT.read_text())
    boots = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "BOOTS")
    return [f"{boot.value}/{check.id}" for boot, row in zip(boots.keys, boots.values) for check in row.elts]


@pytest.fixture(scope="module")
def guest():
    log = second_kernel.ROOT / "build" / "test-logs" / "systemd-console.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weft-systemd-") as work, open(log, "wb") as console:
        try:
            made = debian_guest.Guest(BUILD, work, SCRIPT, [BUILD / "tests" / "tools" / "tap", *debian_guest.certificate("192.0.2.1")])
        except second_kernel.Unavailable as reason:
            pytest.skip(f"no Debian guest can be made here: {reason}")
        results, text = made.run(3, 500, console)
    return {result["name"]: result for result in results}, text


@pytest.mark.parametrize("check", checks())
def test_systemd(guest, check):
    results, text = guest
    assert check in results, f"the guest never came to {check}; the end of its console:\n{text[-4000:]}"
    assert results[check]["ok"], results[check]["text"]
