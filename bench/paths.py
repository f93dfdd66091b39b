"""The ways from one namespace to another that are compared.  A path gives the two namespaces, the far address and the
programs whose CPU time belongs to it.

                     same host                                        two hosts
    veth      client ------------- server            vxlan  client - bridge - vxlan === underlay === vxlan - bridge - server
    bridge    client - bridge ---- server            weft   client - tap === underlay === tap - server
    nftables  client - bridge + stateful rules - server
    ovs       client - user-space switch - server
    weft      client - tap, tap - server
"""

import dataclasses
import os
import re
import subprocess

from lab import ROOT, Failed, run, wait_for
from weft import Platform

N_RULES = 100  # Of the stateful firewall.


@dataclasses.dataclass
class Path:
    name: str
    client: str
    server: str
    address: str
    programs: list = dataclasses.field(default_factory=list)  # User-space switches and the like.
    version: str = ""
    prepare: object = None  # Called once it answers.
    next_source: int = 0  # Of connections; 0: the kernel chooses.
    verify: object = None  # Called after the last round: was the path really taken?


def ends(lab, name):
    return lab.namespace(f"{name}-client"), lab.namespace(f"{name}-server")


def veth(lab):
    client, server = ends(lab, "veth")
    lab.cable(client, "eth0", server, "eth0")
    lab.address(client, "eth0", "10.61.0.1/24")
    lab.address(server, "eth0", "10.61.0.2/24")
    return Path("veth", client, server, "10.61.0.2")


def _bridged(lab, name):
    client, server = ends(lab, name)
    host = lab.namespace(f"{name}-host")
    run("ip", "-n", host, "link", "add", "br0", "type", "bridge")
    run("ip", "-n", host, "link", "set", "br0", "up")
    for namespace, device in ((client, "p0"), (server, "p1")):
        lab.cable(namespace, "eth0", host, device)
        run("ip", "-n", host, "link", "set", device, "master", "br0")
    lab.address(client, "eth0", "10.61.0.1/24")
    lab.address(server, "eth0", "10.61.0.2/24")
    return Path(name, client, server, "10.61.0.2"), host


def bridge(lab):
    return _bridged(lab, "bridge")[0]


def nftables(lab):
    """A stateful firewall as OpenStack's bridge agents build it: established first, then rules, none but the last of which
    matches a new connection of the measurement."""
    path, host = _bridged(lab, "nftables")
    run("ip", "netns", "exec", host, "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1")
    rules = [f"ip saddr 198.51.{n // 250}.{n % 250 + 1} tcp dport {20000 + n} accept" for n in range(N_RULES - 1)]
    text = "\n".join(["table inet firewall {", " chain forward {", "  type filter hook forward priority 0; policy drop;",
                      "  ct state established,related counter accept", "  ct state invalid drop",
                      *(f"  {rule}" for rule in rules), "  ip saddr 10.61.0.0/24 accept", " }", "}"])
    rule_file = lab.folder / "rules.nft"
    rule_file.write_text(text + "\n")
    run("ip", "netns", "exec", host, "nft", "-f", rule_file)
    path.version = run("nft", "--version").strip()
    path.verify = lambda: passes_firewall(host)
    return path


def passes_firewall(host):
    """The measurement is worth nothing when the frames never saw the rules."""
    counter = re.search(r"established counter packets (\d+)|established,related counter packets (\d+)",
                        run("ip", "netns", "exec", host, "nft", "list", "ruleset"))
    if not counter or not int(counter.group(1) or counter.group(2)):
        raise Failed("nftables: no frame of the measurement passed the stateful rule")


# ---- two hosts -----------------------------------------------------------------------------------------------------


def underlay(lab, name):
    """Two hosts joined by a cable; returns their namespaces.  Addresses 192.0.2.1 and 192.0.2.2 on 'wire'."""
    hosts = [lab.namespace(f"{name}-h{n}") for n in (1, 2)]
    lab.cable(hosts[0], "wire", hosts[1], "wire", mtu=1600)
    for number, host in enumerate(hosts, 1):
        lab.address(host, "wire", f"192.0.2.{number}/24")
    return hosts


def vxlan(lab):
    client, server = ends(lab, "vxlan")
    hosts = underlay(lab, "vxlan")
    for number, (host, end) in enumerate(zip(hosts, (client, server)), 1):
        run("ip", "-n", host, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", host, "link", "add", "vx0", "type", "vxlan", "id", 77, "dstport", 4789, "local", f"192.0.2.{number}",
            "remote", f"192.0.2.{3 - number}", "dev", "wire")
        lab.cable(end, "eth0", host, "p0")
        for device in ("vx0", "p0"):
            run("ip", "-n", host, "link", "set", device, "master", "br0", "up")
        run("ip", "-n", host, "link", "set", "br0", "up")
        lab.address(end, "eth0", f"10.61.0.{number}/24")
    return Path("vxlan", client, server, "10.61.0.2")


