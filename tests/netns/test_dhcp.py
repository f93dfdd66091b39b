"""DHCPv4, DHCPv6 and router advertisements from one agent to real clients: dhclient, udhcpc, the kernel, rdisc6.

    +-- namespace host ------------------------------------+
    |  feed (127.0.0.1:9696)   weft-agent                   |
    |  underlay 192.0.2.1       |  programs on each tap     |
    |          tap<port a>   tap<port b>  ...               |
    +--------------|--------------|-------------------------+
                 eth0           eth0
              namespace a    namespace b     workloads: clients of the platform's services

No client touches the machine: each runs in its workload's namespace with its own script, leases and pid file."""

import contextlib
import ipaddress
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

import namespaces
from feed import Feed
from namespaces import Failed, command_in, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release"))
AGENT = BUILD / "src" / "agent" / "weft-agent"
PID = os.getpid()
HOST_ID = "00000000-0000-4000-b000-000000000001"
NETWORK_ID = "00000000-0000-4000-8000-000000000001"
SERVER_MAC = "fa:16:3f:00:00:01"
SUBNETS = {"v4": 1, "isolated": 2, "slaac": 3, "stateful": 4, "stateless": 5}

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not AGENT.exists(), reason="needs root and a built weft-agent")


def run(*command, **options):
    """Shows the command; what it prints as an error is part of what it says."""
    print("+", *command, flush=True)
    return namespaces.run(*command, stderr=subprocess.STDOUT, **options)


def subnet_id(name):
    return f"00000000-0000-4000-9000-{SUBNETS[name]:012d}"


def subnet(name, cidr, **more):
    return ("subnet", {"schema": 1, "id": subnet_id(name), "name": name, "project_id": "p", "network_id": NETWORK_ID, "cidr": cidr,
                       "ip_version": ipaddress.ip_network(cidr).version, "enable_dhcp": True, **more})


