"""A balancer's table, 65,537 rows and 1,000 servers: seeding it and changing it, as CPU time of one core (bench/buckets.c)."""

import json

from lab import BUILD, run
from report import Row, save, table


def bench(n_rounds, seconds):
    rows = {}
    for _ in range(min(n_rounds, 5)):
        for got in json.loads(run(BUILD / "bench" / "bench-buckets", timeout=120)):
            goal = got["goal"].split()
            row = rows.setdefault(got["name"], Row(got["name"], got["unit"], "weft", "", (goal[0], float(goal[1])) if goal else None))
            row.ours_rounds.append(got["ours"])
    table("weft, a balancer's table of 65,537 rows, 1,000 servers", rows.values())
    save("buckets", list(rows.values()), {}, {"rounds": min(n_rounds, 5), "rows": 65537, "servers": 1000})
    return list(rows.values())
