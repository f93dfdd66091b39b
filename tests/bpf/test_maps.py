"""The loader against a real kernel: see maps.c and epochs.c."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for BPF")
@pytest.mark.parametrize("program", ["maps", "epochs"])
def test_the_loader_brings_the_maps_to_what_is_desired(program):
    path = f"/sys/fs/bpf/wft{os.getpid()}-{program}"
    try:
        done = subprocess.run([BUILD / "tests/bpf" / program, path], capture_output=True, text=True, timeout=400)
    finally:
        shutil.rmtree(path, ignore_errors=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