class Host:
    """A namespace with an agent, and its workloads."""

    count = 0

    def __init__(self, folder):
        Host.count += 1
        self.folder = folder
        self.name = f"weft{PID}h{Host.count}"
        self.pins = f"/sys/fs/bpf/weft-test-{PID}-dhcp{Host.count}"
        self.namespaces, self.agent, self.log = [], None, open(folder / "agent.log", "ab")
        self.clients = []
        self.feed = Feed(self.name, HOST_ID)

    def add_namespace(self, name):
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def start(self):
        self.add_namespace(self.name)
        run("ip", "-n", self.name, "link", "add", "underlay", "type", "veth", "peer", "name", "wire")
        run("ip", "-n", self.name, "address", "add", "192.0.2.1/24", "dev", "underlay")
        run("ip", "-n", self.name, "link", "set", "underlay", "up")
        run("ip", "-n", self.name, "link", "set", "wire", "up")
        (self.folder / "token").write_text("token\n")
        self.feed.put(
            ("host", {"schema": 1, "id": HOST_ID, "name": "h1", "tunnel_address": "192.0.2.1", "underlay_mtu": 1500}),
            ("network", {"schema": 1, "id": NETWORK_ID, "name": "net", "project_id": "p", "admin_state_up": True, "provider:segmentation_id": 77,
                         "mtu": 1400, "dns_domain": "example.org."}),
            subnet("v4", "10.0.0.0/24", gateway_ip="10.0.0.1", dns_nameservers=["9.9.9.9", "149.112.112.112"],
                   host_routes=[{"destination": "172.16.0.0/12", "nexthop": "10.0.0.9"}]),
            subnet("isolated", "10.1.0.0/24"),
            subnet("slaac", "2001:db8:1::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac", dns_nameservers=["2620:fe::9"]),
            subnet("stateful", "2001:db8:2::/64", ipv6_address_mode="dhcpv6-stateful", ipv6_ra_mode="dhcpv6-stateful", dns_nameservers=["2620:fe::fe"]),
            subnet("stateless", "2001:db8:3::/64", ipv6_address_mode="dhcpv6-stateless", ipv6_ra_mode="dhcpv6-stateless"),
        )
        self.feed.start()
        self.start_agent()

    def start_agent(self):
        self.agent = subprocess.Popen(
            command_in(self.name, AGENT, "--host", "h1", "--api", "http://127.0.0.1:9696", "--state-dir", self.folder / "state",
             "--pin-path", self.pins, "--socket", self.folder / "agent.sock", "--tunnel-address", "192.0.2.1", "--underlay", "underlay",
             "--join-token-file", self.folder / "token", "--log-level", "debug"), stdout=self.log, stderr=self.log)

    def kill_agent(self):
        self.agent.kill()
        self.agent.wait()

    def port(self, number, addresses, **more):
        """'addresses' are (subnet name, address) pairs."""
        identity = f"{number:08x}-0000-4000-a000-{number:012d}"
        self.feed.put(("port", {
            "schema": 1, "id": identity, "name": f"port{number}", "project_id": "p", "admin_state_up": True, "network_id": NETWORK_ID,
            "mac_address": f"fa:16:3e:00:00:{number:02x}", "port_security_enabled": True, "binding:host_id": "h1",
            "fixed_ips": [{"subnet_id": subnet_id(name), "ip_address": address} for name, address in addresses], **more}))
        return identity

    def workload(self, number, addresses, ipv6=True, solicits=True, **more):
        identity = self.port(number, addresses, **more)
        workload = Workload(self, number, identity, ipv6, solicits)
        self.feed.wait_active(identity)
        return workload

    def ask(self, operation, **arguments):
        """One question to the agent's own socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(self.folder / "agent.sock"))
            client.sendall(json.dumps({"operation": operation, **arguments}).encode() + b"\n")
            return json.loads(client.makefile().readline())

    def served(self):
        return self.ask("status")["served"]

    def drops(self, workload):
        return {row["reason"]: row["packets"] for row in self.ask("drops", port=workload.port_id)["drops"]}

    def log_text(self):
        return (self.folder / "agent.log").read_text(errors="replace")[-4000:]

    def stop(self):
        for client in self.clients:
            client.kill()
            client.wait()
        self.feed.stop()
        if self.agent:
            self.agent.terminate()
            try:
                self.agent.wait(60)
            except subprocess.TimeoutExpired:
                self.agent.kill()
                self.agent.wait()
        self.log.close()
        run(*command_in(self.name, AGENT, "--host", "h1", "--state-dir", self.folder / "state", "--pin-path", self.pins,
            "--tunnel-address", "192.0.2.1", "--underlay", "underlay", "--socket", self.folder / "agent.sock", "detach"), check=False)
        for name in self.namespaces:
            run("ip", "netns", "delete", name, check=False)
        shutil.rmtree(self.pins, ignore_errors=True)


class Workload:
    """A namespace whose eth0 is a port."""

    def __init__(self, host, number, port_id, ipv6, solicits):
        self.host, self.number, self.port_id = host, number, port_id
        self.name = f"{host.name}w{number}"
        self.mac = f"fa:16:3e:00:00:{number:02x}"
        self.folder = host.folder / self.name
        self.folder.mkdir()
        host.add_namespace(self.name)
        if not ipv6:
            self.run("sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1")
        if not solicits:
            self.run("sysctl", "-q", "-w", "net.ipv6.conf.default.router_solicitations=0")
        tap = "tap" + port_id[:11]
        run("ip", "-n", self.name, "link", "add", "eth0", "address", self.mac, "type", "veth", "peer", "name", tap, "netns", host.name)
        self.run("ip", "link", "set", "eth0", "addrgenmode", "eui64")
        self.run("ip", "link", "set", "eth0", "up")
        run("ip", "-n", host.name, "link", "set", tap, "up")

    def command(self, *command):
        return command_in(self.name, *command)

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def addresses(self, family):
        found = json.loads(self.run("ip", "-j", family, "address", "show", "dev", "eth0"))
        return [(entry["local"], entry["prefixlen"]) for entry in found[0].get("addr_info", [])
                if entry.get("scope") == "global" and not entry.get("tentative")] if found else []

    # -- dhclient ------------------------------------------------------------------------------------------------------------

    def dhclient(self, family="-4", *more, configuration="", name="c"):
        """Runs in the foreground (-d), so that it is ours to end."""
        client = Dhclient(self, family, more, configuration, name)
        self.host.clients.append(client.process)
        return client

    # -- udhcpc ---------------------------------------------------------------------------------------------------------------

    def udhcpc(self, *more):
        """One lease; returns what the server said, as udhcpc names it."""
        script, result = self.folder / "udhcpc.sh", self.folder / "udhcpc.env"
        script.write_text(f"#!/bin/sh\n[ \"$1\" = bound ] && env > {result}\nexit 0\n")
        script.chmod(0o755)
        result.unlink(missing_ok=True)
        output = self.run("busybox", "udhcpc", "-f", "-q", "-n", "-t", "30", "-T", "1", "-i", "eth0", "-s", script, *more, check=False)
        if not result.exists():
            raise AssertionError(f"no lease: {output}\n{self.host.log_text()}")
        return dict(line.split("=", 1) for line in result.read_text().splitlines() if "=" in line), output


DHCLIENT_SCRIPT = """#!/bin/sh
# Writes each event as a block of variables, then does the little that an address needs.
{ echo "=== $reason"; env | grep -E '^(old_|new_|cur_|reason=|interface=)'; echo "=== end"; } >> %(events)s
case "$reason" in
PREINIT*) ip link set dev "$interface" up ;;
BOUND|RENEW|REBIND|REBOOT)
    ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface"
    [ -n "$new_interface_mtu" ] && ip link set dev "$interface" mtu "$new_interface_mtu" ;;
