"""Connections that outlive the move of their rows: physical servers whose agents hand packets on to who had the row before (director_lab.py)."""

import contextlib
import http.client
import itertools
import json
import re
import signal
import socket
import struct

import pytest

from director_lab import VIP4, DirectorLab, address, ethtool, request, server, service
from lab import BUILD, Process
from namespaces import Failed, run, wait_for
from test_director import METHODS, set_services, traffic
from xdp_peer import pass_everything

NUMBERS = {"s1": 11, "s2": 12, "s3": 13, "s4": 14}
CASES = [("direct", 4, 4), ("ipip", 4, 6), ("l3dsr", 6, 6)]  # Inside, outside.
N_CONNECTIONS = 16
ETHTOOL_GGRO = 0x2B


@pytest.fixture(scope="module")
def lab():
    with DirectorLab() as lab:
        lab.add_servers(s3=13, s4=14)
        lab.write([])
        lab.start()
        yield lab


@pytest.fixture(scope="module")
def agents(lab):
    return lab.give_second_chances(*NUMBERS)


def outcomes(lab, name):
    return {line.split()[0]: int(line.split()[1]) for line in lab.server_command(name, "counters").splitlines()}


@contextlib.contextmanager
def all_replaced(lab, inside, outside, after=lambda connections, names: None, **more):
    """Connections at s1 and s2, each of which is then replaced by another server, with who answered; 'after' is called after each step."""
    def step(**weights):
        set_services(lab, [service([server(NUMBERS[name], outside, weight=weight, **more) for name, weight in weights.items()], inside,
                                   scheduler_flags=["port", "fallback"])])
    step(s1=1, s2=1)
    traffic(lab, inside)
    with contextlib.ExitStack() as stack:
        connections, names = [], []
        while len(connections) < N_CONNECTIONS or set(names) != {"s1", "s2"}:
            assert len(connections) < 40 * N_CONNECTIONS, f"all connections are {names[0]}'s"
            connections.append(stack.enter_context(lab.connection(inside)))
            names.append(request(connections[-1])[0])
        for weights in ({"s1": 2, "s2": 2, "s3": 2},            # One is added,
                        {"s1": 0, "s2": 2, "s3": 2},            # one is drained,
                        {"s1": 0, "s2": 0, "s3": 2, "s4": 2}):  # and the other one is replaced.
            step(**weights)
            after(connections, names)
        yield connections, names


@pytest.mark.parametrize("method, inside, outside", CASES, ids=[f"{method} {a} over {b}" for method, a, b in CASES])
def test_no_connection_breaks_when_all_servers_are_replaced(lab, agents, method, inside, outside):
    def all_are_there(connections, names):
        assert [request(connection, b"x" * 4000) for connection in connections] == [(name, 4000) for name in names]

    with all_replaced(lab, inside, outside, all_are_there, second_chance=True, **METHODS[method]):
        pass
    assert {lab.get(inside)[0] for _ in range(20)} == {"s3", "s4"}
    handed_on = outcomes(lab, "s3")["handed_on"] + outcomes(lab, "s4")["handed_on"]
    assert handed_on and outcomes(lab, "s1")["last"]


def test_large_segments_pass_where_nobody_hears_what_is_too_big(lab, agents):
    """A network before the client drops ICMP, so what a server announces is all that it hears of what fits with a chain; also where it sends without DF."""
    client = lab.namespaces["client"]
    client.run("nft", "add table inet deaf; add chain inet deaf in { type filter hook input priority 0; };"
                      "add rule inet deaf in icmp type destination-unreachable drop; add rule inet deaf in icmpv6 type packet-too-big drop")
    try:
        for version, without_df in ((4, 0), (4, 1), (6, 0)):
            client.run("sh", "-c", f"echo {without_df} > /proc/sys/net/ipv4/ip_no_pmtu_disc")
            with all_replaced(lab, version, 6, second_chance=True, **METHODS["ipip"]) as (connections, names):
                assert [request(connection, b"x" * 20000) for connection in connections] == [(name, 20000) for name in names]
    finally:
        client.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_no_pmtu_disc")
        client.run("nft", "delete table inet deaf")


def announced(lab, version=4):
    """The MSS that the client was told, less the 12 bytes of its timestamps."""
    with lab.connection(version) as connection:
        return connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn_ack(mss):
    """Of port 80 to port 4000, with the MSS at an odd place."""
    options = struct.pack("!BBBHBBB", 1, 2, 4, mss, 3, 3, 7)
    tcp = struct.pack("!HHIIBBHHH", 80, 4000, 1, 2, 7 << 4, 0x12, 8192, 0, 0) + options
    pseudo = socket.inet_aton(VIP4) + socket.inet_aton(address(100)) + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
    return tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]


