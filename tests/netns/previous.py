"""The release before this one, built from its own source: what hosts run before they are upgraded.

The source comes out of the repository, so a copy without that commit (a shallow clone, a tarball) has no previous release.  It is
built once, into build/previous/<commit>."""

import fcntl
import shutil
import subprocess

import pytest

from lab import ROOT

# With the next release this becomes the tag of this one.
COMMIT = "0f6c8f80de93d767b9727556205d0e355a7ef9d5"


def agent():
    """The path of its weft-agent.  Skips the test where it cannot be had."""
    folder = ROOT / "build" / "previous" / COMMIT
    program = folder / "build" / "src" / "agent" / "weft-agent"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "ready").exists():
            return program
        if not shutil.which("git") or subprocess.run(["git", "-C", ROOT, "cat-file", "-e", COMMIT + "^{commit}"],
                                                     capture_output=True).returncode:
            pytest.skip(f"this copy of the source has no history back to {COMMIT[:12]}, the previous release")
        shutil.rmtree(folder / "source", ignore_errors=True)
        shutil.rmtree(folder / "build", ignore_errors=True)
        (folder / "source").mkdir()
        archive = subprocess.run(["git", "-C", ROOT, "archive", COMMIT], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder / "source"], input=archive, check=True)
        # Without optimization, which makes up most of the time: the programs in the kernel are compiled as always.
        for command in (["meson", "setup", folder / "build", folder / "source", "--buildtype=plain", "-Dwerror=false"],
                        ["ninja", "-C", folder / "build", "src/agent/weft-agent"]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout[-4000:]
        (folder / "ready").touch()
    return program