BOUND6|RENEW6|REBIND6) ip address replace "$new_ip6_address/128" dev "$interface" ;;
esac
exit 0
"""

DHCLIENT_CONFIGURATION = """
option classless-routes code 121 = array of unsigned integer 8;
option ms-routes code 249 = array of unsigned integer 8;
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, host-name, interface-mtu, ntp-servers,
        classless-routes, ms-routes, tftp-server-name, bootfile-name;
also request dhcp6.name-servers, dhcp6.domain-search;
timeout 15; retry 2; initial-interval 1; reboot 3; select-timeout 0; backoff-cutoff 2;
"""


class Dhclient:
    def __init__(self, workload, family, more, configuration, name):
        folder = workload.folder
        self.workload, self.events_path = workload, folder / f"{name}.events"
        script, conf = folder / f"{name}.sh", folder / f"{name}.conf"
        self.leases = folder / f"{name}.leases"
        self.events_path.write_text("")
        script.write_text(DHCLIENT_SCRIPT % {"events": self.events_path})
        script.chmod(0o755)
        conf.write_text(DHCLIENT_CONFIGURATION + configuration)
        if not self.leases.exists():
            self.leases.touch()
        self.log_path = folder / f"{name}.log"
        with open(self.log_path, "wb") as log:
            command = workload.command("dhclient", family, "-d", "-v", "-cf", conf, "-lf", self.leases, "-pf", folder / f"{name}.pid", "-sf", script, *more, "eth0")
            print("+", *command)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def events(self):
        """[(reason, {variable: value})] in order, whole ones only."""
        text = self.events_path.read_text()
        return [(reason, dict(line.split("=", 1) for line in body.splitlines() if "=" in line))
                for reason, body in re.findall(r"=== (\w+)\n(.*?)=== end\n", text, re.S)]

    def wait(self, *reasons, after=0, deadline_s=60):
        def find():
            for reason, variables in self.events()[after:]:
                if reason in reasons:
                    return variables
            return None
        try:
            return wait_for(find, f"dhclient says {' or '.join(reasons)}", deadline_s)
        except Failed as error:
            raise Failed(f"{error}\n{self.log()}\n--- agent\n{self.workload.host.log_text()}") from None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def new_host():
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"weft-dhcp-{PID}-"))
    host = Host(folder)
    try:
        host.start()
        yield host
    finally:
        print(host.log_text())
        host.stop()
        log = (folder / "agent.log").read_text(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
    # With $WEFT_BUILD=build/sanitize the agent says so at its end.
    assert "Sanitizer" not in log and "runtime error" not in log, log[-6000:]


@pytest.fixture(scope="module")
def host():
    with new_host() as host:
        yield host


# ---- DHCPv4 ------------------------------------------------------------------------------------------------------------------


def test_dhclient_gets_everything_that_the_subnet_says(host):
    workload = host.workload(1, [("v4", "10.0.0.11")], ipv6=False)
    lease = workload.dhclient().wait("BOUND")
    assert lease["new_ip_address"] == "10.0.0.11"
    assert lease["new_subnet_mask"] == "255.255.255.0"
    assert lease["new_broadcast_address"] == "10.0.0.255"
    assert lease["new_routers"] == "10.0.0.1"
    assert lease["new_dhcp_server_identifier"] == "10.0.0.1"
    assert lease["new_domain_name_servers"] == "9.9.9.9 149.112.112.112"
    assert lease["new_domain_name"] == "example.org"
    assert lease["new_host_name"] == "host-10-0-0-11"
    assert lease["new_interface_mtu"] == "1400"
    assert lease["new_dhcp_lease_time"] == "86400"
    # 172.16/12 by 10.0.0.9, the network's other subnet on-link, and the default.
    routes = "12 172 16 10 0 0 9 24 10 1 0 0 0 0 0 0 10 0 0 1"
    assert lease["new_classless_routes"] == routes
    assert lease["new_ms_routes"] == routes
    assert workload.addresses("-4") == [("10.0.0.11", 24)]
    assert json.loads(workload.run("ip", "-j", "link", "show", "eth0"))[0]["mtu"] == 1400


def test_udhcpc_and_extra_options(host):
    workload = host.workload(2, [("v4", "10.0.0.12")], ipv6=False, extra_dhcp_opts=[
        {"opt_name": "bootfile-name", "opt_value": "pxelinux.0", "ip_version": 4}, {"opt_name": "tftp-server", "opt_value": "10.0.0.8", "ip_version": 4},
        {"opt_name": "mtu", "opt_value": "1300", "ip_version": 4}, {"opt_name": "42", "opt_value": "10.0.0.13,10.0.0.14", "ip_version": 4},
        {"opt_name": "ntp-server", "opt_value": "2001:db8::1", "ip_version": 6}])
    lease, output = workload.udhcpc("-O", "mtu", "-O", "tftp", "-O", "bootfile", "-O", "staticroutes", "-O", "msstaticroutes", "-O", "ntpsrv")
    assert lease["ip"] == "10.0.0.12"
    assert lease["mask"] == "24"
    assert lease["router"] == "10.0.0.1"
    assert lease["dns"] == "9.9.9.9 149.112.112.112"
    assert lease["mtu"] == "1300"
    assert lease["ntpsrv"] == "10.0.0.13 10.0.0.14"
    assert lease["bootfile"] == "pxelinux.0"
    assert lease["tftp"] == "10.0.0.8"
    assert lease["boot_file"] == "pxelinux.0"
    assert lease["siaddr"] == "10.0.0.8"
    assert lease["staticroutes"] == "172.16.0.0/12 10.0.0.9 10.1.0.0/24 0.0.0.0 0.0.0.0/0 10.0.0.1"
    assert lease["lease"] == "86400"


def test_broadcast_only_client_is_answered(host):
    workload = host.workload(3, [("v4", "10.0.0.13")], ipv6=False)
    assert workload.udhcpc("-B")[0]["ip"] == "10.0.0.13"


TAP = """
import fcntl, os, select, struct, sys, time
from scapy.all import Ether, IP, UDP, BOOTP, DHCP
mac = "fa:16:3e:00:00:12"
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", sys.argv[1].encode(), 0x1002))  # TUNSETIFF: IFF_TAP, IFF_NO_PI
frame = bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
              / BOOTP(chaddr=bytes.fromhex(mac.replace(":", "")), xid=99) / DHCP(options=[("message-type", "discover"), "end"]))