# ---- Open vSwitch, user-space datapath --------------------------------------------------------------------------------


OVS_PACKAGES = ["openvswitch-switch", "openvswitch-common", "libxdp1"]


def unpacked(packages, mark="ready"):
    """Debian's packages unpacked beside the build: nothing is installed, no service is enabled."""
    folder = ROOT / "build" / "openvswitch"
    if not (folder / mark).exists():
        folder.mkdir(parents=True, exist_ok=True)
        download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
        if subprocess.run(download, cwd=folder, capture_output=True).returncode:
            run("apt-get", "-q", "update", timeout=300)
            run(*download, cwd=folder, timeout=300)
        for package in folder.glob("*.deb"):
            run("dpkg", "-x", package, folder)
            package.unlink()
        (folder / mark).touch()
    return folder


def ovs(lab):
    root = unpacked(OVS_PACKAGES)
    state = lab.folder / "ovs"
    state.mkdir()
    libraries = next((root / "usr" / "lib").glob("*/libxdp.so.1")).parent
    env = {"OVS_RUNDIR": str(state), "OVS_LOGDIR": str(state), "OVS_DBDIR": str(state), "OVS_SYSCONFDIR": str(state),
           "OVS_PKGDATADIR": str(root / "usr/share/openvswitch"), "LD_LIBRARY_PATH": str(libraries)}
    tool_env = {**os.environ, **env}
    switch = root / "usr/lib/openvswitch-switch/ovs-vswitchd"
    if not switch.exists():
        switch = root / "usr/sbin/ovs-vswitchd"
    database = f"unix:{state}/db.sock"
    run(root / "usr/bin/ovsdb-tool", "create", state / "conf.db", root / "usr/share/openvswitch/vswitch.ovsschema", env=tool_env)
    lab.start(root / "usr/sbin/ovsdb-server", state / "conf.db", f"--remote=p{database}", f"--unixctl={state}/db.ctl",
              env=env, log="ovsdb.log")
    wait_for((state / "db.sock").exists, "ovsdb-server")

    def control(*arguments):
        return run(root / "usr/bin/ovs-vsctl", "--timeout=20", f"--db={database}", *arguments, env=tool_env)

    control("--no-wait", "init")
    client, server = ends(lab, "ovs")
    host = lab.namespace("ovs-host")
    vswitchd = lab.start(switch, database, f"--unixctl={state}/switch.ctl", "-vconsole:err", env=env, namespace=host,
                         log="ovs-vswitchd.log")
    control("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
    for namespace, device in ((client, "p0"), (server, "p1")):
        lab.cable(namespace, "eth0", host, device)
        # Frames that the user-space datapath is handed unsegmented would be dropped as too big.
        for where, name in ((namespace, "eth0"), (host, device)):
            run("ip", "netns", "exec", where, "ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        control("add-port", "br0", device)
    lab.address(client, "eth0", "10.61.0.1/24")
    lab.address(server, "eth0", "10.61.0.2/24")
    version = re.search(r"[\d.]+$", control("--version").splitlines()[0]).group(0)
    return Path("ovs", client, server, "10.61.0.2", [vswitchd], f"Open vSwitch {version}, datapath_type=netdev")


# ---- weft -----------------------------------------------------------------------------------------------------------------


def _weft(lab, name, n_hosts):
    platform = Platform(lab, name, n_hosts=n_hosts, underlay_mtu=1600)
    network = platform.network(mtu=1500)  # As the peers' devices have.
    hosts = [platform.hosts[0], platform.hosts[-1]]
    ports = [platform.port(network, host) for host in hosts]
    client, server = (platform.workload(end, host, port) for end, host, port in zip(("client", "server"), hosts, ports))
    platform.wait_active(*ports)
    path = Path(name, client, server, ports[1]["fixed_ips"][0]["ip_address"])
    path.verify = lambda: carried(platform, hosts[0], ports[0])
    return path


def carried(platform, host, port):
    """The port's own counters must have seen the measurement."""
    answer = host.ask(operation="counters")
    counters = next(entry for entry in answer["counters"] if entry["port"] == port["id"])
    if counters["tx_packets"] < 1000:
        raise Failed(f"{platform.name}: the port counted only {counters['tx_packets']} packets")


OURS = {"weft": lambda lab: _weft(lab, "weft", 1), "weft2": lambda lab: _weft(lab, "weft2", 2)}
