"""Runs inside the second kernel, as the only program of the guest; every line "RESULT {json}" is one check."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import traceback

sys.path.insert(0, "/guest")


def result(name, ok, text=""):
    print("RESULT " + json.dumps({"name": name, "ok": bool(ok), "text": str(text)[-4000:]}), flush=True)


def command(*arguments, timeout=200):
    done = subprocess.run([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def logs():
    """What the programs said, for the one who reads a failure."""
    lab = Platform.made and getattr(Platform.made, "lab", None)
    return "".join(f"\n--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in lab.folder.glob("*.log")) if lab else ""


def kernel_is_debians():
    release = platform.release()
    if not release.startswith("6.1."):
        raise RuntimeError(f"this is Linux {release}")
    return release


def plain_veth_passes_traffic():
    """The guest itself works: without this a failure below would say nothing about the data plane."""
    for name in ("plain-a", "plain-b"):
        command("/bin/ip", "netns", "add", name)
    command("/bin/ip", "link", "add", "e0", "netns", "plain-a", "type", "veth", "peer", "name", "e0", "netns", "plain-b")
    for number, name in enumerate(("plain-a", "plain-b"), 1):
        command("/bin/ip", "-n", name, "addr", "add", f"10.1.0.{number}/24", "dev", "e0")
        command("/bin/ip", "-n", name, "link", "set", "e0", "up")
    command("/bin/tc", "-n", "plain-a", "qdisc", "add", "dev", "e0", "clsact")
    command("/bin/ip", "netns", "exec", "plain-a", "/bin/ping", "-c1", "-W5", "10.1.0.2")
    for name in ("plain-a", "plain-b"):
        command("/bin/ip", "netns", "del", name)


def every_program_loads():
    """Through the oldest verifier we promise; its log is in the text when it says no."""
    command("/bin/bpftool", "prog", "loadall", "/guest/weft.bpf.o", "/sys/fs/bpf/loaded")
    names = sorted(os.listdir("/sys/fs/bpf/loaded"))
    shutil.rmtree("/sys/fs/bpf/loaded")
    return " ".join(names)


def the_directors_program_loads():
    command("/bin/bpftool", "prog", "load", "/guest/director.bpf.o", "/sys/fs/bpf/director")
    os.unlink("/sys/fs/bpf/director")
    command("/bin/bpftool", "prog", "loadall", "/guest/check.bpf.o", "/sys/fs/bpf/check")
    shutil.rmtree("/sys/fs/bpf/check")
    command("/bin/bpftool", "prog", "loadall", "/guest/server.bpf.o", "/sys/fs/bpf/check")
    shutil.rmtree("/sys/fs/bpf/check")


def native_and_kernel_build_agree():
    """As tests/bpf does on the newer kernel: random frames over random tables, verdict, bytes, drop reason and maps."""
    return command("/guest/build/tests/bpf/differential", "6000", timeout=300).strip().splitlines()[0]


def the_loader_brings_the_maps_to_what_is_desired():
    """One of the loader's tests, which uses every kind of map: each loads all programs, which takes an emulated machine most of a minute."""
    try:
        command("/guest/build/tests/bpf/maps", "/sys/fs/bpf/loader", "1", "the_kernel_holds_what_is_desired", timeout=300)
    finally:
        shutil.rmtree("/sys/fs/bpf/loader", ignore_errors=True)


class Platform:
    """weft-api, two hosts and three workloads, all in this guest; made by the first check that needs it.

        a, b on host 1    c on host 2    one network, IPv4 and IPv6
        d on host 1, e on host 2         the same network, without port security"""

    HOSTS = {"a": 0, "b": 0, "c": 1, "d": 0, "e": 1}
    made = None

    @classmethod
    def get(cls):
        if not cls.made:
            from lab import Lab
            from weft import Platform as WeftPlatform
            cls.made = cls()
            lab = cls.made.lab = Lab()
            platform = cls.made.platform = WeftPlatform(lab, n_hosts=2)
            network = cls.made.network = platform.network()
            platform.admin.create("subnet", network_id=network, cidr="fd00:61::/64", ip_version=6)
            cls.made.ports = {}
            cls.made.workloads = {}
            for name, host in cls.HOSTS.items():
                port = cls.made.ports[name] = platform.port(network, platform.hosts[host], port_security_enabled=name not in "de")
                cls.made.workloads[name] = platform.workload(name, platform.hosts[host], port)
            platform.wait_active(*cls.made.ports.values(), deadline_s=200)
        return cls.made

    def addresses(self, name):
        return [fixed["ip_address"] for fixed in self.ports[name]["fixed_ips"]]

    def counters(self, name):
        host = self.platform.hosts[self.HOSTS[name]]
        return next(entry for entry in host.ask(operation="counters")["counters"] if entry["port"] == self.ports[name]["id"])