end = time.monotonic() + 50
while time.monotonic() < end:
    try:
        os.write(tap, frame)
    except OSError:  # Not up yet: that is the agent's to do.
        time.sleep(0.1)
        continue
    if not select.select([tap], [], [], 0.5)[0]:
        continue
    reply = Ether(os.read(tap, 2000))
    if BOOTP in reply:
        print(reply.src, reply[BOOTP].yiaddr, dict(o for o in reply[DHCP].options if isinstance(o, tuple) and len(o) == 2)["message-type"])
        break
"""


def test_virtual_machine_on_a_tap_is_served(host):
    port_id = host.port(18, [("v4", "10.0.0.38")])
    output = run(*command_in(host.name, "/usr/bin/python3", "-c", TAP, "tap" + port_id[:11]))
    assert output.split() == [SERVER_MAC, "10.0.0.38", "2"], output + host.log_text()


def test_wrong_address_is_refused(host):
    """INIT-REBOOT with an address of before: a NAK, then the right one."""
    workload = host.workload(4, [("v4", "10.0.0.14")], ipv6=False)
    for stale in ("10.0.0.99", "172.31.0.5"):
        leases = workload.folder / f"stale-{stale}.leases"
        leases.write_text(f'lease {{\n  interface "eth0";\n  fixed-address {stale};\n  option subnet-mask 255.255.255.0;\n'
                          "  option dhcp-lease-time 86400;\n  option dhcp-server-identifier 10.0.0.1;\n"
                          "  renew 2 2037/01/01 00:00:00;\n  rebind 2 2037/01/01 00:00:00;\n  expire 2 2037/01/01 00:00:00;\n}\n")
        client = workload.dhclient(name=f"stale-{stale}")
        lease = client.wait("BOUND", "REBOOT")
        assert lease["new_ip_address"] == "10.0.0.14"
        assert "DHCPNAK" in client.log(), client.log()
        client.stop()


def test_right_address_is_confirmed_at_reboot(host):
    workload = host.workload(5, [("v4", "10.0.0.15")], ipv6=False)
    client = workload.dhclient()
    client.wait("BOUND")
    wait_for(lambda: "10.0.0.15" in client.leases.read_text() and "bound to" in client.log(), "the lease to be written")
    client.stop()
    client = workload.dhclient()
    assert client.wait("REBOOT", "BOUND")["new_ip_address"] == "10.0.0.15"
    assert "DHCPDISCOVER" not in client.log(), client.log() + host.log_text()


def test_second_address_is_given_when_asked_for(host):
    workload = host.workload(6, [("v4", "10.0.0.16"), ("isolated", "10.1.0.16")], ipv6=False)
    lease, _ = workload.udhcpc("-O", "staticroutes")
    assert lease["ip"] == "10.0.0.16"
    lease, _ = workload.udhcpc("-r", "10.1.0.16", "-O", "staticroutes")
    assert lease["ip"] == "10.1.0.16"
    assert "router" not in lease and lease["serverid"] == "169.254.0.1"
    assert lease["staticroutes"] == "10.0.0.0/24 0.0.0.0 169.254.0.1/32 0.0.0.0 169.254.169.254/32 0.0.0.0"


def test_port_without_dhcp_hears_nothing(host):
    workload = host.workload(7, [("slaac", "2001:db8:1:0:f816:3eff:fe00:7")], ipv6=False)
    output = workload.run("busybox", "udhcpc", "-f", "-q", "-n", "-t", "2", "-T", "1", "-i", "eth0", "-s", "/bin/true", check=False)
    assert "no lease" in output


def test_only_the_platform_serves(host):
    """A server on another port of the network is not heard."""
    rogue = host.workload(8, [("v4", "10.0.0.18")], ipv6=False)
    client = host.workload(9, [("v4", "10.0.0.19")], ipv6=False)
    for workload in (rogue, client):
        workload.run("ip", "address", "add", "10.0.0.18/24" if workload is rogue else "10.0.0.19/24", "dev", "eth0")
    capture = subprocess.Popen(client.command("timeout", "60", "tcpdump", "-l", "-n", "-i", "eth0", "udp"), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    capture.stderr.readline()
    rogue.run("/usr/bin/python3", "-c", """
