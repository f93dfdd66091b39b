"""A table with room for a million connections: CPU a packet with a thousand and with a million held, and memory: see pipeline.c."""

import json
import platform

from lab import BUILD, run
from report import Row, save, table


def bench(n_rounds, seconds):
    n_rounds = min(n_rounds, 5)
    answer = json.loads(run(BUILD / "bench" / "pipeline", n_rounds, 1000000, "connections held", 1 << 20, timeout=120 * n_rounds))
    rounds = answer["rounds"]
    rows = [Row(name, "ns", "weft", goal=("<=", 600 if "1000000" in name else 200), ours_rounds=[one[name] for one in rounds]) for name in rounds[0]]
    rows.append(Row("memory of a connection", "bytes", "weft", goal=("<=", 200), ours_rounds=[answer["connection_bytes"]]))
    table("a million connections, nanoseconds a frame, net of an empty program", rows)
    save("connections", rows, {"kernel": platform.release()}, {"rounds": n_rounds})
    return rows
