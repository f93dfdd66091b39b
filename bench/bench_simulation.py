"""Flows that break when servers and balancers change, simulated for four ways to choose a server (bench/simulation.c), beside the numbers of
an independent simulation of the same with a balancer lost (random hashes: they agree to a few per cent of themselves)."""

import json

from lab import BUILD, run
from report import Row, save

METHODS = {"maglev": "stateless Maglev", "flow_table": "Maglev + flow table", "glb": "GLB two-hop", "stable": "weft"}
REFERENCE = {
    "+1 server": {"maglev": 1.57, "flow_table": 1.37, "glb": 0, "stable": 0},
    "+10 at once": {"maglev": 10.2, "flow_table": 8.9, "glb": 0.76, "stable": 0},
    "drain 10": {"maglev": 11.0, "flow_table": 9.6, "glb": 0, "stable": 0},
    "three times +10": {"maglev": 24.3, "flow_table": 21.2, "glb": 5.3, "stable": 0},
    "rolling replacement of all, in place": {"maglev": 100, "flow_table": 87.5, "glb": 24.8, "stable": 0},
}


def bench(n_rounds, seconds):
    got = json.loads(run(BUILD / "bench" / "bench-simulation", timeout=120))
    rows, lines = [], {}
    for cell in got:
        goal = ("<=", 0) if cell["method"] == "stable" else None
        row = Row(f"{cell['event']}, balancer {cell['balancer']}, {METHODS[cell['method']]}", "% broken", METHODS[cell["method"]], "", goal)
        row.ours_rounds.append(cell["broken"])
        rows.append(row)
        reference = REFERENCE.get(cell["event"], {}).get(cell["method"]) if cell["balancer"] == "lost" else None
        lines.setdefault((cell["event"], cell["balancer"]), []).append(
            f"{cell['broken']:.2f}" + (f" ({reference:g})" if reference is not None else ""))
    print("\nflows broken [%] (in brackets: the reference)")
    print(f"  {'servers':36}  {'balancer':8}  " + "  ".join(f"{name:>20}" for name in METHODS.values()))
    for (event, balancer), cells in lines.items():
        print(f"  {event:36}  {balancer:8}  " + "  ".join(f"{cell:>20}" for cell in cells))
    save("simulation", rows, {}, {"servers": 100, "balancers": 8, "flows": 1000000, "rows": 65537}, {"reference": REFERENCE})
    return rows