from scapy.all import Ether, IP, UDP, BOOTP, DHCP, sendp
for sport, dport in ((67, 68), (1000, 2000)):
    sendp(Ether(src='fa:16:3e:00:00:08', dst='fa:16:3e:00:00:09') / IP(src='10.0.0.18', dst='10.0.0.19') / UDP(sport=sport, dport=dport)
          / BOOTP(op=2, yiaddr='10.0.0.66') / DHCP(options=[('message-type', 'offer'), 'end']), iface='eth0', verbose=False)
""")
    heard = ""
    while ".2000:" not in heard: # It was sent after the other.
        line = capture.stdout.readline()
        assert line, heard
        heard += line
    capture.terminate()
    capture.communicate()
    assert ".68:" not in heard, heard


MALFORMED = """
import random
from scapy.all import Ether, IP, UDP, BOOTP, DHCP, IPv6, ICMPv6ND_RS, Raw, conf
random.seed(7)
s = conf.L2socket(iface="eth0")
mac = "fa:16:3e:00:00:0d"
eth4, eth6 = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff"), Ether(src=mac, dst="33:33:00:01:00:02")
whole = bytes(BOOTP(op=1, chaddr=bytes.fromhex(mac.replace(":", ""))) / DHCP(options=[("message-type", "discover"), ("param_req_list", [1, 3, 6]), "end"]))
link_local = "fe80::f816:3eff:fe00:d"
for n in range(12):
    s.send(eth4 / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / Raw(whole[:20 * n]))
    garbage = bytes(random.randrange(256) for _ in range(20 * n))
    s.send(eth4 / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / Raw(whole[:240] + garbage))
    s.send(eth6 / IPv6(src=link_local, dst="ff02::1:2") / UDP(sport=546, dport=547) / Raw(bytes([n]) + b"abc" + garbage))
    s.send(eth6 / IPv6(src=link_local, dst="ff02::2", hlim=255) / ICMPv6ND_RS() / Raw(garbage))
"""


def test_malformed_requests_harm_nobody(host):
    workload = host.workload(13, [("v4", "10.0.0.33"), ("stateful", "2001:db8:2::33")])
    before = host.served()["malformed"]
    workload.run("/usr/bin/python3", "-c", MALFORMED)
    wait_for(lambda: host.served()["malformed"] >= before + 20, "malformed requests to be counted")
    assert host.agent.poll() is None
    assert workload.udhcpc()[0]["ip"] == "10.0.0.33"


def test_storm_from_one_port_does_not_starve_another(host):
    noisy = host.workload(14, [("v4", "10.0.0.34")], ipv6=False)
    quiet = host.workload(15, [("v4", "10.0.0.35")], ipv6=False)
    storm = subprocess.Popen(noisy.command("/usr/bin/python3", "-c", """
