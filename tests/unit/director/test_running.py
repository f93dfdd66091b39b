#!/usr/bin/python3
"""What weft-ipvsadm and 'weft lb' show of a running director: one that says what it is told to.

    test_running.py WEFT WEFT-IPVSADM"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

CONFIG = {"services": [{"protocol": "tcp", "address": "192.0.2.1", "port": 80, "servers": [
    {"address": "10.0.0.1", "weight": 3}, {"address": "10.0.0.2", "weight": 3}, {"address": "10.0.0.3", "weight": 3}]}]}
NUMBERS = [1, 2, 3, 4, 5]
KEY = {"protocol": "tcp", "address": "192.0.2.1", "port": 80}


def server(number, up, used, weight, reason=""):
    return {"address": f"10.0.0.{number}", "port": 80, "sorry": False, "up": up, "used": used, "weight": weight, "reason": reason, "active": 7,
            "inactive": 8, "persistent": 9, "total": NUMBERS, "rate": NUMBERS}


STATE = {"config_path": "/etc/weft/lb.conf", "config_error": "services[1]: no", "connections": 1, "services": [{
    "service": KEY, "quorum": True, "total": NUMBERS, "rate": NUMBERS,
    "servers": [server(1, True, True, 3), server(2, False, False, 3, "tcp 10.0.0.2:80: refused"), server(3, False, True, 0)]}]}
DROPS = {"drops": {"no_neighbor": {"packets": 1234, "text": "the next hop's MAC is not known"}}}
ROWS = {"services": [{"service": KEY, "rows": 1000, "servers": [600, 0, 400], "moved": 400, "moved_ms_ago": 61000}]}
CONNECTIONS = {"cut": True, "connections": [[6, 61, "ESTABLISHED", False, "203.0.113.9", 4000, "192.0.2.1", 80, "10.0.0.1", 80]]}
asked = []


def answer(request):
    asked.append(request)
    answers = {"director": STATE, "director-connections": CONNECTIONS, "director-zero": {"ok": True}, "director-drops": DROPS, "director-rows": ROWS}
    return answers.get(request["operation"], {"error": "what?"})


def serve(listener):
    while True:
        client, _ = listener.accept()
        with client, client.makefile("rw") as lines:
            lines.write(json.dumps(answer(json.loads(lines.readline()))) + "\n")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return done.returncode, done.stdout, done.stderr


def check(got, expected):
    assert got == expected, f"\n{got}\nis not\n{expected}"


def main(weft, ipvsadm):
    with tempfile.TemporaryDirectory() as folder:
        path, config = os.path.join(folder, "sock"), os.path.join(folder, "lb.conf")
        with open(config, "w") as file:
            json.dump(CONFIG, file)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        files = ["--config", config, "--socket", path]

        status, out, said = run(ipvsadm, *files, "-L", "-n")
        check((status, said), (0, "weft-ipvsadm: the director does not do all that the file says: services[1]: no\n"))
        check(out.splitlines()[3:], ["TCP  192.0.2.1:80 wlc",
                                     "  -> 10.0.0.1:80                  Route   3      7          8         ",
                                     "  -> 10.0.0.3:80                  Route   0      7          8         "])
        check(asked[-1], {"operation": "director"})
        run(ipvsadm, *files, "-L", "-n", "-t", "192.0.2.1:80")
        check(asked[-1], {"operation": "director", "service": KEY})
        check(run(ipvsadm, *files, "-L", "-n", "-c"),
              (0, "IPVS connection entries\npro expire state       source             virtual            destination\n"
                  "TCP 01:01  ESTABLISHED 203.0.113.9:4000   192.0.2.1:80       10.0.0.1:80\n",
               "weft-ipvsadm: there are more than these 1\n"))
        check(run(ipvsadm, *files, "-Z", "-t", "192.0.2.1:80"), (0, "", ""))
        check(asked[-1], {"operation": "director-zero", "service": KEY})

        status, out, _ = run(weft, "lb", "list", "--socket", path, "-o", "json")
        check((status, json.loads(out)[0]["servers_up"], json.loads(out)[0]["bytes_in_per_s"]), (0, 1, 4))
        status, out, _ = run(weft, "lb", "show", "192.0.2.1:80", "--socket", path, "-o", "value", "-c", "server", "-c", "state", "-c", "reason")
        check((status, out.splitlines()[1]), (0, "10.0.0.2:80 down tcp 10.0.0.2:80: refused"))
        check([line.split(" ", 1)[1].strip() for line in out.splitlines()], ["up", "down tcp 10.0.0.2:80: refused", "down, inhibited"])
        check(run(weft, "lb", "show", "mark", "--socket", path)[0], 3)

        status, out, said = run(weft, "lb", "top", "--socket", path)
        check((status, said), (0, ""))
        lines = out.splitlines()
        check(("1 services  1 connections remembered" in lines[0], lines[1]), (True, "dropped: no_neighbor 1.2k"))
        check([line.split() for line in lines[4:]], [
            ["192.0.2.1", "1", "2", "4", "3", "5", "21"],
            ["tcp", "192.0.2.1:80", "1", "2", "4", "3", "5", "21", "400", "of", "1000", "rows", "moved", "61", "s", "ago"],
            ["10.0.0.1:80", "up", "60.0%", "1", "2", "4", "3", "5", "7"],
            ["10.0.0.2:80", "down", "0.0%", "1", "2", "4", "3", "5", "7", "tcp", "10.0.0.2:80:", "refused"],
            ["10.0.0.3:80", "inhibited", "40.0%", "1", "2", "4", "3", "5", "7"]])
        status, out, _ = run(weft, "lb", "top", "--socket", path, "--count", "2", "--interval", "1")
        check((status, out.count("dropped: no_neighbor 1.2k")), (0, 2))
        check(run(weft, "lb", "top", "--socket", path, "--count", "none")[0], 1)

        listener.close()
        os.unlink(path)
        status, _, said = run(weft, "lb", "list", "--socket", path)
        check((status, "no agent answers" in said), (5, True))
        status, out, said = run(ipvsadm, *files, "-L", "-n", "--stats")
        check((status, "with counters of 0" in said, out.splitlines()[3]),
              (0, True, "TCP  192.0.2.1:80                        0        0        0        0        0"))


main(*sys.argv[1:])
