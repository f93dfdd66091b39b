"""Rows of a benchmark: ratio of medians of interleaved rounds against a goal, as a table and as JSON."""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time

OUT = pathlib.Path(__file__).resolve().parent / "out"


@dataclasses.dataclass
class Row:
    """'goal' is a limit for the ratio ours / peer, or, where 'peer' is empty, for ours itself: ("<=", 1.2)."""
    name: str
    unit: str
    ours: str
    peer: str = ""
    goal: tuple = None
    ours_rounds: list = dataclasses.field(default_factory=list)
    peer_rounds: list = dataclasses.field(default_factory=list)

    def result(self):
        ours = statistics.median(self.ours_rounds) if self.ours_rounds else None
        peer = statistics.median(self.peer_rounds) if self.peer_rounds else None
        ratio = ours / peer if ours is not None and peer else None
        judged = ratio if self.peer else ours
        met = None
        if self.goal and judged is not None:
            met = judged <= self.goal[1] if self.goal[0] == "<=" else judged >= self.goal[1]
        return {"name": self.name, "unit": self.unit, "ours": ours, "ours_is": self.ours, "peer": peer, "peer_is": self.peer or None,
                "ratio": ratio, "goal": f"{self.goal[0]} {self.goal[1]}" if self.goal else None, "met": met,
                "rounds": {"ours": self.ours_rounds, "peer": self.peer_rounds}}


def _text(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def table(title, rows):
    lines = [("", "ours", "peer", "", "ratio", "goal", "")]
    for row in rows:
        result = row.result()
        met = {True: "met", False: "MISSED", None: ""}[result["met"]]
        lines.append((f"{row.name} [{row.unit}]", _text(result["ours"]), _text(result["peer"]), row.peer, _text(result["ratio"]),
                      result["goal"] or "", met))
    widths = [max(len(line[i]) for line in lines) for i in range(7)]
    print(f"\n{title}")
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [line[i].rjust(widths[i]) for i in (1, 2)] + [line[3].ljust(widths[3])] + \
                [line[4].rjust(widths[4]), line[5].ljust(widths[5]), line[6]]
        print("  " + "  ".join(cells).rstrip())


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=OUT.parent, capture_output=True, text=True).stdout
    return {"kernel": platform.release(), "cpu": cpu, "cpus": os.cpu_count(), "weft": revision.strip(),
            "load_before": os.getloadavg()[0]}


def save(name, rows, versions, settings, extra=None):
    OUT.mkdir(exist_ok=True)
    content = {"benchmark": name, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine(),
               "versions": versions, "settings": settings, "results": [row.result() for row in rows], **(extra or {})}
    (OUT / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def missed(rows):
    return [row for row in rows if row.result()["met"] is False]