import time
from scapy.all import Ether, IP, UDP, BOOTP, DHCP, conf
frame = bytes(Ether(src="fa:16:3e:00:00:0e", dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
              / BOOTP(chaddr=bytes.fromhex("fa163e00000e")) / DHCP(options=[("message-type", "discover"), "end"]))
s = conf.L2socket(iface="eth0")
print("go", flush=True)
for _ in range(300):
    for _ in range(20):
        s.outs.send(frame) if hasattr(s, "outs") else s.send(frame)
    time.sleep(0.01)
"""), stdout=subprocess.PIPE, text=True)
    try:
        assert storm.stdout.readline() == "go\n"
        start, before = time.monotonic(), host.served()["dhcp4"]
        assert quiet.udhcpc()[0]["ip"] == "10.0.0.35"
        storm.wait(60)
        answered, took = host.served()["dhcp4"] - before, time.monotonic() - start
    finally:
        storm.kill()
        storm.communicate()
    assert host.drops(noisy)["punt_budget"] > 500
    assert answered <= 100 + 50 * (took + 1) + 4  # Burst, rate, and the other's two.


def test_only_the_platform_advertises_routers(host):
    rogue = host.workload(16, [("slaac", "2001:db8:1:0:f816:3eff:fe00:10")])
    victim = host.workload(17, [("slaac", "2001:db8:1:0:f816:3eff:fe00:11")])
    wait_for(lambda: victim.addresses("-6"), "an address")
    rogue.run("/usr/bin/python3", "-c", """
from scapy.all import Ether, IPv6, UDP, ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, Raw, sendp
me = dict(src='fe80::f816:3eff:fe00:10', dst='ff02::1', hlim=255)
sendp(Ether(src='fa:16:3e:00:00:10', dst='33:33:00:00:00:01') / IPv6(**me) / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix='2001:db8:bad::', prefixlen=64),
      iface='eth0', verbose=False)
sendp(Ether(src='fa:16:3e:00:00:10', dst='fa:16:3e:00:00:11') / IPv6(src=me['src'], dst='fe80::f816:3eff:fe00:11') / UDP(sport=547, dport=546) / Raw(b'x'),
      iface='eth0', verbose=False)
