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
    done = subprocess.run([program, "--config", config, "--socket", "/nonexistent", "--unchecked", *arguments.split()], capture_output=True, text=True,
                          input=typed.strip().replace("\\n", "\n") + "\n", timeout=60)
    said = [f"! {line}" for line in done.stderr.splitlines() if not line.startswith("weft-ipvsadm: ")]
    out = done.stdout.splitlines()
    if arguments.startswith("-S"):
        out = [re.sub(r" -[xy] \d+", "", line) for line in out]
    return out + said + [f"rc {done.returncode}"]


def refuses(program, config):
    """Without --unchecked what the director would leave out is refused, and not written."""
    def call(*arguments, text=""):
        done = subprocess.run([program, "--config", config, *arguments], capture_output=True, text=True, input=text, timeout=60)
        return done.returncode, done.stderr
    good = ("-A", "-t", "192.0.2.1:80", "-s", "lblc")
    add = ("-a", "-t", "192.0.2.1:80", "-r", "10.0.0.1:80", "-g")
    bad = ("-a", "-u", "192.0.2.2:80", "-r", "10.0.0.2:80", "-m")
    got = [call(*good)[0], call(*add)[0], call("-A", "-u", "192.0.2.2:80", "-s", "rr", "-o")[0]]
    status, said = call(*bad)
    restored = call("-R", text=" ".join(bad) + "\n")
    with open(config) as file:
        written = file.read()
    if got == [0, 0, 0] and status and restored[0] and "servers[0].forwarding: 'nat' of a one-packet service" in said and "10.0.0.2" not in written and "10.0.0.1" in written:
        return True
    print("what the director does not do is not refused:", got, status, said, restored, written)
    return False


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
        different += not refuses(program, os.path.join(folder, "checked.conf"))
    print(f"{len(cases)} commands, {different} differ")
    return 1 if different or len(cases) < 300 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
