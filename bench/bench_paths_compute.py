"""Path computation of the fabric, the flow hash and how flows spread.  Rows come from bench-paths-compute (bench/paths-compute.c)."""

import json

from lab import BUILD, run
from report import Row, save, table


def bench(n_rounds, seconds):
    rows = {}
    for _ in range(min(n_rounds, 5)):
        for got in json.loads(run(BUILD / "bench" / "bench-paths-compute", seconds / 4, timeout=300)):
            goal = got["goal"].split() if got["goal"] else None
            row = rows.setdefault(got["name"], Row(got["name"], got["unit"], "weft", "hash mod n" if got["peer"] is not None else "",
                                                   (goal[0], float(goal[1])) if goal else None))
            row.ours_rounds.append(got["ours"])
            if got["peer"] is not None:
                row.peer_rounds.append(got["peer"])
    table("weft, paths in the fabric, CPU time", rows.values())
    save("paths_compute", list(rows.values()), {}, {"rounds": min(n_rounds, 5), "seconds": seconds / 4})
    return list(rows.values())