""")
    wait_for(lambda: host.drops(rogue).get("dhcp_server", 0) >= 2, "the drops")
    assert not any("bad" in address for address, _ in victim.addresses("-6"))
    assert "default" not in victim.run("ip", "-6", "route")


# ---- renewals, and life without an API ------------------------------------------------------------------------------------------


# Asked for anew soon, and good for longer than an agent takes to start where much else runs.
SHORT = [{"opt_name": "lease-time", "opt_value": "90", "ip_version": 4}, {"opt_name": "T1", "opt_value": "2", "ip_version": 4},
         {"opt_name": "T2", "opt_value": "60", "ip_version": 4}]


def test_renewals_go_on_without_the_api_and_after_an_agent_restart(host):
    workload = host.workload(10, [("v4", "10.0.0.20")], ipv6=False, extra_dhcp_opts=SHORT)
    alone = host.workload(11, [("isolated", "10.1.0.21")], ipv6=False, extra_dhcp_opts=SHORT)
    client, other = workload.dhclient(), alone.dhclient()
    assert client.wait("BOUND")["new_dhcp_lease_time"] == "90"
    assert other.wait("BOUND")["new_dhcp_server_identifier"] == "169.254.0.1"
    assert client.wait("RENEW")["new_ip_address"] == "10.0.0.20"  # By unicast to the server identifier, before T2.
    assert re.search(r"DHCPREQUEST (for|of) \S+ on eth0 to 10\.0\.0\.1 port 67", client.log()), client.log()

    host.feed.stop()
    try:
        n = len(client.events())
        client.wait("RENEW", "REBIND", after=n)
        host.kill_agent()
        host.start_agent()
        n = len(client.events())
        client.wait("RENEW", "REBIND", after=n)
        n = len(other.events())
        other.wait("RENEW", "REBIND", after=n)
    finally:
        host.feed.start()
    assert "EXPIRE" not in [reason for reason, _ in client.events() + other.events()]


def test_lease_that_was_taken_away_is_refused_at_renewal(host):
    options = [{**SHORT[0], "opt_value": "20"}, SHORT[1], {**SHORT[2], "opt_value": "4"}]
    workload = host.workload(12, [("v4", "10.0.0.22")], ipv6=False, extra_dhcp_opts=options)
    client = workload.dhclient()
    assert client.wait("BOUND")["new_ip_address"] == "10.0.0.22"
    host.port(12, [("v4", "10.0.0.23")], extra_dhcp_opts=options)
    n = len(client.events())
    wait_for(lambda: any(variables.get("new_ip_address") == "10.0.0.23" for _, variables in client.events()[n:]), "the new address")
    assert "DHCPNAK from 10.0.0.1" in client.log(), client.log()  # And not because the lease ran out.


# ---- IPv6 ------------------------------------------------------------------------------------------------------------------------


def test_kernel_configures_itself_by_slaac(host):
    workload = host.workload(20, [("slaac", "2001:db8:1:0:f816:3eff:fe00:14")])
    wait_for(lambda: ("2001:db8:1:0:f816:3eff:fe00:14", 64) in workload.addresses("-6"), "an address")
    assert workload.run("sysctl", "-n", "net.ipv6.conf.eth0.mtu").strip() == "1400"
    assert "default" not in workload.run("ip", "-6", "route")  # No port is a gateway.
    on_link = [line.split()[0] for line in workload.run("ip", "-6", "route").splitlines() if "proto kernel" in line or "proto ra" in line]
    assert "2001:db8:1::/64" in on_link


def test_rdisc6_shows_the_advertisement(host):
    workload = host.workload(21, [("slaac", "2001:db8:1:0:f816:3eff:fe00:15")])
    wait_for(lambda: workload.addresses("-6"), "an address")
    text = workload.run("rdisc6", "-1", "-w", "15000", "eth0")
    assert re.search(r"MTU\s+:\s+1400", text), text
    assert re.search(r"Prefix\s+:\s+2001:db8:1::/64\s+On-link\s+:\s+Yes\s+Autonomous address conf.:\s+Yes", text), text
    assert re.search(r"Prefix\s+:\s+2001:db8:2::/64\s+On-link\s+:\s+Yes\s+Autonomous address conf.:\s+No", text), text
    assert re.search(r"Recursive DNS server\s+:\s+2620:fe::9", text), text
    assert re.search(r"DNS search list\s+:\s+example\.org", text), text
    assert re.search(r"Router lifetime\s+:\s+0 ", text), text
    assert "from fe80::f816:3fff:fe00:1" in text, text
    assert "Source link-layer" not in text, text


def test_advertisements_come_unasked():
    """When the port is plugged, and by the clock: a slot's turn comes as many seconds after the agent's start as its number says,
    and every 300 s from then on."""
    with new_host() as host:
        workload = host.workload(1, [("slaac", "2001:db8:1:0:f816:3eff:fe00:1")], solicits=False)
        wait_for(lambda: workload.addresses("-6"), "an address")
        host.kill_agent()
        capture = workload.folder / "advertisements"
        with open(capture, "wb") as out:
            listener = subprocess.Popen(workload.command("tcpdump", "-l", "-n", "-i", "eth0", "icmp6 and (ip6[40] = 133 or ip6[40] = 134)"),
                                        stdout=out, stderr=subprocess.PIPE, text=True)
        try:
            while "listening on" not in listener.stderr.readline():
                assert listener.poll() is None
            host.start_agent()
            wait_for(lambda: capture.read_text().count("router advertisement") >= 2, "two advertisements")
        finally:
            listener.kill()
            listener.communicate()
        assert "router solicitation" not in capture.read_text()


def test_port_that_is_the_gateway_becomes_the_default_router(host):
    """Advertised with its own link-local address and MAC, and reachable by both."""
    gateway = host.workload(22, [("slaac", "2001:db8:1:0:f816:3eff:fe00:16")])
    kind, value, _ = host.feed.objects[subnet_id("slaac")]
    host.feed.put((kind, {**value, "gateway_ip": "2001:db8:1:0:f816:3eff:fe00:16"}))
    try:
        workload = host.workload(23, [("slaac", "2001:db8:1:0:f816:3eff:fe00:17")])
        wait_for(lambda: workload.addresses("-6"), "an address")
        route = wait_for(lambda: workload.run("ip", "-6", "route", "show", "default"), "a default route")
        assert "via fe80::f816:3eff:fe00:16" in route, route
        text = workload.run("rdisc6", "-1", "-w", "15000", "eth0")
        assert re.search(r"Source link-layer address\s*:\s+FA:16:3E:00:00:16", text, re.I), text
        wait_for(lambda: gateway.addresses("-6"), "the gateway's address")
        workload.run("ping", "-6", "-c", "1", "-W", "30", "fe80::f816:3eff:fe00:16%eth0")
    finally:
        host.feed.put((kind, value))
    # The gateway is taken away: the workload is told within seconds, unasked.
    wait_for(lambda: not workload.run("ip", "-6", "route", "show", "default"), "no default route")


def test_dhclient_gets_a_stateful_address(host):
    workload = host.workload(24, [("stateful", "2001:db8:2::18")])
    wait_for(lambda: "fe80" in workload.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "link", "-tentative"), "a link-local address")
    client = workload.dhclient("-6", "-D", "LL")
    lease = client.wait("BOUND6")
    assert lease["new_ip6_address"] == "2001:db8:2::18"
    assert lease["new_dhcp6_name_servers"] == "2620:fe::fe"
    assert lease["new_dhcp6_domain_search"] == "example.org."
    client.stop()
    client = workload.dhclient("-6", "-D", "LL")  # CONFIRM of what it has.
    assert client.wait("REBOOT", "BOUND6", "REBIND6", "CONFIRM6")["new_ip6_address"] == "2001:db8:2::18"
    assert "XMT: Confirm" in client.log() or "XMT: Rebind" in client.log(), client.log()


ASK6 = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 546))
s.settimeout(50)
index = socket.if_nametoindex("eth0")
client = bytes.fromhex("0001000a00030001fa163e000019")
duid = bytes.fromhex("000200120004" + "00000000000040008000000000000001")
def ask(kind, options):
    s.sendto(bytes([kind, 1, 2, kind]) + client + options, ("ff02::1:2", 547, 0, index))
    reply, source = s.recvfrom(2000)
    assert reply[1:4] == bytes([1, 2, kind]), reply
    print(kind, source[0].split("%")[0], reply[4:].hex())
ia = bytes.fromhex("00030028000000010000000000000000" "00050018" "20010db8000200000000000000000019" "0000000000000000")
ask(1, ia + bytes.fromhex("000e0000"))
ask(8, duid + ia)
ask(9, duid + ia)
ask(6, ia.replace(bytes.fromhex("0019"), bytes.fromhex("0099")))
"""


