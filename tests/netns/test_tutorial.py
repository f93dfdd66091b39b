"""The tutorial's commands, block by block in one shell, against the demo that it tells the reader to start."""

import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and eBPF need root")


@pytest.fixture
def demo():
    process = subprocess.Popen([ROOT / "demo" / "demo"], env={**os.environ, "BUILD": str(BUILD), "ONCE": ""},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends the demo" in line:
                break
        else:
            pytest.fail("the demo ended early:\n" + "".join(lines))
        yield pathlib.Path(f"/run/weft-demo/{process.pid}")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert not pathlib.Path(f"/run/weft-demo/{process.pid}").exists()


def commands():
    """The blocks as a script that stops at the first command that fails; '! command' must fail."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    script = ["set -e -o pipefail"]
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        for command in re.sub(r"\\\n\s*", "", block).splitlines():
            if command.startswith("! "):
                command = f"if {command[2:]}; then echo 'this must fail'; exit 1; fi"
            script += [f"echo + {shlex.quote(command)}", command]
    return "\n".join(script)


def test_every_block_works(demo):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    result = subprocess.run(["bash", "-c", commands()], env={**environment, "DEMO_DIR": str(demo)}, capture_output=True,
                            text=True, stdin=subprocess.DEVNULL, timeout=600)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