def test_answers_announce_what_fits_with_a_chain(lab, agents):
    """Of virtual addresses only; the client believes the checksum, and a SYN-ACK that had one before it left is right, too."""
    s1 = lab.namespaces["s1"]
    set_services(lab, [service([server(11, version)], version) for version in (4, 6)])
    wait_for(lambda: lab.answers(4) and lab.answers(6), "answers")
    before = outcomes(lab, "s1")["mss_lowered"]
    assert (announced(lab, 4), announced(lab, 6)) == (1356 - 12, 1336 - 12)
    assert outcomes(lab, "s1")["mss_lowered"] >= before + 2
    with lab.namespaces["client"].inside(), socket.create_connection((address(11), 80)) as direct:
        assert direct.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1460 - 12
    with lab.namespaces["client"].inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as hears:
        hears.settimeout(30)
        with s1.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as sends:
            sends.bind((VIP4, 0))
            sends.sendto(syn_ack(1460), (address(100), 0))
        came = next(segment for segment in iter(lambda: hears.recv(2000)[20:], None) if segment[:4] == syn_ack(0)[:4])
        assert came == syn_ack(1356)
    assert outcomes(lab, "s1")["mss_lowered"] >= before + 3
    s1.ip("link", "set", "eth0", "mtu", "1400")
    wait_for(lambda: announced(lab) == 1256 - 12, "the agent to follow the interface's MTU")
    s1.ip("link", "set", "eth0", "mtu", "1500")
    wait_for(lambda: announced(lab) == 1356 - 12, "the agent to follow the interface's MTU")


def test_answers_may_leave_by_another_interface(lab, agents):
    s1 = lab.namespaces["s1"]

    def filters(interface):
        return s1.run("tc", "filter", "show", "dev", interface, "egress")
    s1.ip("link", "add", "out0", "type", "bridge")
    replace_config(lab, "s1", answer_interfaces=["out0", "tun0"])
    wait_for(lambda: "interface tun0: the MSS of answers cannot be lowered: it has no frames of Ethernet" in agents["s1"].text(), "the agent to refuse a tunnel")
    wait_for(lambda: "lower_mss" in filters("out0"), "the program to be where answers leave")
    assert "lower_mss" not in filters("eth0") + filters("tun0")
    agents["s1"].stop()
    lab.server_command("s1", "detach")
    assert "lower_mss" not in filters("out0")
    s1.ip("link", "del", "out0")
    agents.update(lab.give_second_chances("s1"))
    assert "lower_mss" in filters("eth0")


def test_what_cannot_be_handed_on_is_counted(lab, agents):
    """The host's routes lead nowhere for a while; the connections wait for it."""
    def no_route():
        return sum(outcomes(lab, name)["no_route"] for name in ("s3", "s4"))

    with all_replaced(lab, 4, 4, second_chance=True) as (connections, names):
        before = no_route()
        for name, old in itertools.product(("s3", "s4"), ("s1", "s2")):
            lab.namespaces[name].ip("route", "add", "blackhole", f"{address(NUMBERS[old])}/32")
        connections[0].request("GET", "/")
        wait_for(lambda: no_route() > before, "a packet without a route to the owner before")
        for name, old in itertools.product(("s3", "s4"), ("s1", "s2")):
            lab.namespaces[name].ip("route", "del", "blackhole", f"{address(NUMBERS[old])}/32")
        assert connections[0].getresponse().read().decode().split()[0] == names[0]


def test_without_it_they_break(lab, agents):
    with all_replaced(lab, 4, 4) as (connections, _):
        for connection in connections:
            with pytest.raises((OSError, http.client.HTTPException)):
                request(connection)


def test_it_goes_on_without_the_agents(lab, agents):
    """Programs stay where they are, and counters are the next agent's."""
    def handed_on():
        return sum(outcomes(lab, name)["handed_on"] for name in ("s3", "s4"))

    with all_replaced(lab, 4, 4, second_chance=True) as (connections, names):
        agents["s3"].stop()
        agents["s4"].stop()
        counted = handed_on()
        assert [request(connection)[0] for connection in connections] == names
        assert handed_on() > counted
        counted = handed_on()
        agents.update(lab.give_second_chances("s3", "s4"))
        assert handed_on() >= counted
        assert [request(connection)[0] for connection in connections] == names


def test_a_stranger_is_not_believed(lab, agents):
    """Who is no director of the server's file has nothing opened by it, though the packet inside is for a virtual address."""
    before = outcomes(lab, "s1")["unknown_source"]
    with lab.namespaces["client"].inside():
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with stranger:
        stranger.sendto(bytes.fromhex("00040000") + bytes(40), (address(11), 6080))
    wait_for(lambda: outcomes(lab, "s1")["unknown_source"] > before, "the datagram to be dropped")