def test_other_dhcpv6_messages(host):
    """What dhclient does not send or does not show: rapid commit, RELEASE, DECLINE, REBIND of another address."""
    workload = host.workload(25, [("stateful", "2001:db8:2::19")])
    wait_for(lambda: "fe80" in workload.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "link", "-tentative"), "a link-local address")
    replies = [line.split() for line in workload.run("/usr/bin/python3", "-c", ASK6).splitlines()]
    assert [int(kind) for kind, _, _ in replies] == [1, 8, 9, 6]
    assert {source for _, source, _ in replies} == {"fe80::f816:3fff:fe00:1"}
    success = "000d" + "0007" + "0000" + b"noted".hex()
    own, other = ("20010db80002000000000000000000" + last for last in ("19", "99"))
    assert own + "00015180" * 2 in replies[0][2]
    assert success in replies[1][2] and success in replies[2][2]
    assert own + "00015180" * 2 in replies[3][2] and other + "00000000" * 2 in replies[3][2]


def test_dhclient_asks_for_information(host):
    workload = host.workload(26, [("stateless", "2001:db8:3:0:f816:3eff:fe00:1a")], extra_dhcp_opts=[
        {"opt_name": "option6:dns-server", "opt_value": "2001:db8::35", "ip_version": 6}])
    wait_for(lambda: workload.addresses("-6"), "an address")
    text = workload.run("rdisc6", "-1", "-w", "15000", "eth0")
    assert re.search(r"Stateful other conf\.\s+:\s+Yes", text), text
    lease = workload.dhclient("-6", "-S", "-D", "LL").wait("BOUND6", "RENEW6", "REBIND6")
    assert lease["new_dhcp6_name_servers"] == "2001:db8::35"


# ---- what is too big ---------------------------------------------------------------------------------------------------------------


def test_sender_of_too_big_packets_learns_the_mtu(host):
    """The workload ignores the MTU it was told; its kernel learns it from the ICMP error."""
    sender = host.workload(30, [("v4", "10.0.0.30"), ("stateful", "2001:db8:2::30")])
    receiver = host.workload(31, [("v4", "10.0.0.31"), ("stateful", "2001:db8:2::31")])
    for workload, last in ((sender, 30), (receiver, 31)):
        workload.run("ip", "address", "add", f"10.0.0.{last}/24", "dev", "eth0")
        workload.run("ip", "address", "add", f"2001:db8:2::{last}/64", "dev", "eth0", "nodad")
    sender.run("sysctl", "-q", "-w", "net.ipv6.conf.eth0.accept_ra_mtu=0")
    for destination in ("10.0.0.31", "2001:db8:2::31"):
        wait_for(lambda: " 0% packet loss" in sender.run("ping", "-c", "1", "-W", "1", destination, check=False), "a small ping")
    sender.run("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1450", "10.0.0.31", check=False)
    wait_for(lambda: "mtu 1400" in sender.run("ip", "route", "get", "10.0.0.31"), "the IPv4 path MTU")
    sender.run("sysctl", "-q", "-w", "net.ipv6.conf.eth0.mtu=1500")
    sender.run("ping", "-6", "-c", "1", "-W", "1", "-M", "do", "-s", "1400", "2001:db8:2::31", check=False)
    wait_for(lambda: "mtu 1400" in sender.run("ip", "-6", "route", "get", "2001:db8:2::31"), "the IPv6 path MTU")
