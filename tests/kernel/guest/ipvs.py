"""Runs inside the second kernel: what Debian's ipvsadm, keepalived and IPVS do with what /guest/ipvs.json asks; answers are lines
"RESULT {json}"."""

import json
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(0, "/guest")
import wire  # noqa: E402
from namespaces import wait_for  # noqa: E402

WEFT = ["/guest/weft-ipvsadm", "--config", "/tmp/lb.conf", "--socket", "/nonexistent", "--unchecked"]


def result(name, value, ok=True):
    print("RESULT " + json.dumps({"name": name, "ok": ok, "value": value}), flush=True)


def run(command, typed=""):
    """[standard output, standard error, exit status]"""
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=200)
    return [done.stdout, done.stderr, done.returncode]


def run_many(program, commands):
    """As run() for each of [arguments, what is typed], one after the other (many.c)."""
    asked = "".join("".join(f"{word}\n" for word in [*program[1:], *arguments.split()]) + f"\0{text}\0" for arguments, text in commands)
    done = subprocess.run(program[:1], input=asked, capture_output=True, text=True, timeout=200, env={**os.environ, "LD_PRELOAD": "/guest/many.so"})
    parts = done.stdout.split("\0")
    if len(parts) != 3 * len(commands) + 1:
        raise RuntimeError(f"{program}: {len(parts)} answers, {done.stderr}")
    return [[parts[i], parts[i + 1], int(parts[i + 2])] for i in range(0, len(parts) - 1, 3)]


def typed(commands):
    """What ipvsadm says to each, one after the other, from an empty table."""
    return run_many(["ipvsadm"], commands)


def listed(asked):
    """What ipvsadm and weft-ipvsadm make of the same table: {which: {listing: answer}}, and the table that each saved, restored by the other."""
    answers = {}
    for which, program in (("real", ["ipvsadm"]), ("ours", WEFT)):
        said = run_many(program, [["-C", ""], ["-R", asked["table"]], *([listing, ""] for listing in asked["listings"])])
        answers[which] = dict(zip(["clear", "restore", *asked["listings"]], said))
    saved = {which: answers[which]["-S -n"][0] for which in answers}
    for which, program, other in (("real", ["ipvsadm"], "ours"), ("ours", WEFT, "real")):
        answers[which]["restored"] = run_many(program, [["-C", ""], ["-R", saved[other]], ["-L -n --thresholds", ""], ["-S -n", ""], ["-C", ""]])
    return answers


def settled(read):
    """What is read when it changes no more: the kernel adds up its counters every two seconds."""
    before = None
    while (now := read()) != before:
        before = now
        time.sleep(5)
    return now


def exchanged(asked):
    """What IPVS does with {"lines": for ipvsadm, "rules": for nft, "exchanges": as exchange_all() has them, "later": the same once more}, and its counters in between."""
    with wire.Wire("ipvs") as on:
        inside = ["nsenter", "--net=/run/netns/ipvs"]

        def restore(lines):
            restored = run([*inside, "ipvsadm", "-R"], "\n".join(lines) + "\n")
            if restored != ["", "", 0]:
                raise RuntimeError(restored)

        restore(asked["lines"])
        marked = run([*inside, "nft", "-f", "-"], asked["rules"])
        if marked != ["", "", 0]:
            raise RuntimeError(marked)
        exchanges = wire.exchange_all(on, asked["exchanges"])
        counters = settled(lambda: run([*inside, "ipvsadm", "-L", "-n", "--stats", "--exact"])[0])
        restore(asked["later"]["lines"])
        return {"exchanges": exchanges | wire.exchange_all(on, asked["later"]["exchanges"]), "counters": counters}


def imported(asked):
    """The table that keepalived makes of its file, and what it said; it has come to the end when the table has 'last'."""
    with open("/tmp/keepalived.conf", "w") as file:
        file.write(asked["file"])
    run(["ipvsadm", "-C"])
    with open("/tmp/keepalived.log", "w+") as log:
        keepalived = subprocess.Popen(["keepalived", "--dont-fork", "--log-console", "--check", "--use-file", "/tmp/keepalived.conf"], stdout=log,
                                      stderr=log)
        try:
            table = wait_for(lambda: asked["last"] in (now := run(["ipvsadm", "-S", "-n"])[0]) and now or keepalived.poll() is not None and "ended",
                             "keepalived to make its table", timeout=200, interval=0.3)
        finally:
            keepalived.terminate()
            keepalived.wait()
            log.seek(0)
            said = log.read()[-20000:]
    return {"table": table, "said": said}


PARTS = {"typed": typed, "listed": listed, "exchanged": exchanged, "imported": imported}


def main():
    with open("/guest/ipvs.json") as file:
        asked = json.load(file)
    run(["ip", "link", "set", "lo", "up"])  # Without an address the kernel takes none for a host's.
    for name, what in asked.items():
        began = time.monotonic()
        try:
            result(name, PARTS[name](what))
        except Exception:
            result(name, traceback.format_exc(), False)
        print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