def test_a_file_that_cannot_be_used_changes_nothing(lab, agents):
    config = lab.folder / "s1.json"
    good = config.read_text()

    def replace(text):
        config.with_suffix(".new").write_text(text)
        config.with_suffix(".new").rename(config)
    replace(good.replace("10.1.0.2", "10.1.0.2/24"))
    wait_for(lambda: "real_server.directors[0]: '10.1.0.2/24' is not a prefix" in agents["s1"].text(), "the agent to refuse the file")
    assert lab.get()[0] in ("s3", "s4")
    replace(good)
    wait_for(lambda: "virtual addresses, UDP port 6080" in agents["s1"].text(), "the agent to take the file again")
    assert "prog" in lab.namespaces["s1"].ip("-details", "link", "show", "eth0")
    with pytest.raises(Failed, match="agent runs in this network namespace"):
        lab.server_command("s1", "detach")
    agents["s1"].stop()
    lab.server_command("s1", "detach")
    assert "prog" not in lab.namespaces["s1"].ip("-details", "link", "show", "eth0")
    with pytest.raises(Failed, match="no interface of this network namespace gives second chances"):
        lab.server_command("s1", "counters")
    agents.update(lab.give_second_chances("s1"))


def forwarding(lab, name):
    return lab.namespaces[name].run("sh", "-c", "cd /proc/sys/net; cat ipv4/conf/lo/forwarding ipv6/conf/lo/forwarding").split()


def test_detach_leaves_the_host_as_it_was(lab, agents):
    """lo forwards while the programs are there, whatever became of the agent; what an operator turned on stays."""
    s1 = lab.namespaces["s1"]
    for others, after in ((":", ["0", "0"]), ("echo 1 > ipv4/conf/lo/forwarding", ["1", "0"])):
        assert "0" not in forwarding(lab, "s1")
        s1.run("sh", "-c", f"cd /proc/sys/net; {others}")
        agents["s1"].stop(signal.SIGKILL)
        lab.server_command("s1", "detach")
        assert forwarding(lab, "s1") == after
        agents.update(lab.give_second_chances("s1"))
    agents["s1"].stop()
    lab.server_command("s1", "detach")
    assert forwarding(lab, "s1") == ["1", "0"]
    s1.run("sh", "-c", "cd /proc/sys/net; echo 0 > ipv4/conf/lo/forwarding")
    agents.update(lab.give_second_chances("s1"))


def test_a_default_route_of_an_advertisement_stays(lab, agents):
    """The kernel forgets them where forwarding is turned on."""
    s1, lan = lab.namespaces["s1"], lab.namespaces["lan"]
    agents["s1"].stop()
    lab.server_command("s1", "detach")
    s1.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/lo/forwarding")
    s1.ip("link", "add", "ra0", "up", "type", "veth", "peer", "name", "ra1", "netns", lan.name)
    lan.ip("link", "set", "ra1", "addrgenmode", "none")
    lan.ip("link", "set", "ra1", "up")
    lan.ip("addr", "add", "fe80::1/64", "dev", "ra1", "nodad")
    with lan.inside(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
        ifindex = socket.if_nametoindex("ra1")
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, ifindex)

        def advertised():
            router.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, ifindex))
            return "via fe80::1" in s1.ip("-6", "route")
        wait_for(advertised, "a default route")
    agents.update(lab.give_second_chances("s1"))
    assert "0" not in forwarding(lab, "s1")
    assert "via fe80::1" in s1.ip("-6", "route")
    assert s1.run("cat", "/proc/sys/net/ipv6/conf/ra0/accept_ra") == "1\n"
    s1.ip("link", "del", "ra0")


def replace_config(lab, name, **more):
    config = lab.folder / f"{name}.json"
    wanted = {"real_server": {**json.loads(config.read_text())["real_server"], **more}}
    config.with_suffix(".new").write_text(json.dumps(wanted))
    config.with_suffix(".new").rename(config)


def program_of(lab, name):
    return re.search(r"prog/xdp id (\d+)", lab.namespaces[name].ip("-details", "link", "show", "eth0"))[1]


def test_tables_that_cannot_be_written_change_nothing(lab, agents):
    program = program_of(lab, "s1")
    maps = json.loads(run("bpftool", "-j", "prog", "show", "id", program))["map_ids"]
    frozen, = (number for number in maps if json.loads(run("bpftool", "-j", "map", "show", "id", number)).get("name") == "chain_addresses")
    run("bpftool", "map", "freeze", "id", frozen)
    replace_config(lab, "s1", addresses=["192.0.2.77"], interfaces=["eth0", "lo"])
    wait_for(lambda: "tables cannot be written: Operation not permitted" in agents["s1"].text(), "the agent to say that it cannot write")
    assert "virtual addresses" not in agents["s1"].text().split("cannot be written")[-1]
    assert program_of(lab, "s1") == program and "xdp" not in lab.namespaces["s1"].ip("link", "show", "lo")
    agents["s1"].stop()
    agents.update(lab.give_second_chances("s1"))  # With tables of its own.
    assert program_of(lab, "s1") != program


