"""The store: commits of the SQLite backend beside the disk's own fdatasync.  Rows come from bench-store (bench/store.c)."""

import json

from lab import BUILD, run
from report import Row, save, table


def bench(n_rounds, seconds):
    rows = {}
    for _ in range(min(n_rounds, 5)):
        for got in json.loads(run(BUILD / "bench" / "bench-store", 2 * seconds, timeout=120 + 20 * seconds)):
            goal = got["goal"].split() if got["goal"] else None
            row = rows.setdefault(got["name"], Row(got["name"], got["unit"], "weft", "fdatasync" if got["peer"] is not None else "",
                                                   (goal[0], float(goal[1])) if goal else None))
            row.ours_rounds.append(got["ours"])
            if got["peer"] is not None:
                row.peer_rounds.append(got["peer"])
    table("weft, the store, against fdatasync of 4 KiB", rows.values())
    save("store", list(rows.values()), {}, {"rounds": min(n_rounds, 5), "seconds": 2 * seconds})
    return list(rows.values())
