"""OVN over Open vSwitch's user-space datapath: two logical switches and a logical router between them, and access lists of 100 rules for
each port, related by connection tracking, as Neutron's driver for OVN makes them.  On one host, and on two joined by Geneve.

    central      namespace: northbound and southbound databases, ovn-northd                    10.60.0.1
    each host    namespace: ovsdb-server, ovs-vswitchd (netdev), ovn-controller                10.60.0.11, .12 on 'mgmt'
                 br-int with the workloads' veths; br-phy has 'wire' and the tunnel's address  192.0.2.1, .2

Debian's packages, unpacked beside the build and run by us.  As the datapath is in user space its ports have no offloads, and their
frames pass packet sockets: that is what can be had without the kernel's module."""

import os
import re

from lab import run, wait_for
from paths import N_RULES, Path, ends, unpacked
from paths_routed import CLIENTS, SERVERS, leads_to

PACKAGES = ["openvswitch-switch", "openvswitch-common", "libxdp1", "ovn-central", "ovn-host", "ovn-common", "libunbound8", "libevent-2.1-7"]
# Open vSwitch 3.1.0 aborts (conntrack.c: assertion conn->conn_type == CT_CONN_TYPE_DEFAULT) when a connection begins whose addresses and ports are those of
# one that ended seconds ago.
FIRST_SOURCE = 4096
MACS = {CLIENTS: "02:00:00:00:01", SERVERS: "02:00:00:00:02"}


