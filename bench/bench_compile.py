"""From objects to tables: 10,000 ports and 500 routers, as CPU time of one core.  Rows come from bench-compile (bench/compile.c)."""

import json
import os
import shutil

from lab import BUILD, run
from report import Row, save, table


def bench(n_rounds, seconds):
    rows = {}
    path = f"/sys/fs/bpf/wft{os.getpid()}-bench"
    for _ in range(min(n_rounds, 5)):
        try:
            answer = run(BUILD / "bench" / "bench-compile", path, timeout=120)
        finally:
            shutil.rmtree(path, ignore_errors=True)
        for got in json.loads(answer):
            goal = got["goal"].split()
            row = rows.setdefault(got["name"], Row(got["name"], got["unit"], "weft", "", (goal[0], float(goal[1])) if goal else None))
            row.ours_rounds.append(got["ours"])
    table("weft, from objects to tables, 10,000 ports and 500 routers", rows.values())
    save("compile", list(rows.values()), {}, {"rounds": min(n_rounds, 5), "ports": 10000, "routers": 500})
    return list(rows.values())
