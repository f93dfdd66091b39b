"""The kernel's build of the pipeline against the native one, 100,000 random frames: see differential.c."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release"))


def test_kernel_and_native_agree_on_random_frames():
    if os.geteuid():
        pytest.skip("BPF_PROG_TEST_RUN needs root")
    result = subprocess.run([BUILD / "tests" / "bpf" / "differential", "100000"], capture_output=True, text=True, timeout=900)
    print(result.stdout)
    assert result.returncode == 0, result.stderr[-4000:]
    reached = {line.split()[-2] for line in result.stdout.splitlines() if "dropped, " in line and not line.endswith(" 0")}
    assert int(next(line for line in result.stdout.splitlines() if "events for the log" in line).split()[-1]) > 1000
    # What random tables cannot reach here: a full ring needs an agent that does not read.
    assert len(reached) >= 22, f"the random frames reach only {sorted(reached)}"
