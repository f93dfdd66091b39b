"""The director's program in the kernel against its native build: see director.c."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release")) / "tests" / "unit" / "director" / "director-differential"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for BPF")
def test_kernel_and_native_build_agree():
    done = subprocess.run([PROGRAM, "20000"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
