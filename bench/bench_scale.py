"""One change in a large cloud, from the API to the kernel's tables of the last host:

    transit network -- 500 routers -- 500 networks of 20 ports each, all 10,000 of them in one security group whose rules name it;
    two hosts with a port each in the transit network and in the group: both know all of it

    a member more   POST of a port of the group, until 'members' of each host has its address
    an address      PUT of a port's address, likewise

CPU is all that the change costs, until nobody does anything any more: of weft-api, and of one weft-agent (the mean of both)."""

import ctypes
import ipaddress
import json
import os
import platform as machine
import struct
import time

from lab import Lab, run, wait_for
from report import Row, save, table
from weft import BPFFS, Platform

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
BPF_MAP_LOOKUP_ELEM, BPF_OBJ_GET = 1, 7
LIBC = ctypes.CDLL(None, use_errno=True)


class Members:
    """The table 'members' of a host in the kernel, looked at without the agent's help."""

    def __init__(self, host, known):
        self.path = f"{BPFFS}/weft/{host.name}/v1/members"
        name = ctypes.create_string_buffer(self.path.encode())
        self.fd = self._bpf(BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), self.path)
        # Groups have a number on each host.
        for row in json.loads(run("bpftool", "-j", "map", "dump", "pinned", self.path)):
            key = bytes(int(byte, 16) for byte in row["key"])
            if key[4:] == mapped(known):
                self.group = key[:4]
                return
        raise LookupError(f"{self.path} does not know {known}")

    def _bpf(self, command, attributes):
        return LIBC.syscall(BPF_SYSCALL[machine.machine()], command, ctypes.create_string_buffer(attributes), len(attributes))

    def has(self, address):
        key, value = ctypes.create_string_buffer(self.group + mapped(address)), ctypes.create_string_buffer(8)
        return not self._bpf(BPF_MAP_LOOKUP_ELEM, struct.pack("=IIQQQ", self.fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))

    def close(self):
        os.close(self.fd)


def mapped(address):
    return bytes(10) + b"\xff\xff" + ipaddress.IPv4Address(address).packed


def cpu_ms(process):
    """Of all its threads."""
    folder = f"/proc/{process.pid}/task"
    return sum(int(open(f"{folder}/{thread}/schedstat").read().split()[0]) for thread in os.listdir(folder)) / 1e6


class Cloud:
    def __init__(self, lab, n_networks, n_ports_each):
        self.platform = Platform(lab, "scale", n_hosts=2)
        self.admin = self.platform.admin
        transit = self.platform.network("10.63.0.0/16")
        project = self.admin.call("GET", f"/v2.0/networks/{transit}")["network"]["project_id"]
        self.admin.call("PUT", f"/v2.0/quotas/{project}", {"quota": dict.fromkeys(("network", "subnet", "port", "router"), -1)})
        self.networks, ports = [], []
        for number in range(n_networks):
            network = self.platform.network(f"10.{100 + number // 250}.{number % 250}.0/24")
            self.networks.append(network)
            router = self.platform.router(network)
            leg = self.admin.create("port", network_id=transit)
            self.admin.call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"port_id": leg["id"]})
            ports += [{"network_id": network, "binding:host_id": "elsewhere"} for _ in range(n_ports_each)]
            print(f"\r  network {number + 1} of {n_networks} ", end="", flush=True)
        made = []
        for first in range(0, len(ports), 1000):
            made += self.admin.call("POST", "/v2.0/ports", {"ports": ports[first:first + 1000]})["ports"]
        self.changing = made[0]
        self.own = [self.platform.port(transit, host) for host in self.platform.hosts]
        for number, (host, port) in enumerate(zip(self.platform.hosts, self.own)):
            self.platform.workload(f"w{number}", host, port)
        self.platform.wait_active(*self.own, deadline_s=120)
        self.processes = [self.platform.api, *(host.process for host in self.platform.hosts)]
        self.quiet()
        self.tables = [Members(host, self.address(self.changing)) for host in self.platform.hosts]
        wait_for(lambda: all(table.has(self.address(made[-1])) for table in self.tables), "both hosts to know the last member", 120)
        self.n_members = len(made) + len(self.own)
        self.quiet()

    @staticmethod
    def address(port):
        return port["fixed_ips"][0]["ip_address"]

    def quiet(self):
        """Nobody does anything for a while."""
        def used():
            return [cpu_ms(process) for process in self.processes]

        def rests():
            before = used()
            time.sleep(0.2)
            return sum(used()) - sum(before) < 1

        wait_for(rests, "the cloud to be quiet", 120)
        return used()

    def measure(self, change, address):
        """Milliseconds until the last host has the address, and of CPU: the API's, and an agent's."""
        before = self.quiet()
        start = time.monotonic()
        change()
        answered = time.monotonic()
        wait_for(lambda: all(table.has(address) for table in self.tables), f"both hosts to have {address}", 60, interval=0.0005)
        programmed = time.monotonic()
        api, *agents = (after - one for after, one in zip(self.quiet(), before))
        return {"answered": (answered - start) * 1000, "programmed": (programmed - start) * 1000, "api": api,
                "agent": sum(agents) / len(agents)}

    def member_more(self, number):
        network = self.networks[number % len(self.networks)]
        fixed = ipaddress.IPv4Network(self.admin.call("GET", f"/v2.0/subnets/{self.platform.subnet[network]}")["subnet"]["cidr"])[200 + number // 100]
        return self.measure(lambda: self.platform.port(network, fixed_ips=[{"ip_address": str(fixed)}]), str(fixed))

    def new_address(self, number):
        subnet = self.changing["fixed_ips"][0]["subnet_id"]
        network = ipaddress.IPv4Network(self.admin.call("GET", f"/v2.0/subnets/{subnet}")["subnet"]["cidr"])
        address = str(network[150 + number % 2])
        return self.measure(lambda: self.admin.update("port", self.changing["id"], fixed_ips=[{"subnet_id": subnet, "ip_address": address}]), address)

    def close(self):
        for one in self.tables:
            one.close()


def bench(n_rounds, seconds):
    n_networks = 50 if os.environ.get("QUICK") == "1" else 500
    with Lab() as lab:
        cloud = Cloud(lab, n_networks, 20)
        print(f"\r  {cloud.n_members} members, {n_networks} routers ", flush=True)
        members = [cloud.member_more(number) for number in range(n_rounds)]
        addresses = [cloud.new_address(number) for number in range(n_rounds)]
        cloud.close()
    rows = []
    for what, rounds in ((f"a group of {cloud.n_members:,} gains a member", members), ("a member's address changes", addresses)):
        for key, label, goal in (("answered", "until the API has answered", None), ("programmed", "until the last host has it", None),
                                 ("api", "CPU of weft-api", None), ("agent", "CPU of a weft-agent", ("<=", 5))):
            rows.append(Row(f"{what}: {label}", "ms", "weft", "", goal, [one[key] for one in rounds]))
    table(f"One change among {cloud.n_members:,} ports and {n_networks} routers, known to two hosts", rows)
    save("scale", rows, {}, {"rounds": n_rounds, "members": cloud.n_members, "routers": n_networks, "hosts": 2, "store": "memory"})
    return rows