def test_who_waits_for_the_programs_is_told_when_they_are_everywhere(lab, agents):
    """As systemd is, which starts what serves after that.  The interface that comes late has no XDP of its own."""
    s1 = lab.namespaces["s1"]
    agents["s1"].stop()
    replace_config(lab, "s1", interfaces=["eth0", "late0"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(lab.folder / "notify"))
        notified.setblocking(False)
        agent = Process(s1.command("env", f"NOTIFY_SOCKET={lab.folder / 'notify'}", BUILD / "src/agent/weft-agent", "--config", lab.folder / "s1.json"),
                        lab.folder / "s1-agent.log")
        lab.processes.append(agent)
        wait_for(lambda: "interface late0: does not exist yet" in agent.text(), "the agent to miss an interface")
        with pytest.raises(BlockingIOError):
            notified.recv(100)
        s1.ip("link", "add", "late0", "type", "bridge")
        notified.settimeout(60)
        assert notified.recv(100) == b"READY=1"
    assert "interface late0: gives second chances, in the generic way" in agent.text()
    with s1.inside():
        assert ethtool("late0", ETHTOOL_GGRO, 1) == 0
    agent.stop()
    s1.ip("link", "del", "late0")
    s1.ip("link", "add", "late0", "type", "bridge")
    pass_everything(s1.name, "late0")  # Somebody else's program: then ours for tc has nothing to send.
    agent = Process(s1.command(BUILD / "src/agent/weft-agent", "--config", lab.folder / "s1.json"), lab.folder / "s1-agent.log")
    lab.processes.append(agent)
    wait_for(lambda: "interface late0: has another XDP program" in agent.text(), "the agent to find another program")
    assert "pass_on" not in s1.run("tc", "filter", "show", "dev", "late0", "ingress")
    assert "pass_on" in s1.run("tc", "filter", "show", "dev", "eth0", "ingress")
    agent.stop()
    s1.ip("link", "del", "late0")
    agents.update(lab.give_second_chances("s1"))


def test_an_answer_to_a_syn_cookie_is_the_owners(lab, agents):
    """All SYNs get one, so a connection's first acknowledgment finds no socket but the listener."""
    def cookies():
        return sum(outcomes(lab, name)["cookie"] for name in ("s3", "s4"))

    with all_replaced(lab, 4, 4, second_chance=True):
        for name in ("s3", "s4"):
            lab.namespaces[name].run("sh", "-c", "echo 2 > /proc/sys/net/ipv4/tcp_syncookies")
        before = cookies()
        assert {lab.get()[0] for _ in range(8)} <= {"s3", "s4"}
        assert cookies() >= before + 8
        for name in ("s3", "s4"):
            lab.namespaces[name].run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/tcp_syncookies")


def test_a_server_whose_programs_are_gone_is_found_out(lab, agents):
    """It answers as it ever did, so nothing but checks in GUE with a chain can tell; and they tell no tales while all is well."""
    check = {"type": "tcp", "interval_ms": 200, "timeout_ms": 2000, "retry_delay_ms": 50, "warmup_ms": 1}
    http = {"type": "http", "urls": [{"path": "/"}], **{key: value for key, value in check.items() if key != "type"}}

    def states():
        return {one["address"]: (one["up"], one.get("reason", "")) for one in lab.ask()["services"][0]["servers"]}

    patient = [dict(one, timeout_ms=60000) for one in (check, http)]  # Nothing is wrong with the first, however long it takes.
    set_services(lab, [service([server(11, 6, second_chance=True, checks=patient, **METHODS["ipip"]),
                                server(12, 6, second_chance=True, checks=[check, http], **METHODS["ipip"])])])
    wait_for(lambda: all(up for up, _ in states().values()), "both servers to be up")
    begun = outcomes(lab, "s1")
    wait_for(lambda: outcomes(lab, "s1")["begins"] >= begun["begins"] + 6 and outcomes(lab, "s1")["socket"] >= begun["socket"] + 6, "checks in a chain")
    assert all(up for up, _ in states().values()), states()
    agents["s2"].stop()
    lab.server_command("s2", "detach")
    wait_for(lambda: not states()[address(12, 6)][0], "the server without programs to be out")
    reason = states()[address(12, 6)][1]
    assert "answers, but not in GUE with a chain" in reason and "is weft-real-server running there?" in reason, reason
    assert states()[address(11, 6)][0]
    agents.update(lab.give_second_chances("s2"))
    wait_for(lambda: states()[address(12, 6)][0], "the server with programs to be up")
    assert " check in GUE with a chain fails: " in lab.agent.text()
