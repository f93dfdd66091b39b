"""Runs inside the second kernel, as the only program of the guest; every line "RESULT {json}" is one check."""

import json
import os
import platform
import shutil
import subprocess
import sys
import traceback


def result(name, ok, text=""):
    print("RESULT " + json.dumps({"name": name, "ok": bool(ok), "text": str(text)[-4000:]}), flush=True)


def command(*arguments, timeout=60):
    done = subprocess.run([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def kernel_is_debians():
    release = platform.release()
    if not release.startswith("6.1."):
        raise RuntimeError(f"this is Linux {release}")
    return release


def plain_veth_passes_traffic():
    """The guest itself works: without this a failure below would say nothing about the data plane."""
    for name in ("plain-a", "plain-b"):
        command("/bin/ip", "netns", "add", name)
    command("/bin/ip", "link", "add", "e0", "netns", "plain-a", "type", "veth", "peer", "name", "e0", "netns", "plain-b")
    for number, name in enumerate(("plain-a", "plain-b"), 1):
        command("/bin/ip", "-n", name, "addr", "add", f"10.1.0.{number}/24", "dev", "e0")
        command("/bin/ip", "-n", name, "link", "set", "e0", "up")
    command("/bin/tc", "-n", "plain-a", "qdisc", "add", "dev", "e0", "clsact")
    command("/bin/ip", "netns", "exec", "plain-a", "/bin/ping", "-c1", "-W5", "10.1.0.2")
    for name in ("plain-a", "plain-b"):
        command("/bin/ip", "netns", "del", name)


def every_program_loads():
    """Through the oldest verifier we promise; its log is in the text when it says no."""
    command("/bin/bpftool", "prog", "loadall", "/guest/weft.bpf.o", "/sys/fs/bpf/loaded", timeout=200)
    names = sorted(os.listdir("/sys/fs/bpf/loaded"))
    shutil.rmtree("/sys/fs/bpf/loaded")
    return " ".join(names)


CHECKS = [kernel_is_debians, plain_veth_passes_traffic, every_program_loads]


def main():
    for check in CHECKS:
        try:
            result(check.__name__, True, check())
        except Exception:
            result(check.__name__, False, traceback.format_exc())
    return 0


if __name__ == "__main__":
    sys.exit(main())
