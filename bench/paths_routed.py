"""Paths with everything on: routed from one network to another, a stateful firewall of 100 rules for each end, and out to the world by
source translation.

                 same host                                                      two hosts
    kernel       client - br0 [host routes, 2 x 100 rules] br1 - server         kernel2  client - br0 [host 1 routes, rules] br1 - vxlan
                                                                                         === underlay === vxlan - br1 [rules] - server
    weft         client - tap [router, rules] tap - server                      weft2    client - tap === underlay === tap - server

                 to the world
    masquerade   client - br0 [host routes, nftables masquerade] wire - server;  masquerade_rules with the 100 rules of the client, too
    weft         client - tap [router, rules, SNAT] uplink - server"""

from lab import Failed, command_in, run, wait_for
from paths import N_RULES, Path, carried, ends, passes_firewall, underlay
from weft import Platform

CLIENTS, SERVERS = "10.61.1", "10.61.2"  # Networks; the gateway of each is .1.
OUTSIDE = "203.0.113"


def leads_to(namespace, gateway):
    run("ip", "-n", namespace, "route", "add", "default", "via", gateway)


def routes(host):
    """The namespace forwards between its devices."""
    run("ip", "netns", "exec", host, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")


def bridged(lab, host, name, *address):
    run("ip", "-n", host, "link", "add", name, "type", "bridge")
    run("ip", "-n", host, "link", "set", name, "up")
    lab.address(host, name, *address)


def plugged(lab, end, address, host, device, bridge):
    """A workload on a bridge of a host; it leaves by the gateway .1 of its network."""
    lab.cable(end, "eth0", host, device)
    run("ip", "-n", host, "link", "set", device, "master", bridge)
    lab.address(end, "eth0", f"{address}/24")
    leads_to(end, address.rsplit(".", 1)[0] + ".1")


def chain_of_rules(name, prefix):
    """What Neutron's firewall drivers make for a port and direction: rules of which the last but one or two fit."""
    lines = [f"  ip saddr 5.0.{n}.0/24 tcp dport {20000 + n} return" for n in range(N_RULES - 3)]
    lines += [f"  ip saddr {prefix} meta l4proto {protocol} return" for protocol in ("tcp", "udp", "icmp")]
    return [f" chain {name} {{", *lines, "  drop", " }"]


def firewall(lab, host, *chains, more=()):
    """Established first; a new connection passes each of the chains: (name, prefix)."""
    text = ["table inet firewall {", *(line for name, prefix in chains for line in chain_of_rules(name, prefix)),
            " chain forward {", "  type filter hook forward priority 0; policy drop;",
            "  ct state established,related counter accept", "  ct state invalid drop",
            *(f"  jump {name}" for name, _ in chains), "  accept", " }", *more, "}"]
    file = lab.folder / f"{host}.nft"
    file.write_text("\n".join(text) + "\n")
    run("ip", "netns", "exec", host, "nft", "-f", file)


def kernel(lab):
    client, server = ends(lab, "kernel")
    host = lab.namespace("kernel-host")
    routes(host)
    for bridge, end, net in (("br0", client, CLIENTS), ("br1", server, SERVERS)):
        bridged(lab, host, bridge, f"{net}.1/24")
        plugged(lab, end, f"{net}.2", host, f"p-{bridge}", bridge)
    firewall(lab, host, ("leaves", f"{CLIENTS}.0/24"), ("arrives", f"{CLIENTS}.0/24"))
    return Path("kernel", client, server, f"{SERVERS}.2", version=run("nft", "--version").strip(), verify=lambda: passes_firewall(host))


def kernel2(lab):
    """The router is on the client's host, which is the best place for it; the server's rules are on the server's host."""
    client, server = ends(lab, "kernel2")
    hosts = underlay(lab, "kernel2")
    routes(hosts[0])
    bridged(lab, hosts[0], "br0", f"{CLIENTS}.1/24")
    bridged(lab, hosts[0], "br1", f"{SERVERS}.1/24")
    bridged(lab, hosts[1], "br1")
    for number, host in enumerate(hosts, 1):
        run("ip", "-n", host, "link", "add", "vx1", "type", "vxlan", "id", 78, "dstport", 4789, "local", f"192.0.2.{number}",
            "remote", f"192.0.2.{3 - number}", "dev", "wire")
        run("ip", "-n", host, "link", "set", "vx1", "mtu", 1500, "master", "br1", "up")
    plugged(lab, client, f"{CLIENTS}.2", hosts[0], "p0", "br0")
    plugged(lab, server, f"{SERVERS}.2", hosts[1], "p1", "br1")
    run("ip", "netns", "exec", hosts[1], "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1")
    firewall(lab, hosts[0], ("leaves", f"{CLIENTS}.0/24"))
    firewall(lab, hosts[1], ("arrives", f"{CLIENTS}.0/24"))
    return Path("kernel2", client, server, f"{SERVERS}.2", version=run("nft", "--version").strip(),
                verify=lambda: [passes_firewall(host) for host in hosts])


def _masquerade(lab, name, *chains):
    client, server = ends(lab, name)
    host = lab.namespace(f"{name}-host")
    routes(host)
    bridged(lab, host, "br0", f"{CLIENTS}.1/24")
    plugged(lab, client, f"{CLIENTS}.2", host, "p0", "br0")
    lab.cable(server, "eth0", host, "wire")
    lab.address(server, "eth0", f"{OUTSIDE}.1/24")
    lab.address(host, "wire", f"{OUTSIDE}.10/24")
    nat = [" chain nat {", "  type nat hook postrouting priority 100;", '  oifname "wire" counter masquerade', " }"]
    if chains:
        firewall(lab, host, *chains, more=nat)
    else:
        file = lab.folder / f"{name}.nft"
        file.write_text("\n".join(["table inet world {", *nat, "}"]) + "\n")
        run("ip", "netns", "exec", host, "nft", "-f", file)

    def verify():
        if "counter packets 0 " in run("ip", "netns", "exec", host, "nft", "list", "ruleset"):
            raise Failed(f"{name}: a rule of the measurement saw no packet")

    return Path(name, client, server, f"{OUTSIDE}.1", version=run("nft", "--version").strip(), verify=verify)


def masquerade(lab):
    return _masquerade(lab, "masquerade")


def masquerade_rules(lab):
    return _masquerade(lab, "masquerade_rules", ("leaves", f"{CLIENTS}.0/24"))


# ---- weft ----------------------------------------------------------------------------------------------------------------


def _workload(platform, name, host, network, port):
    end = platform.workload(name, host, port)
    leads_to(end, platform.admin.call("GET", f"/v2.0/subnets/{platform.subnet[network]}")["subnet"]["gateway_ip"])
    return end


def _weft(lab, name, n_hosts):
    platform = Platform(lab, name, n_hosts=n_hosts, underlay_mtu=1600)
    hosts = [platform.hosts[0], platform.hosts[-1]]
    networks = [platform.network(f"{net}.0/24", mtu=1500) for net in (CLIENTS, SERVERS)]
    platform.router(*networks)
    group = platform.group(N_RULES, "10.61.0.0/16")
    ports = [platform.port(network, host, security_groups=[group]) for network, host in zip(networks, hosts)]
    client, server = (_workload(platform, *what) for what in zip(("client", "server"), hosts, networks, ports))
    platform.wait_active(*ports)
    path = Path(name, client, server, ports[1]["fixed_ips"][0]["ip_address"])
    path.verify = lambda: carried(platform, hosts[0], ports[0])
    return path


def weft(lab):
    return _weft(lab, "weft", 1)


def weft2(lab):
    return _weft(lab, "weft2", 2)


def weft_snat(lab):
    """The world is a namespace behind the host's uplink."""
    platform = Platform(lab, "weft", underlay_mtu=1600, agent_options=["--uplinks=physnet1:up0"])
    host = platform.hosts[0]
    server = lab.namespace("weft-server")
    lab.cable(server, "eth0", host.namespace, "up0")
    lab.address(server, "eth0", f"{OUTSIDE}.1/24")
    outside = platform.network(f"{OUTSIDE}.0/24", {"gateway_ip": f"{OUTSIDE}.1", "enable_dhcp": False}, mtu=1500, router__external=True,
                               provider__network_type="flat", provider__physical_network="physnet1")
    network = platform.network(f"{CLIENTS}.0/24", mtu=1500)
    router = platform.router(network, outside=outside)
    port = platform.port(network, host, security_groups=[platform.group(N_RULES, "203.0.113.0/24")])
    client = _workload(platform, "client", host, network, port)
    platform.wait_active(port)
    path = Path("weft", client, server, f"{OUTSIDE}.1")
    path.prepare = lambda: get_ports(platform, router, path)
    path.verify = lambda: carried(platform, host, port)
    return path


SPREAD = """
import socket, sys
for port in range(2048, 2048 + 30000):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("", port))
        one.sendto(b"x", (sys.argv[1], 9))
"""


def get_ports(platform, router, path):
    """A host gets more ports of its router's address as it uses them: when the clock runs, a busy one has its share."""
    def has_all():
        run(*command_in(path.client, "/usr/bin/python3", "-c", SPREAD, path.address))
        hosts = platform.admin.call("GET", f"/weft/v1/routers/{router['id']}/snat")["snat"]["hosts"]
        return sum(host["ports"] for host in hosts) >= 32768

    wait_for(has_all, "the host's blocks of ports to grow", 120, interval=0.5)
