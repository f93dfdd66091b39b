"""'make demo ONCE=1' works, with a bridge or the fabric below, and so do 'make demo-fabric' and 'make demo-director'; and nothing stays behind them: after a
run, after Ctrl-C, and, at the next start, after a crash."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from namespaces import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))
DEMOS = {"demo": "red-2 --host-netns", "fabric": "weft fabric host list", "director": "--rate 100/s"}  # And a line of each in the middle.

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and eBPF need root")


def start(name="demo", **environment):
    return subprocess.Popen([ROOT / "demo" / name], env={**os.environ, "BUILD": str(BUILD), "ONCE": "1", **environment},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def left_behind(pid):
    """Whatever carries the demo's process id."""
    found = [path for folder in ("/run/netns", "/run/weft-lab") for name in DEMOS for path in pathlib.Path(folder).glob(f"{name}{pid}-*")]
    found += [p for p in (pathlib.Path("/sys/class/net") / f"weft{pid}", pathlib.Path(f"/run/weft-demo/{pid}"),
                          pathlib.Path(f"/sys/fs/bpf/weft-demo/{pid}")) if p.exists()]
    found += list(pathlib.Path("/run/weft").glob(f"lock_sys_fs_bpf_weft-demo_{pid}_*"))
    mark = f"/weft-demo/{pid}/".encode()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "cmdline").read_bytes():
                found.append(folder)
        except OSError:
            pass  # It ended meanwhile.
    return found


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail("the demo ended early:\n" + "".join(lines))


@pytest.mark.parametrize("name, environment, promises", [("demo", {}, 20), ("demo", {"UNDERLAY": "fabric"}, 22), ("fabric", {}, 7), ("director", {}, 9)])
def test_the_demo_works_and_leaves_nothing(name, environment, promises):
    process = start(name, **environment)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert "Everything shown worked" in output
    assert len(re.findall(r"^  ok ", output, re.M)) >= promises
    assert left_behind(process.pid) == []


@pytest.mark.parametrize("name", DEMOS)
def test_interrupted_it_leaves_nothing(name):
    process = start(name)
    read_until(process, DEMOS[name])
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert left_behind(process.pid) == []


def test_a_program_that_starts_while_we_are_interrupted_is_ended_too(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "demo"), *sys.path])
    import stage

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            signal.raise_signal(signal.SIGINT)  # It runs, and nobody has heard of it.

    monkeypatch.setattr(stage.subprocess, "Popen", Interrupted)
    before = signal.signal(signal.SIGINT, stage.interruption)
    try:
        with pytest.raises(KeyboardInterrupt):
            stage.complete(["sleep", "60"])
    finally:
        signal.signal(signal.SIGINT, before)
    (process,) = stage.started
    assert process.poll() is None
    stage.end_started()
    assert process.returncode == -signal.SIGTERM
    assert stage.started == []


@pytest.mark.parametrize("name", DEMOS)
def test_what_a_crash_leaves_the_next_start_removes(name):
    crashed = start(name)
    read_until(crashed, DEMOS[name])
    assert left_behind(crashed.pid) != []  # Looked at before: another demo that starts beside this test would clear it away too.
    crashed.kill()
    crashed.communicate(timeout=60)
    following = start()
    read_until(following, "1. A cloud in a box")
    assert left_behind(crashed.pid) == []
    following.send_signal(signal.SIGTERM)
    following.communicate(timeout=60)
    wait_for(lambda: not left_behind(following.pid), "the demo to leave nothing behind")
