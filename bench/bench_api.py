"""weft-api under load, on SQLite with durable commits: creates, gets, lists and deletes of ports a second beside 100 and 10,000 other
ports, with 1 and 8 clients, and its memory.  One server and one load generator share the machine's CPUs."""

import json
import statistics

from lab import BUILD, Lab, command_in, run
from report import Row, save, table
from weft import API_ADDRESS, API_PORT, Platform

SIZES = (100, 10000)
CLIENTS = (1, 8)
# Requests of one round.
COUNTS = {"create": {1: 300, 8: 1000}, "get": {1: 2000, 8: 8000}, "list": {1: 20, 8: 40}, "delete": {}}
LIST_LIMIT = 200


def memory_kib(process):
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class Server:
    def __init__(self, lab, name):
        self.platform = Platform(lab, name, store="sqlite", n_hosts=0)
        self.idle_kib = memory_kib(self.platform.api)
        admin = self.platform.admin
        self.network = admin.create("network", name="load")["id"]
        admin.create("subnet", network_id=self.network, cidr="10.0.0.0/8", ip_version=4)
        project = admin.call("GET", f"/v2.0/networks/{self.network}")["network"]["project_id"]
        admin.call("PUT", f"/v2.0/quotas/{project}", {"quota": {"port": -1}})

    def load(self, operation, clients, *options):
        out = run(*command_in(self.platform.api_namespace, BUILD / "bench" / "api-load", f"{API_ADDRESS}:{API_PORT}", operation, "--clients", clients,
                              "--token", self.platform.admin.token, *options), timeout=300)
        return json.loads(out)


def bench(n_rounds, seconds):
    values, memory = {}, {}
    with Lab() as lab:
        servers = {}
        for size in SIZES:
            server = servers[size] = Server(lab, f"api{size}")
            server.ids, server.more = lab.folder / f"ids-{size}", lab.folder / f"more-{size}"
            server.load("create", 8, "--network", server.network, "--count", size, "--ids", server.ids)
            memory[size] = memory_kib(server.platform.api)
        for number in range(n_rounds):
            for clients in CLIENTS:
                for size, server in servers.items():
                    server.more.unlink(missing_ok=True)
                    for operation in ("create", "get", "list", "delete"):
                        count = ["--count", COUNTS[operation][clients]] if clients in COUNTS[operation] else []
                        options = {"create": ["--network", server.network, "--ids", server.more], "get": ["--ids", server.ids],
                                   "list": ["--limit", LIST_LIMIT], "delete": ["--ids", server.more]}[operation]
                        result = server.load(operation, clients, *options, *count)
                        for metric in ("per_second", "p50_ms", "p99_ms"):
                            values.setdefault((operation, clients, size, metric), []).append(result[metric])
            print(f"\r  round {number + 1} of {n_rounds} ", end="", flush=True)
        print()
        idle = servers[SIZES[0]].idle_kib
        after = {size: memory_kib(server.platform.api) for size, server in servers.items()}

    rows = []
    for operation in ("create", "get", "list", "delete"):
        for clients in CLIENTS:
            for size in SIZES:
                name = f"{operation}, {size:,} ports, {clients} client{'s' if clients > 1 else ''}"
                goal = (">=", {"create": 1000, "get": 5000}[operation]) if clients == 8 and operation in ("create", "get") else None
                rows.append(Row(name, "1/s", "weft-api", "", goal, values[operation, clients, size, "per_second"]))
                rows.append(Row(f"{name}: p50", "ms", "weft-api", "", None, values[operation, clients, size, "p50_ms"]))
                goal = ("<=", 20) if operation == "create" else None
                rows.append(Row(f"{name}: p99", "ms", "weft-api", "", goal, values[operation, clients, size, "p99_ms"]))
    for operation in ("create", "get", "delete"):
        for clients in CLIENTS:
            small, large = (values[operation, clients, size, "per_second"] for size in SIZES)
            ratio = statistics.median(small) / statistics.median(large)
            rows.append(Row(f"{operation}, {clients} client{'s' if clients > 1 else ''}: rate at 100 ports over rate at 10,000", "x",
                            "weft-api", "", ("<=", 1.5), [ratio]))
    rows.append(Row("memory, idle", "MB", "weft-api", "", ("<=", 30), [idle / 1024]))
    rows.append(Row("memory a port", "KB", "weft-api", "", ("<=", 2), [(memory[10000] - idle) / 10000]))
    rows.append(Row("memory, 10,000 ports, after the rounds", "MB", "weft-api", "", None, [after[10000] / 1024]))
    table("weft-api on SQLite, durable commits", rows)
    save("api", rows, {}, {"rounds": n_rounds, "list_limit": LIST_LIMIT, "counts": {name: dict(by) for name, by in COUNTS.items()}},
         {"memory_kib": {"idle": idle, "filled": memory, "after": after}})
    return rows
