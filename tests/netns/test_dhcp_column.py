"""DHCP through the whole column: weft-api, agents on two hosts, workloads that configure themselves.

    weft-api == h1 == h2      w on h1, then on h2; a second tenant with the same addresses and MACs
"""

import re
import signal

import pytest

from lab import Lab
from namespaces import wait_for

SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/$mask" dev "$interface"
ip link set dev "$interface" mtu "${mtu:-1500}"
env > %s
"""


@pytest.fixture(scope="module")
def lab():
    with Lab(2) as lab:
        yield lab


def lease(lab, workload, *more, expect=True):
    """One lease by udhcpc, applied to the interface: what the server said."""
    script, result = lab.folder / f"{workload.namespace.name}.sh", lab.folder / f"{workload.namespace.name}.env"
    script.write_text(SCRIPT % result)
    script.chmod(0o755)
    result.unlink(missing_ok=True)
    output = workload.run("busybox", "udhcpc", "-f", "-q", "-n", "-t", "4", "-T", "1", "-i", "eth0", "-s", script, "-O", "mtu", *more, check=False)
    if not result.exists():
        if expect:
            raise AssertionError(f"no lease: {output}")
        return None
    return dict(line.split("=", 1) for line in result.read_text().splitlines() if "=" in line)


def test_workloads_configure_themselves_and_reach_each_other(lab):
    network = lab.api.network("self", mtu=1400)
    lab.api.subnet(network, "10.7.0.0/24", dns_nameservers=["9.9.9.9"], host_routes=[{"destination": "172.16.0.0/12", "nexthop": "10.7.0.9"}])
    workloads = [lab.workload(lab.api.port(network, host), host, address=False, mtu=1500) for host in lab.hosts]
    lab.api.wait_active(*(w.port for w in workloads))
    for workload in workloads:
        said = lease(lab, workload, "-O", "staticroutes")
        assert said["ip"] == workload.address
        assert said["mtu"] == "1400"
        assert said["dns"] == "9.9.9.9"
        assert said["router"] == said["serverid"] == "10.7.0.1"
        assert said["staticroutes"] == "172.16.0.0/12 10.7.0.9 0.0.0.0/0 10.7.0.1"
    workloads[0].wait_ping(workloads[1])
    assert workloads[0].ping(workloads[1], size=1372) == 1


def test_tenants_with_the_same_addresses_get_their_own(lab):
    workloads = []
    for name, mtu in (("left", 1300), ("right", 1350)):
        project, token = lab.api.project(name)
        network = lab.api.network(name, token=token, mtu=mtu)
        lab.api.subnet(network, "10.8.0.0/24", token=token)
        port = lab.api.port(network, lab.hosts[0], fixed_ips=[{"ip_address": "10.8.0.5"}], mac_address="fa:16:3e:bb:00:05", project_id=project)
        workloads.append(lab.workload(port, lab.hosts[0], address=False))
    lab.api.wait_active(*(w.port for w in workloads))
    assert [lease(lab, workload)["mtu"] for workload in workloads] == ["1300", "1350"]


def test_extra_options_set_later_are_in_the_next_lease(lab):
    network = lab.api.network("later")
    lab.api.subnet(network, "10.9.0.0/24")
    workload = lab.workload(lab.api.port(network, lab.hosts[0]), lab.hosts[0], address=False)
    lab.api.wait_active(workload.port)
    assert "bootfile" not in lease(lab, workload, "-O", "bootfile")
    lab.api.update_port(workload.port, extra_dhcp_opts=[{"opt_name": "bootfile-name", "opt_value": "pxe.0"}, {"opt_name": "server-ip-address", "opt_value": "10.9.0.77"}])
    said = wait_for(lambda: (lambda s: s if s.get("bootfile") else None)(lease(lab, workload, "-O", "bootfile")), "the new option")
    assert said["bootfile"] == "pxe.0" and said["siaddr"] == "10.9.0.77"


def test_lease_is_renewed_on_another_host_with_the_api_gone(lab):
    """The same server, by address and MAC, wherever the workload is."""
    network = lab.api.network("moving")
    lab.api.subnet(network, "10.10.0.0/24")
    port = lab.api.port(network, lab.hosts[0])
    workload = lab.workload(port, lab.hosts[0], address=False)
    lab.api.wait_active(port)
    first = lease(lab, workload)
    workload.unplug()
    port = lab.api.update_port(port, **{"binding:host_id": lab.hosts[1].name})
    moved = lab.workload(port, lab.hosts[1], address=False)
    wait_for(lambda: any(p["id"] == port["id"] and p["status"] == "ACTIVE" for p in lab.hosts[1].ask("status")["ports"]), "the port on h2")
    lab.api.stop(signal.SIGKILL)
    try:
        second = lease(lab, moved, "-r", first["ip"])
        assert {key: second[key] for key in ("ip", "serverid", "router")} == {key: first[key] for key in ("ip", "serverid", "router")}
        lab.hosts[1].stop(signal.SIGKILL)
        assert lease(lab, moved, expect=False) is None  # Nobody else answers.
        lab.hosts[1].start(wait=False)
        lab.hosts[1].wait_ready(synced=False)
        wait_for(lambda: lease(lab, moved, expect=False), "a lease from the restarted agent")
    finally:
        lab.api.start()


def test_ipv6_by_itself(lab):
    network = lab.api.network("six", mtu=1400)
    lab.api.subnet(network, "2001:db8:6::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac", dns_nameservers=["2620:fe::fe"])
    workloads = []
    for host in lab.hosts:
        port = lab.api.port(network, host)
        workload = lab.workload(port, host, address=False)
        workload.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
        workload.run("ip", "link", "set", "eth0", "addrgenmode", "eui64")
        workloads.append(workload)
    lab.api.wait_active(*(w.port for w in workloads))
    for workload in workloads:
        text = workload.run("rdisc6", "-1", "-w", "3000", "eth0")
        assert re.search(r"Recursive DNS server\s+:\s+2620:fe::fe", text), text
        wait_for(lambda: workload.address in workload.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "global"), f"{workload.address}")
    workloads[0].wait_ping(workloads[1])