def traffic(sender, receiver):
    """ICMP and ICMPv6, a TCP stream of large segments, connections and small UDP packets."""
    lab, platform = Platform.get().lab, Platform.get()
    inside = ["/bin/nsenter", f"--net=/run/netns/{platform.workloads[sender]}"]
    before = platform.counters(receiver)["rx_packets"]
    for address in platform.addresses(receiver):
        command(*inside, "/bin/ping", "-c3", "-i0.2", "-W10", address)
        server = lab.start("/guest/build/bench/traffic-server", address, 7000, namespace=platform.workloads[receiver], ready="ready")
        for mode in ("latency", "connections", "packets", "throughput"):
            out = json.loads(command(*inside, "/guest/build/bench/traffic-client", mode, address, 7000, 0.5))
            moved = out.get("received", out.get("count", out.get("bytes", 0)))
            if not moved:
                raise RuntimeError(f"{mode} to {address}: {out}")
        lab.stop(server)
    counted = platform.counters(receiver)["rx_packets"] - before
    if counted < 1000:
        raise RuntimeError(f"the receiving port counted {counted} packets")
    return f"{counted} packets"


def one_host_passes_traffic():
    return traffic("a", "b")


def two_hosts_pass_traffic():
    return traffic("a", "c")


def a_broadcast_reaches_every_port_once():
    """Copies for local ports, and copies through the tunnel device."""
    from namespaces import inside
    platform = Platform.get()
    receivers = {}
    for name in "bcde":
        with inside(platform.workloads[name]):
            receivers[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receivers[name].bind(("", 7777))
        receivers[name].settimeout(60)
    with inside(platform.workloads["a"]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    numbers = list(range(6))  # A second copy of one would be read in place of the next.
    for number in numbers:
        sender.sendto(b"%d" % number, ("10.61.0.255", 7777))
    for name, receiver in receivers.items():
        got = [int(receiver.recv(16)) for _ in numbers]
        if got != numbers:
            raise RuntimeError(f"{name} received {got}")


def frames_that_are_not_ip_pass_between_hosts():
    """They take another way through the kernel: it has no notion of their header."""
    from namespaces import inside
    platform = Platform.get()
    ethertype = 0x88B5  # IEEE 802, for local experiments
    with inside(platform.workloads["e"]):
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
    receiver.bind(("eth0", ethertype))
    receiver.settimeout(60)
    with inside(platform.workloads["d"]):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind(("eth0", 0))
    macs = {name: bytes.fromhex(platform.ports[name]["mac_address"].replace(":", "")) for name in "de"}
    frame = macs["e"] + macs["d"] + ethertype.to_bytes(2, "big") + bytes(range(100))
    sender.send(frame)
    got = receiver.recv(2000)
    if got != frame:
        raise RuntimeError(f"sent {frame.hex()}, received {got.hex()}")


def dhcp_is_answered():
    """From the program to the agent by ring buffer, and its answer back."""
    platform = Platform.get()
    out = command("/bin/nsenter", f"--net=/run/netns/{platform.workloads['b']}", "/bin/busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f",
                  "-t", "20", "-T", "3", "-s", "/bin/true")
    if platform.addresses("b")[0] not in out:
        raise RuntimeError(out)
    return out.strip().splitlines()[-1]


def a_spoofed_source_is_dropped():
    """A drop with its reason: the programs decide, not only forward."""
    platform = Platform.get()
    namespace, host = platform.workloads["a"], platform.platform.hosts[0]
    command("/bin/ip", "-n", namespace, "addr", "add", "10.61.0.200/24", "dev", "eth0")
    subprocess.run(["/bin/nsenter", f"--net=/run/netns/{namespace}", "/bin/ping", "-c2", "-W1", "-I", "10.61.0.200",
                    platform.addresses("b")[0]], capture_output=True, timeout=200)
    drops = {entry["reason"]: entry["packets"] for entry in host.ask(operation="drops")["drops"]
             if entry["port"] == platform.ports["a"]["id"]}
    if not drops.get("spoofed_ip") and not drops.get("spoofed_arp"):
        raise RuntimeError(f"drops: {drops}")
    return json.dumps(drops)


def an_agent_dies_and_traffic_goes_on():
    platform = Platform.get()
    host = platform.platform.hosts[0]
    host.process.kill()
    host.process.wait()
    command("/bin/nsenter", f"--net=/run/netns/{platform.workloads['a']}", "/bin/ping", "-c3", "-i0.2", "-W5", platform.addresses("c")[0])


CHECKS = [kernel_is_debians, plain_veth_passes_traffic, every_program_loads, the_directors_program_loads, native_and_kernel_build_agree,
          the_loader_brings_the_maps_to_what_is_desired, one_host_passes_traffic, two_hosts_pass_traffic,
          a_broadcast_reaches_every_port_once, frames_that_are_not_ip_pass_between_hosts, dhcp_is_answered,
          a_spoofed_source_is_dropped, an_agent_dies_and_traffic_goes_on]


def main():
    for check in CHECKS:
        try:
            result(check.__name__, True, check())
        except Exception:
            result(check.__name__, False, traceback.format_exc() + logs())
    return 0


if __name__ == "__main__":
    sys.exit(main())
