#!/usr/bin/python3
"""weft-ipvsadm does and says what ipvsadm did and said: ipvsadm.transcript, from its first command to its last.

    weft-ipvsadm PROGRAM TRANSCRIPT

What differs on purpose: -S names thresholds, which ipvsadm forgets; a refusal may be explained by a line that begins with "weft-ipvsadm:"."""

import difflib
import os
import re
import subprocess
import sys
import tempfile


def read(path):
    cases = []
    with open(path) as file:
        for line in file.read().splitlines():
            if line.startswith("$ "):
                cases.append((line[2:], []))
            elif cases:
                cases[-1][1].append(line)
    return cases


def run(program, config, text):
    arguments, _, typed = text.partition("<<<")
    done = subprocess.run([program, "--config", config, "--socket", "/nonexistent", *arguments.split()], capture_output=True, text=True,
                          input=typed.strip().replace("\\n", "\n") + "\n", timeout=60)
    said = [f"! {line}" for line in done.stderr.splitlines() if not line.startswith("weft-ipvsadm: ")]
    out = done.stdout.splitlines()
    if arguments.startswith("-S"):
        out = [re.sub(r" -[xy] \d+", "", line) for line in out]
    return out + said + [f"rc {done.returncode}"]


def main(program, transcript):
    different = 0
    hint = re.compile(r"`\S+ -h' or '\S+ --help'")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:  # Each change is synced.
        config = os.path.join(folder, "lb.conf")
        for text, expected in (cases := read(transcript)):
            got = [hint.sub("HINT", line) for line in run(program, config, text)]
            expected = [hint.sub("HINT", line) for line in expected]
            if got != expected:
                different += 1
                print(f"$ {text}", *difflib.unified_diff(expected, got, "ipvsadm", "weft-ipvsadm", lineterm=""), sep="\n")
    print(f"{len(cases)} commands, {different} differ")
    return 1 if different or len(cases) < 300 else 0


sys.exit(main(*sys.argv[1:]))