class Programs:
    """Where the unpacked programs are, and one folder of state for each namespace that runs some."""

    def __init__(self, lab, namespace, root):
        self.lab, self.namespace, self.root = lab, namespace, root
        self.state = lab.folder / namespace
        self.state.mkdir()
        libraries = next((root / "usr" / "lib").glob("*/libxdp.so.1")).parent
        own = {f"{kind}_{name}": str(self.state) for kind in ("OVS", "OVN") for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
        self.env = {**own, "OVS_PKGDATADIR": str(root / "usr/share/openvswitch"), "OVN_PKGDATADIR": str(root / "usr/share/ovn"),
                    "LD_LIBRARY_PATH": str(libraries)}

    def run(self, program, *arguments):
        return run("nsenter", f"--net=/run/netns/{self.namespace}", self.root / program, *arguments, env={**os.environ, **self.env})

    def start(self, program, *arguments, log):
        return self.lab.start(self.root / program, *arguments, "-vconsole:warn", namespace=self.namespace, env=self.env, log=f"{self.namespace}-{log}.log")

    def database(self, name, schema, *remotes):
        self.run("usr/bin/ovsdb-tool", "create", self.state / f"{name}.db", schema)
        self.start("usr/sbin/ovsdb-server", self.state / f"{name}.db", f"--remote=punix:{self.state}/{name}.sock", *remotes,
                   f"--unixctl={self.state}/{name}-db.ctl", log=f"{name}-db")
        wait_for((self.state / f"{name}.sock").exists, f"the database {name}")
        return f"unix:{self.state}/{name}.sock"


class Central:
    ADDRESS = "10.60.0.1"

    def __init__(self, lab, name, root):
        self.programs = Programs(lab, lab.namespace(f"{name}-central"), root)
        self.namespace = self.programs.namespace
        run("ip", "-n", self.namespace, "link", "add", "mgmt", "type", "bridge")
        run("ip", "-n", self.namespace, "link", "set", "mgmt", "up")
        lab.address(self.namespace, "mgmt", f"{self.ADDRESS}/24")
        schemas = root / "usr/share/ovn"
        self.north = self.programs.database("nb", schemas / "ovn-nb.ovsschema")
        south = self.programs.database("sb", schemas / "ovn-sb.ovsschema", f"--remote=ptcp:6642:{self.ADDRESS}")
        self.programs.start("usr/bin/ovn-northd", f"--ovnnb-db={self.north}", f"--ovnsb-db={south}",
                            f"--unixctl={self.programs.state}/northd.ctl", log="northd")

    def control(self, *arguments):
        return self.programs.run("usr/bin/ovn-nbctl", "--timeout=60", f"--db={self.north}", *arguments)

    def topology(self, ports):
        """'ports': {name: (network, last part of its address)}, one in each network."""
        self.control("lr-add", "r")
        for net, mac in MACS.items():
            switch = f"s{net}"
            self.control("ls-add", switch, "--", "lrp-add", "r", f"r{net}", f"{mac}:fe", f"{net}.1/24", "--", "lsp-add", switch, f"{switch}-r",
                         "--", "lsp-set-type", f"{switch}-r", "router", "--", "lsp-set-addresses", f"{switch}-r", "router",
                         "--", "lsp-set-options", f"{switch}-r", f"router-port=r{net}")
        for name, (net, last) in ports.items():
            address = f"{MACS[net]}:{last:02x} {net}.{last}"
            self.control("lsp-add", f"s{net}", name, "--", "lsp-set-addresses", name, address, "--", "lsp-set-port-security", name, address)
            self.rules(name)

    def rules(self, port):
        """All but what a rule allows is dropped, both ways."""
        group = f"pg_{port}"
        self.control("pg-add", group, port)
        arguments = []
        for direction, key, side in (("from-lport", "inport", "dst"), ("to-lport", "outport", "src")):
            matches = [f"tcp && tcp.dst == {20000 + n} && ip4.{side} == 5.0.{n}.0/24" for n in range(N_RULES - 3)]
            matches += [f"{protocol} && ip4.{side} == 10.61.0.0/16" for protocol in ("tcp", "udp", "icmp4")]
            for match in matches:
                arguments += ["--", "--type=port-group", "acl-add", group, direction, "1002", f"{key} == @{group} && ip4 && {match}", "allow-related"]
            arguments += ["--", "--type=port-group", "acl-add", group, direction, "1001", f"{key} == @{group} && ip4", "drop"]
        self.control(*arguments[1:])


class Chassis:
    def __init__(self, lab, central, name, number, n_hosts):
        self.lab, self.number = lab, number
        self.namespace = lab.namespace(f"{name}-h{number}")
        lab.cable(self.namespace, "mgmt", central.namespace, f"h{number}")
        run("ip", "-n", central.namespace, "link", "set", f"h{number}", "master", "mgmt")
        lab.address(self.namespace, "mgmt", f"10.60.0.{10 + number}/24")
        self.programs = Programs(lab, self.namespace, central.programs.root)
        self.database = self.programs.database("conf", central.programs.root / "usr/share/openvswitch/vswitch.ovsschema")
        self.control("--no-wait", "init")
        switch = "usr/lib/openvswitch-switch/ovs-vswitchd"
        self.switch = self.programs.start(switch if (central.programs.root / switch).exists() else "usr/sbin/ovs-vswitchd", self.database,
                                          f"--unixctl={self.programs.state}/switch.ctl", log="vswitchd")
        self.control("set", "open", ".", f"external-ids:system-id={name}-h{number}", f"external-ids:ovn-remote=tcp:{central.ADDRESS}:6642",
                     "external-ids:ovn-encap-type=geneve", f"external-ids:ovn-encap-ip=192.0.2.{number}",
                     "external-ids:ovn-bridge-datapath-type=netdev")
        self.control("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail-mode=secure")
        if n_hosts > 1:
            self.control("add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev")
        self.controller = self.programs.start("usr/bin/ovn-controller", self.database, log="controller")

    def control(self, *arguments):
        return self.programs.run("usr/bin/ovs-vsctl", "--timeout=30", f"--db={self.database}", *arguments)

    def wire(self):
        """The underlay's cable is a port of br-phy, where the user-space datapath finds its tunnels' routes."""
        without_offloads(self.namespace, "wire")
        self.control("add-port", "br-phy", "wire")
        self.lab.address(self.namespace, "br-phy", f"192.0.2.{self.number}/24")
        run("ip", "-n", self.namespace, "link", "set", "br-phy", "mtu", 1600, "up")

    def workload(self, namespace, port, net, last):
        device = f"p-{port}"
        self.lab.cable(namespace, "eth0", self.namespace, device)
        without_offloads(namespace, "eth0")
        without_offloads(self.namespace, device)
        run("ip", "-n", namespace, "link", "set", "eth0", "address", f"{MACS[net]}:{last:02x}")
        self.lab.address(namespace, "eth0", f"{net}.{last}/24")
        leads_to(namespace, f"{net}.1")
        self.control("add-port", "br-int", device, "--", "set", "interface", device, f"external-ids:iface-id={port}")


def without_offloads(namespace, device):
    """Frames that the user-space datapath is handed unsegmented would be dropped as too big."""
    run("ip", "netns", "exec", namespace, "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off")


def _ovn(lab, name, n_hosts):
    root = unpacked(PACKAGES, "ovn-ready")
    central = Central(lab, name, root)
    hosts = [Chassis(lab, central, name, number, n_hosts) for number in range(1, n_hosts + 1)]
    if n_hosts > 1:
        lab.cable(hosts[0].namespace, "wire", hosts[1].namespace, "wire", mtu=1600)
        for host in hosts:
            host.wire()
    client, server = ends(lab, name)
    central.topology({"client": (CLIENTS, 2), "server": (SERVERS, 2)})
    hosts[0].workload(client, "client", CLIENTS, 2)
    hosts[-1].workload(server, "server", SERVERS, 2)
    wait_for(lambda: all(central.control("get", "logical_switch_port", port, "up").strip() == "true" for port in ("client", "server")),
             f"{name}: both ports up", 60)
    central.control("--wait=hv", "sync")
    versions = [re.search(r"[\d.]+$", host_version.splitlines()[0]).group(0) for host_version in
                (central.control("--version"), hosts[0].control("--version"))]
    return Path(name, client, server, f"{SERVERS}.2", [program for host in hosts for program in (host.switch, host.controller)],
                f"OVN {versions[0]}, Open vSwitch {versions[1]}, datapath_type=netdev", next_source=FIRST_SOURCE)


def ovn(lab):
    return _ovn(lab, "ovn", 1)


def ovn2(lab):
    return _ovn(lab, "ovn2", 2)
