"""weft-agent as a director: real servers behind it, a real client before it, all on one network (director_lab.py)."""

import contextlib
import http.client
import itertools
import json
import pathlib
import re
import signal
import socket
import struct

import pytest

from director_lab import DirectorLab, SERVERS, VIP4, VIP6, address, request, server, service
from lab import BUILD, Process
from namespaces import Failed, run, wait_for

SO_NETNS_COOKIE = 71
IPIP = {"forwarding": "tunnel", "tunnel": {"type": "ipip"}}
METHODS = {
    "direct": {"forwarding": "direct"},
    "ipip": IPIP,
    "gue": {"forwarding": "tunnel", "tunnel": {"type": "gue", "port": 6080}},
    "gue with a checksum": {"forwarding": "tunnel", "tunnel": {"type": "gue", "port": 6080, "checksum": "full"}},
    "gue with a remote checksum": {"forwarding": "tunnel", "tunnel": {"type": "gue", "port": 6080, "checksum": "remote"}},
    "gre": {"forwarding": "tunnel", "tunnel": {"type": "gre"}},
    "gre with a checksum": {"forwarding": "tunnel", "tunnel": {"type": "gre", "checksum": "full"}},
    "vxlan": {"forwarding": "tunnel", "tunnel": {"type": "vxlan", "port": 4789, "vni": 77}},
    "l3dsr": {"forwarding": "l3dsr", "dscp": 5},
}
CASES = [(method, 4, 4) for method in METHODS] + [
    ("direct", 6, 6), ("ipip", 6, 6), ("ipip", 6, 4), ("ipip", 4, 6), ("gue with a checksum", 6, 4), ("gue with a checksum", 4, 6), ("gre", 6, 6),
    ("l3dsr", 6, 6)]


@pytest.fixture(scope="module")
def lab():
    with DirectorLab() as lab:
        lab.write([])
        lab.start()
        yield lab


def both(version, **more):
    return [server(11, version, **more), server(12, version, **more)]


WEIGHTS = itertools.count(1)


def set_services(lab, services, **more):
    """Writes them and waits until the director has them: each time the servers weigh something else, so that this can be told."""
    weight = next(WEIGHTS)
    for one in services:
        for real in one["servers"]:
            real.setdefault("weight", weight)
    wanted = [[(real["address"], real["weight"]) for real in one["servers"]] for one in services]
    lab.write(services, **more)

    def has_them():
        state = lab.ask()
        return not state["config_error"] and [[(real["address"], real["weight"]) for real in one["servers"]]
                                              for one in state["services"]] == wanted
    wait_for(has_them, f"the director to have {wanted}; it said:\n{lab.agent.text()}")


def traffic(lab, version=4):
    """Both servers answer, the client sees nothing but answers."""
    wait_for(lambda: lab.answers(version), f"an answer; the director dropped {lab.ask('director-drops')}")
    assert {lab.get(version)[0] for _ in range(30)} == set(SERVERS)


@pytest.mark.parametrize("method, inside, outside", CASES, ids=[f"{method} {a} over {b}" for method, a, b in CASES])
def test_both_servers_answer(lab, method, inside, outside):
    """Checks go the same way as the client's packets: until they come back no server is used."""
    check = {"type": "tcp", "path": "traffic", "alpha": True, "interval_ms": 100, "retry_delay_ms": 100}
    set_services(lab, [service(both(outside, **METHODS[method], checks=[check, dict(check, type="ping")]), inside)])
    wait_for(lambda: all(one["used"] for one in lab.ask()["services"][0]["servers"]), "checks to pass by the way of the traffic")
    traffic(lab, inside)


@pytest.mark.parametrize("version", [4, 6])
def test_a_ping_finds_out_a_server_without_the_virtual_address(lab, version):
    """Which answers at its own; the other one's replies are not taken for its."""
    virtual = f"{VIP4}/32" if version == 4 else f"{VIP6}/128"
    check = {"type": "ping", "interval_ms": 100, "timeout_ms": 500, "retries": 1, "retry_delay_ms": 100}

    def are_up():
        return [one["up"] for one in lab.ask()["services"][0]["servers"]]
    set_services(lab, [service(both(version, checks=[check]), version)])
    lab.namespaces["s1"].ip("addr", "del", virtual, "dev", "lo")
    try:
        wait_for(lambda: are_up() == [False, True], "the server without the address to be out")
        lab.write([service(both(version, checks=[dict(check, path="server")]), version)])
        wait_for(lambda: are_up() == [True, True], "its own address to answer")
    finally:
        lab.namespaces["s1"].ip("addr", "add", virtual, "dev", "lo", *(["nodad"] if version == 6 else []))


@pytest.mark.parametrize("version", [4, 6])
def test_a_check_is_told_that_nobody_listens(lab, version):
    """ICMP errors find the way to the check that they are about, and silence is health to a check by UDP."""
    check = {"type": "udp", "interval_ms": 100, "retries": 0, "timeout_ms": 60000}
    set_services(lab, [service([server(11, version, port=9, checks=[check])], version, protocol="udp", port=9)])
    wait_for(lambda: not lab.ask()["services"][0]["servers"][0]["up"], "the server to be found down")
    assert "connection refused" in lab.ask()["services"][0]["servers"][0]["reason"]


@pytest.mark.parametrize("version", [4, 6])
def test_a_check_hears_an_answer_as_large_as_the_network_takes(lab, version):
    """1,500 bytes, more than checks themselves send."""
    said = lab.folder / f"large-{version}.log"
    answerer = Process(lab.namespaces["s1"].command("/usr/bin/python3", "-c", f"""
import socket
family = socket.AF_INET if {version} == 4 else socket.AF_INET6
answers = socket.socket(family, socket.SOCK_DGRAM)
answers.bind(({VIP4 if version == 4 else VIP6!r}, 7))
print("ready", flush=True)
while True:
    _, client = answers.recvfrom(100)
    answers.sendto(bytes({1500 - (28 if version == 4 else 48)}), client)
"""), said)
    try:
        wait_for(lambda: "ready" in answerer.text(), "the server to listen")
        check = {"type": "udp", "path": "traffic", "alpha": True, "require_reply": True, "interval_ms": 100, "retries": 0, "retry_delay_ms": 100}
        set_services(lab, [service([server(11, version, port=7, checks=[check])], version, protocol="udp", port=7)])
        wait_for(lambda: lab.ask()["services"][0]["servers"][0]["used"], "the check to hear the answer")
    finally:
        answerer.stop()


def test_checks_go_on_with_the_next_agent_and_leave_nothing_behind(lab):
    director, check = lab.namespaces["director"], {"type": "tcp", "alpha": True, "interval_ms": 100, "retry_delay_ms": 100}

    def listens():
        return "take_answer" in director.run("tc", "filter", "show", "dev", "eth0", "ingress")

    def are_used():
        return all(one["used"] for one in lab.ask()["services"][0]["servers"])
    set_services(lab, [service(both(4, checks=[check]))])
    wait_for(are_used, "checks to pass")
    assert listens()
    lab.agent.stop(signal.SIGKILL)
    assert listens()
    lab.start()
    set_services(lab, [service(both(4, checks=[dict(check, port=9)]))])
    wait_for(lambda: all(one["reason"].endswith(f"{VIP4}:9: connection refused") for one in lab.ask()["services"][0]["servers"]), "checks to go on")
    assert "not the way of the traffic" not in lab.agent.text()
    lab.agent.stop(signal.SIGKILL)
    assert listens()
    lab.write([])  # The next one has no checks, and takes away what it finds.
    lab.start()
    assert not listens()
    set_services(lab, [service(both(4, checks=[check]))])
    wait_for(are_used, "checks to pass again")
    assert listens()
    lab.agent.stop(signal.SIGKILL)
    lab.detach()
    assert not listens()
    lab.start()


def test_tables_of_a_namespace_that_is_gone_are_removed_and_no_others(lab):
    """By the next start of whichever director; those of one that is only stopped, or runs, stay, whatever the loopback is called there."""
    config = lab.folder / "nothing.json"
    config.write_text('{"interfaces": ["eth0"], "services": []}')
    numbers = itertools.count()

    def tables_of(namespace):
        with namespace.inside(), socket.socket() as any_socket:
            cookie = struct.unpack("Q", any_socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
        return pathlib.Path(f"/sys/fs/bpf/weft-director-{cookie}")

    def start(namespace):
        agent = Process(namespace.command(BUILD / "src/agent/weft-agent", "--config", config, "--socket", lab.folder / "t"),
                        lab.folder / f"other{next(numbers)}.log")
        wait_for(lambda: "director started" in agent.text() or not agent.running(), "another director to start")
        agent.stop()
        return agent.text()
    gone, stopped = lab._namespace("gone"), lab._namespace("stopped")
    stopped.ip("link", "set", "lo", "down")
    stopped.ip("link", "set", "lo", "name", "loopback")
    tables = [tables_of(namespace) for namespace in (lab.namespaces["director"], stopped, gone)]
    start(stopped)
    start(gone)
    assert all(one.is_dir() for one in tables), tables
    gone.delete()
    del lab.namespaces["gone"]

    def is_removed():  # The kernel ends a network namespace some time after it was deleted.
        start(stopped)
        return not tables[2].exists()
    wait_for(is_removed, "the tables of the namespace that is gone to be removed")
    assert tables[0].is_dir() and tables[1].is_dir()
    stopped.run(BUILD / "src/agent/weft-agent", "--config", config, "detach")
    assert not tables[1].exists()


def tcp_of_checks(frame):
    """Port and flags of what the director's host sends to the virtual address; else None."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP or frame[26:34] != socket.inet_aton(address(2)) + socket.inet_aton(VIP4):
        return None
    offset = 14 + (frame[14] & 15) * 4
    return struct.unpack_from("!H", frame, offset)[0], frame[offset + 13]


def test_the_host_may_use_the_port_of_a_check_that_is_over(lab):
    """Its own connection to the virtual address, which is elsewhere, is none of the checks'."""
    director, check = lab.namespaces["director"], {"type": "tcp", "alpha": True, "interval_ms": 100, "retry_delay_ms": 100}
    with lab.namespaces["s1"].inside():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sniffer.bind(("eth0", 0))
    with contextlib.closing(sniffer):
        sniffer.settimeout(60)
        set_services(lab, [service([server(11, checks=[check])])])
        seen = None
        while not seen or not seen[1] & 5:  # FIN or RST.
            seen = tcp_of_checks(sniffer.recv(2000))
    set_services(lab, [service([server(11)])])
    director.ip("route", "add", f"{VIP4}/32", "via", address(11))
    try:
        with director.inside():
            own = socket.create_connection((VIP4, 80), timeout=60, source_address=(address(2), seen[0]))
        own.close()
    finally:
        director.ip("route", "del", f"{VIP4}/32")


def test_what_is_too_big_for_the_tunnel_comes_through_smaller(lab):
    """The client starts with full segments: it must hear that they do not fit, IPv4 and IPv6, and its upload must end."""
    set_services(lab, [service(both(4, **IPIP), 4), service(both(4, **IPIP), 6)])
    for version in (4, 6):
        traffic(lab, version)
        assert lab.get(version, body=b"x" * 200_000)[1] == 200_000
    assert lab.ask("director-drops")["drops"]["too_big"]["packets"] > 0
    for version, route in ((4, "route"), (6, "-6")):  # The client forgets what it has learned.
        lab.namespaces["client"].ip(*(["route", "flush", "cache"] if version == 4 else ["-6", "route", "flush", "cache"]))


def test_answers_do_not_come_by_the_director(lab):
    set_services(lab, [service(both(4))])
    traffic(lab)
    with lab.namespaces["director"].inside():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sniffer.bind(("eth0", 0))
    with contextlib.closing(sniffer):
        for _ in range(10):
            lab.get()
        lab.namespaces["client"].run("ping", "-c1", "-W30", "10.1.0.2")  # What does come by is seen.
        sources = set()
        sniffer.settimeout(60)
        while socket.inet_aton("10.1.0.100") not in sources:
            frame = sniffer.recv(2000)
            if frame[12:14] == b"\x08\x00":
                sources.add(frame[26:30])
    assert socket.inet_aton(VIP4) not in sources


def test_counters_and_zero(lab):
    set_services(lab, [service(both(4))])
    traffic(lab)
    key = {"protocol": "tcp", "address": VIP4, "port": 80}
    assert lab.ask("director-zero", service=key) == {"ok": True}
    for _ in range(8):
        lab.get()
    one, = lab.ask("director", service=key)["services"]
    connections, packets_in, _, bytes_in, _ = one["total"]
    assert connections == sum(real["total"][0] for real in one["servers"]) == 8
    assert packets_in >= 8 * 4 and bytes_in > packets_in * 40
    assert "no such service" in lab.ask("director-zero", service=dict(key, port=81))["error"]


def test_connections_stay_when_another_server_leaves(lab):
    set_services(lab, [service(both(4))])
    traffic(lab)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(lab.connection()) for _ in range(16)]
        servers = [request(connection)[0] for connection in connections]
        assert set(servers) == set(SERVERS)
        set_services(lab, [service([server(12)])])
        for connection, name in zip(connections, servers):
            if name == "s2":
                assert request(connection)[0] == "s2"
    assert {lab.get()[0] for _ in range(10)} == {"s2"}


def test_a_server_whose_check_fails_is_out_until_it_passes(lab):
    checks = [{"type": "tcp", "interval_ms": 50, "retry_delay_ms": 10, "timeout_ms": 60000},
              {"type": "http", "interval_ms": 50, "retry_delay_ms": 10, "timeout_ms": 60000, "urls": [{"path": "/"}]}]
    set_services(lab, [service(both(4, checks=checks))])
    traffic(lab)

    def second():
        return lab.ask()["services"][0]["servers"][1]

    def out_at_last():
        state, rows = lab.ask_at_once("director", "director-rows")
        return (state, rows) if not state["services"][0]["servers"][1]["used"] else None
    s2 = lab.namespaces["s2"]
    s2.run("nft", "add table inet sick; add chain inet sick in { type filter hook input priority 0; };"
                  "add rule inet sick in ip daddr 192.0.2.1 tcp dport 80 reject with tcp reset")
    try:
        _, rows = wait_for(out_at_last, f"the second server to be out; the director said:\n{lab.agent.text()}", interval=0.002)
        assert rows["services"][0]["servers"][1] == 0  # It says so when no row leads there any more.
        assert second()["reason"].endswith(" 192.0.2.1:80: connection refused") and not second()["up"]
        wait_for(lambda: {lab.get()[0] for _ in range(10)} == {"s1"}, "new connections to go to the first server only")
    finally:
        s2.run("nft", "delete", "table", "inet", "sick")
    wait_for(lambda: second()["used"], f"the second server to be back; the director said:\n{lab.agent.text()}")
    assert second()["up"] and not second()["reason"]
    traffic(lab)


def test_servers_take_turns(lab):
    """As IPVS has them: who was added last comes first; three to one, the heavier one in a row."""
    set_services(lab, [service(both(4), scheduler="rr", scheduler_flags=[])])
    traffic(lab)
    names = [lab.get()[0] for _ in range(6)]
    assert names in (["s1", "s2"] * 3, ["s2", "s1"] * 3)
    set_services(lab, [service([server(11, weight=3000), server(12, weight=1000)], scheduler="wrr", scheduler_flags=[])])
    names = "".join(lab.get()[0] for _ in range(12))
    assert names.count("s1") == 9 and "s2s2" not in names


def test_the_least_loaded_gets_the_next(lab):
    """wlc, what ipvsadm takes if nothing is said."""
    set_services(lab, [service(both(4), scheduler="wlc", scheduler_flags=[])])
    traffic(lab)
    key = {"protocol": "tcp", "address": VIP4, "port": 80}

    def all_closed():
        one, = lab.ask("director", service=key)["services"]
        return [real["active"] for real in one["servers"]] == [0, 0]
    wait_for(all_closed, "the director to see them close")
    with contextlib.ExitStack() as stack:
        before = lab.ask("director-connections")["connections"]
        connections = [stack.enter_context(lab.connection()) for _ in range(10)]
        names = [request(connection)[0] for connection in connections]
        assert names.count("s1") == names.count("s2") == 5
        one, = lab.ask("director", service=key)["services"]
        assert [real["active"] for real in one["servers"]] == [5, 5]
        assert sum("ESTABLISHED" in connection for connection in lab.ask("director-connections")["connections"]) == 10
        assert lab.ask()["connections"] >= len(before) + 10
    wait_for(all_closed, "the director to see them close")


def test_a_full_server_gets_no_more(lab):
    """Thresholds: two connections, then it is the sorry server's turn."""
    lab.write([])
    wait_for(lambda: not lab.ask()["services"], "the director to have no services")  # Nor connections of those before.
    lab.write([service([server(11, upper_threshold=2)], scheduler="wlc", scheduler_flags=[], sorry_server=server(12))])
    wait_for(lambda: lab.ask()["services"], "the director to have the service")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(lab.connection()) for _ in range(4)]
        assert [request(connection)[0] for connection in connections] == ["s1", "s1", "s2", "s2"]
        one, = lab.ask()["services"]
        assert [real["active"] for real in one["servers"]] == [2, 2]
        assert [real["used"] for real in one["servers"]] == [True, False]


def test_a_client_stays_at_its_server(lab):
    """Persistence, of a service for every port: whose turn it is does not matter, and the listing names the template."""
    two = [server(11, port=0), server(12, port=0)]
    set_services(lab, [service(two, port=0, scheduler="rr", scheduler_flags=[], persistence={"timeout_s": 300, "netmask": "255.255.255.0"})])
    wait_for(lab.answers, "an answer")
    name = lab.get()[0]
    assert {lab.get()[0] for _ in range(6)} == {name}
    one, = lab.ask()["services"]
    assert sorted(real["persistent"] for real in one["servers"]) == [0, 1]
    template, = [each for each in lab.ask("director-connections")["connections"] if "10.1.0.0" in each]
    assert "NONE" in template


@pytest.mark.parametrize("version", [4, 6])
def test_a_service_by_mark(lab, version):
    family = f"ipv{version}"
    rules = [{"mark": 6, "family": family, "protocol": "udp"},
             {"mark": 5, "family": family, "protocol": "tcp", "destination": f"{VIP4}/32" if version == 4 else "2001:db8:5::/64",
              "destination_ports": "80-443", "interface": "eth0"}]

    def set_one(checks=(), **more):
        servers = [server(number, version, port=0, checks=list(checks)) for number in (11, 12)]
        set_services(lab, [{"mark": 5, "family": family, "scheduler": "rr", "servers": servers, **more}], mark_rules=rules)
    set_one()
    traffic(lab, version)
    set_one(persistence={"timeout_s": 300})
    assert len({lab.get(version)[0] for _ in range(6)}) == 1
    check = {"type": "tcp", "path": "traffic", "address": VIP4 if version == 4 else VIP6, "alpha": True, "interval_ms": 100, "retries": 0, "retry_delay_ms": 100}
    set_one([dict(check, port=80)])
    wait_for(lambda: all(one["used"] for one in lab.ask()["services"][0]["servers"]), "checks to pass by the way of the traffic")
    traffic(lab, version)
    set_one([dict(check, port=9)])
    at = f"{VIP4}:9" if version == 4 else f"[{VIP6}]:9"
    wait_for(lambda: all(one.get("reason", "").endswith(f"{at}: connection refused") for one in lab.ask()["services"][0]["servers"]), "checks to fail there")
    for scheduler in ("lblc", "lblcr"):  # All is for one destination, and one connection overloads nobody.
        set_one(scheduler=scheduler)
        assert len({lab.get(version)[0] for _ in range(6)}) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_translated_there_and_back(lab, version):
    """NAT: another port at the servers, and their way to the client leads by the director.  Where nobody listens the client hears so."""
    one = service(both(version, forwarding="nat"), version, port=8000, scheduler="rr", scheduler_flags=[])
    for name in SERVERS:
        lab.namespaces[name].ip(*(["-6"] if version == 6 else []), "route", "add", address(100, version), "via", address(2, version))
    try:
        nobody = dict(service([server(11, version, forwarding="nat", port=9)], version, scheduler="rr", scheduler_flags=[], port=8001), protocol="udp")
        set_services(lab, [one, nobody])
        wait_for(lambda: lab.answers(version, port=8000), f"an answer; the director dropped {lab.ask('director-drops')}")
        with lab.namespaces["client"].inside():
            datagrams = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        with contextlib.closing(datagrams):
            datagrams.settimeout(1)
            datagrams.connect((VIP4 if version == 4 else VIP6, 8001))

            def refused():
                try:
                    datagrams.send(b"is somebody there?")
                    datagrams.recv(10)
                except ConnectionRefusedError:
                    return True
                except TimeoutError:  # The way was not known yet, or the server has said it too often.
                    return False
            wait_for(refused, "the client to hear that nobody listens")
        if version == 4:  # What is no connection's is the host's to forward, and the server must not hear of a shorter way.
            lab.namespaces["s1"].run("ping", "-c", "2", "-i", "0.2", "-W", "30", address(100))
            assert "redirected" not in lab.namespaces["s1"].ip("route", "get", address(100))
        assert {lab.get(version, port=8000)[0] for _ in range(10)} == set(SERVERS)
        assert lab.get(version, body=b"x" * 200_000, port=8000)[1] == 200_000
        state, _ = lab.ask()["services"]
        assert state["total"][2] >= 11 * 4 and state["total"][4] > 11 * 4 * 40  # What came back.
        with lab.connection(version, port=8000) as connection:
            name = request(connection)[0]
            lab.agent.stop(signal.SIGKILL)
            assert [request(connection)[0] for _ in range(5)] == [name] * 5
            assert {lab.get(version, port=8000)[0] for _ in range(10)} == set(SERVERS)
        lab.start()
    finally:
        for name in SERVERS:
            lab.namespaces[name].ip(*(["-6"] if version == 6 else []), "route", "del", address(100, version))


@pytest.mark.parametrize("version", [4, 6])
def test_full_nat_needs_no_routes_at_the_servers(lab, version):
    local, bits = address(3, version), 24 if version == 4 else 64
    director = lab.namespaces["director"]
    director.ip("addr", "add", f"{local}/{bits}", "dev", "eth0", *(["nodad"] if version == 6 else []))
    try:
        one = service(both(version, forwarding="full-nat"), version, port=8000, scheduler="rr", scheduler_flags=[])
        set_services(lab, [one], local_addresses=[local])
        wait_for(lambda: lab.answers(version, port=8000), f"an answer; the director dropped {lab.ask('director-drops')}")
        assert {lab.get(version, port=8000)[0] for _ in range(6)} == set(SERVERS)
        assert lab.get(version, body=b"x" * 200_000, port=8000)[1] == 200_000
    finally:
        director.ip("addr", "del", f"{local}/{bits}", "dev", "eth0")


def test_long_answers_are_whole_and_come_in_order(lab):
    """They are gathered in stretches of 500 servers, and made text of beside the loop."""
    servers = [{"address": f"10.7.{i >> 8}.{i & 255}", "port": 80, "forwarding": "l3dsr", "dscp": 5} for i in range(1100)]
    set_services(lab, [service(servers), service(both(4, forwarding="nat"), port=81)])
    with contextlib.ExitStack() as stack:
        asking = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for one in asking:
            one.settimeout(60)
            one.connect(lab.socket)
            for operation in ("director", "director-drops", "director-rows", "nonsense", "director-zero", "director"):
                one.sendall(json.dumps({"operation": operation}).encode() + b"\n")
        asking.pop().close()  # Who does not wait keeps nobody else from it.
        for one in asking:
            with one.makefile() as answers:
                state, drops, rows, refused, zero, again = (json.loads(answers.readline()) for _ in range(6))
            assert [len(each["servers"]) for each in state["services"]] == [1100, 2] and "drops" in drops and "error" in refused and zero == {"ok": True}
            assert [each["address"] for each in state["services"][0]["servers"]] == [each["address"] for each in servers]
            assert [each["address"] for each in again["services"][0]["servers"]] == [each["address"] for each in servers]
            assert [sum(each["servers"]) for each in rows["services"]] == [each["rows"] for each in rows["services"]]
            assert min(rows["services"][0]["servers"]) > 0
    set_services(lab, [service(both(4))])
    traffic(lab)


def test_connections_move_to_a_table_of_another_size(lab):
    """While the director runs, and while it does not: by entries and by translation they go on, and are counted as they are."""
    services = [service(both(4), scheduler="wlc", scheduler_flags=[]),
                service(both(4, forwarding="nat"), port=8001, scheduler="rr", scheduler_flags=[])]

    def write(size):
        lab.write(services, connections=size)

    def active():
        return [[real["active"] for real in one["servers"]] for one in lab.ask()["services"]]
    for name in SERVERS:
        lab.namespaces[name].ip("route", "add", address(100), "via", address(2))
    try:
        set_services(lab, services)
        for port in (80, 8001):
            wait_for(lambda: lab.answers(port=port), f"an answer; the director dropped {lab.ask('director-drops')}")
        lab.write([])
        wait_for(lambda: not lab.ask()["services"], "the director to have no services")  # Nor connections, half open ones either.
        set_services(lab, services)
        assert active() == [[0, 0], [0, 0]]
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(lab.connection(port=port)) for port in (80, 8001) for _ in range(8)]
            names = [request(connection)[0] for connection in connections]
            for restarts, size, said in ((False, 3000, 4096), (True, 1024, 1024), (False, 262144, 262144)):
                if restarts:
                    lab.agent.stop(signal.SIGKILL)
                write(size)
                if restarts:
                    lab.start()
                lab.wait_for_text(f"room for {said} connections instead of")
                assert [request(connection)[0] for connection in connections] == names
                assert active() == [[4, 4], [4, 4]]
                assert lab.get(port=80) and lab.get(port=8001)
                wait_for(lambda: active() == [[4, 4], [4, 4]], "the director to see them close")
            assert sum("ESTABLISHED" in one for one in lab.ask("director-connections")["connections"]) == 16
        wait_for(lambda: active() == [[0, 0], [0, 0]], "the director to see them close")
    finally:
        for name in SERVERS:
            lab.namespaces[name].ip("route", "del", address(100), "via", address(2))


def test_a_file_that_cannot_be_used_changes_nothing(lab):
    set_services(lab, [service(both(4))])
    lab.write([service(both(4), port="x")])
    wait_for(lambda: "services[0].port" in lab.ask().get("config_error", ""), "the director to refuse the file")
    assert len(lab.ask()["services"][0]["servers"]) == 2
    traffic(lab)


def test_only_the_service_that_cannot_be_is_left_out(lab):
    set_services(lab, [service(both(4))])
    wrong = dict(service([server(11, forwarding="nat")], scheduler="rr", scheduler_flags=[]), protocol="udp", port=81, one_packet=True)
    lab.write([wrong, service([server(12)])])
    text = "services[0].servers[0].forwarding: 'nat' of a one-packet service is not supported"
    wait_for(lambda: text in lab.ask().get("config_error", ""), f"{text!r}, not {lab.ask().get('config_error')!r}")
    wait_for(lambda: {lab.get()[0] for _ in range(10)} == {"s2"}, "the other service to be as the file says")


def test_traffic_goes_on_without_the_agent(lab):
    set_services(lab, [service(both(4))])
    traffic(lab)
    lab.agent.stop(signal.SIGKILL)
    assert {lab.get()[0] for _ in range(30)} == set(SERVERS)
    lab.start()
    traffic(lab)


def test_a_restart_loses_nothing(lab):
    """Killed and started again, with changes before, meanwhile and after: connections stay where they are, by rows, by entries, by translation;
    a server that was out stays out until its check passes; counters go on."""
    ways = [dict(version=4, port=80), dict(version=6, port=80), dict(version=4, port=8001)]

    def three(servers):
        return [service(servers), service([dict(real, **IPIP) for real in servers], 6, scheduler="wrr", scheduler_flags=[]),
                service([dict(real, forwarding="nat") for real in servers], port=8001, scheduler="rr", scheduler_flags=[])]

    def restart():
        lab.agent.stop(signal.SIGKILL)
        lab.start()
        lab.wait_for_text("the tables are taken over")
    for name in SERVERS:
        lab.namespaces[name].ip("route", "add", address(100), "via", address(2))
    try:
        set_services(lab, three([server(12)]))  # So that the rows are not those of a new table.
        set_services(lab, three(both(4)))
        for way in ways:
            wait_for(lambda: lab.answers(**way), f"an answer of {way}; the director dropped {lab.ask('director-drops')}")
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(lab.connection(**way)) for way in ways for _ in range(16)]
            names = [request(connection)[0] for connection in connections]
            assert set(names[:16]) == set(names[16:32]) == set(names[32:]) == set(SERVERS)
            before = lab.ask()
            for _ in range(2):
                restart()
                assert [request(connection)[0] for connection in connections] == names
            after = lab.ask()
            assert after["connections"] >= 32
            assert [one["total"][0] for one in after["services"]] == [one["total"][0] for one in before["services"]]
            assert all(b["total"][1] > a["total"][1] for a, b in zip(before["services"], after["services"]))
            # The file changes while nobody reads it.
            lab.agent.stop(signal.SIGKILL)
            lab.write(three([server(12)]))
            lab.start()
            wait_for(lambda: [len(one["servers"]) for one in lab.ask()["services"]] == [1, 1, 1], "the director to have read the file")
            for connection, name in zip(connections, names):
                if name == "s2":
                    assert request(connection)[0] == "s2"
            set_services(lab, three(both(4)))
            for connection, name in zip(connections, names):
                if name == "s2":
                    assert request(connection)[0] == "s2"
        checks = [{"type": "tcp", "port": 9, "interval_ms": 50, "retry_delay_ms": 10, "timeout_ms": 60000}]
        set_services(lab, [service([server(11, checks=checks), server(12)])])
        wait_for(lambda: not lab.ask()["services"][0]["servers"][0]["used"], f"the first server to be out; the director said:\n{lab.agent.text()}")
        lab.agent.stop(signal.SIGKILL)
        lab.write([service([server(11, checks=[dict(checks[0], interval_ms=3_600_000)]), server(12)])])
        lab.start()
        assert [real["used"] for real in lab.ask()["services"][0]["servers"]] == [False, True]
        assert {lab.get()[0] for _ in range(10)} == {"s2"}
    finally:
        for name in SERVERS:
            lab.namespaces[name].ip("route", "del", address(100), "via", address(2))


def test_top_and_metrics_say_what_goes_on(lab):
    set_services(lab, [service(both(4)), service([server(11, forwarding="nat")], port=8000, scheduler="rr", scheduler_flags=[])])
    traffic(lab)
    assert lab.agent.stop() == 0
    lab.start("--metrics-listen", "127.0.0.1:9699")
    for _ in range(5):
        lab.get()
    top = run(BUILD / "src/cli/weft", "lb", "top", "--socket", lab.socket)
    rows, = [line for line in top.splitlines() if "10.1.0.11:80" in line and "%" in line]
    assert re.search(r"10\.1\.0\.11:80 +up +(49|50|51)\.\d% ", rows) and "tcp 192.0.2.1:8000" in top
    set_services(lab, [service([server(11)])])
    assert re.search(r"tcp 192\.0\.2\.1:80 .* [1-9]\d* of \d+ rows moved \d+ s ago", run(BUILD / "src/cli/weft", "lb", "top", "--socket", lab.socket))
    with lab.namespaces["director"].inside():
        scraper = http.client.HTTPConnection("127.0.0.1", 9699, timeout=60)
        scraper.request("GET", "/metrics")
    with contextlib.closing(scraper):
        text = scraper.getresponse().read().decode()
    label = 'service="tcp 192.0.2.1:80",server="10.1.0.11:80"'
    assert f"weft_director_server_up{{{label}}} 1\n" in text
    packets, = re.findall(r'^weft_director_service_in_packets_total\{service="tcp 192.0.2.1:80"\} (\d+)$', text, re.MULTILINE)
    assert int(packets) >= 35 * 4
    assert re.search(r'^weft_director_drops_total\{reason="no_server"\} \d+$', text, re.MULTILINE)
    assert lab.agent.stop() == 0
    lab.start()


def test_more_than_the_tables_hold_goes_into_larger_ones(lab):
    """And what is in those that become too small goes on, also when the process ends right after."""
    def many(n):
        return [service(both(4), scheduler="rr", scheduler_flags=[])] + [
            service([server(11, port=9000 + i)], port=9000 + i, scheduler="wlc", scheduler_flags=[]) for i in range(n)]
    set_services(lab, many(0))
    wait_for(lab.answers, "an answer")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(lab.connection()) for _ in range(8)]
        names = [request(connection)[0] for connection in connections]
        before = lab.ask()["services"][0]["total"]
        set_services(lab, many(400))
        lab.wait_for_text("larger tables")
        assert [request(connection)[0] for connection in connections] == names
        assert lab.ask()["services"][0]["total"][0] == before[0]
        lab.agent.stop(signal.SIGKILL)
        lab.start()
        assert [request(connection)[0] for connection in connections] == names
    with pytest.raises(ConnectionRefusedError):  # Nobody listens there; the server says so.
        lab.get(port=9399)
    assert lab.ask()["services"][-1]["servers"][0]["total"][0] == 1


def test_connections_are_counted_once_while_tables_grow(lab):
    """The program before and the one after have the same connections: whichever saw one begin, the other may see it end."""
    def many(n):
        return [service(both(4), scheduler="rr", scheduler_flags=[])] + [
            service([server(11, port=20000 + i)], port=20000 + i, scheduler="wlc", scheduler_flags=[]) for i in range(n)]
    lab.write([])
    wait_for(lambda: not lab.ask()["services"], "the director to have no services")
    set_services(lab, many(0))
    wait_for(lab.answers, "an answer")
    mac = bytes.fromhex(json.loads(lab.namespaces["director"].ip("-j", "link", "show", "eth0"))[0]["address"].replace(":", ""))
    with lab.namespaces["client"].inside():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind(("eth0", 0))
    head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, socket.inet_aton("10.1.0.200"), socket.inet_aton(VIP4)))
    checksum = sum(struct.unpack("!10H", head))
    head[10:12] = struct.pack("!H", ~(checksum + (checksum >> 16)) & 0xffff)

    def send(port, flags):
        sender.send(mac + bytes.fromhex("0200000000010800") + head + struct.pack("!HHIIBBHHH", port, 80, 1, 1, 0x50, flags, 1000, 0, 0))

    def grown():  # A handful of connections begins between one look and the next.
        for _ in range(20):
            if len(ports) < 20000:
                ports.append(2000 + len(ports))
                send(ports[-1], 2)
        return "larger tables" in lab.agent.text()[said:]

    def counted():
        listed = [one for one in lab.ask("director-connections", max=262144)["connections"] if str(VIP4) in one]
        state = lab.ask()["services"][0]["servers"]
        return sum("SYN_RECV" in one or "ESTABLISHED" in one for one in listed), sum(real["active"] for real in state)
    ports, said = [], len(lab.agent.text())
    size = 1600
    with contextlib.closing(sender):
        lab.write(many(size))
        wait_for(grown, "the tables to grow", interval=0.002)
        for i in range(200):
            grown()
        for port in ports:
            send(port, 16)
    wait_for(lambda: len(set(counted())) == 1, f"as many to be counted as there are, not {counted()}")
    assert lab.get()[0] in SERVERS
    lab.write([])
    wait_for(lambda: not lab.ask()["services"], "the director to have no services")


def test_a_service_without_servers_refuses(lab):
    set_services(lab, [service([server(11, weight=0)])])
    with pytest.raises(ConnectionRefusedError):  # By ICMP: port unreachable.
        wait_for(lambda: lab.get() is None, "nobody to answer")


def test_the_generic_way_works_too(lab):
    """A bridge has no XDP of its own; and the interface comes when the director runs already."""
    set_services(lab, [service(both(4, **IPIP))])
    director = lab.namespaces["director"]
    lab.write([service(both(4, **IPIP))], interfaces=["over"])
    lab.wait_for_text("interface over: does not exist yet")
    lab.wait_for_text("interface eth0: balances no more")
    director.ip("link", "add", "name", "over", "type", "bridge")
    try:
        director.ip("link", "set", "over", "address", json.loads(director.ip("-j", "link", "show", "eth0"))[0]["address"], "up")
        director.ip("addr", "flush", "dev", "eth0")
        director.ip("link", "set", "eth0", "master", "over")
        director.ip("addr", "add", "10.1.0.2/24", "dev", "over")
        lab.wait_for_text("interface over: balances, in the generic way")
        traffic(lab)
    finally:
        director.ip("link", "del", "over")
        director.ip("addr", "replace", "10.1.0.2/24", "dev", "eth0")
        director.ip("addr", "replace", "2001:db8:1::2/64", "dev", "eth0", "nodad")


def test_there_is_one_director_a_network_namespace(lab):
    set_services(lab, [service(both(4))])
    traffic(lab)
    for words in (["--socket", lab.folder / "another"], ["detach"]):
        with pytest.raises(Failed, match="a director runs in this network namespace"):
            lab.namespaces["director"].run(BUILD / "src/agent/weft-agent", "--config", lab.config, *words)
    assert lab.agent.stop() == 0
    with pytest.raises(Failed, match="is there and no socket"):  # It removes what a director before left, but not just anything.
        lab.namespaces["director"].run(BUILD / "src/agent/weft-agent", "--config", lab.config, "--socket", lab.config)
    assert lab.config.exists()
    lab.start()
    traffic(lab)


def forwarding(lab):
    return lab.namespaces["director"].run("cat", "/proc/sys/net/ipv4/conf/eth0/forwarding").strip()


def test_detach_takes_the_program_off(lab):
    set_services(lab, [service(both(4))])
    traffic(lab)
    assert lab.agent.stop() == 0
    assert lab.answers()
    assert forwarding(lab) != "0"
    lab.detach()
    assert "xdp" not in lab.namespaces["director"].ip("link", "show", "eth0")
    assert not lab.answers() and forwarding(lab) == "0"
    lab.namespaces["director"].run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding")
    lab.start()
    traffic(lab)
    assert lab.agent.stop() == 0
    lab.detach()
    assert forwarding(lab) == "1"
    lab.namespaces["director"].run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/eth0/forwarding")
    lab.start()
    traffic(lab)


def test_a_program_on_an_interface_that_the_file_no_longer_has_goes(lab):
    """The file changes while no director runs: the next one, and detach, find the program all the same."""
    set_services(lab, [service(both(4))])
    traffic(lab)
    director = lab.namespaces["director"]
    assert lab.agent.stop() == 0
    lab.write([service(both(4))], interfaces=["absent"])
    assert "xdp" in director.ip("link", "show", "eth0")
    lab.start()
    lab.wait_for_text("interface eth0: balances no more")
    assert "xdp" not in director.ip("link", "show", "eth0")
    lab.write([service(both(4))])
    lab.wait_for_text("interface eth0: balances, ")
    assert lab.agent.stop() == 0
    lab.config.write_text("{no JSON")
    lab.detach()
    assert "xdp" not in director.ip("link", "show", "eth0")
    lab.write([service(both(4))])
    lab.start()
    traffic(lab)


def test_a_sorry_server_answers_when_nobody_else_may(lab):
    """It is nobody's server but this: its MAC must be known all the same."""
    check = {"type": "tcp", "port": 9, "interval_ms": 50, "retry_delay_ms": 10, "timeout_ms": 60000}
    director = lab.namespaces["director"]
    lab.write([])
    wait_for(lambda: not lab.ask()["services"], "the director to have no services")
    director.ip("neigh", "flush", "dev", "eth0", "nud", "all")
    lab.write([service([server(11, checks=[check])], sorry_server=server(12))])
    wait_for(lambda: (lab.answers() or [""])[0] == "s2", f"the sorry server to answer; the director dropped {lab.ask('director-drops')}")


def test_a_linked_file_is_followed(lab):
    """weft-ipvsadm replaces what the link leads to, in another folder."""
    set_services(lab, [service(both(4))])
    folder = lab.folder / "elsewhere"
    folder.mkdir()
    link, lab.config = lab.config, folder / "real.conf"
    try:
        lab.write([service([server(11)])])
        temporary = lab.folder / "link"
        temporary.symlink_to(lab.config)
        temporary.rename(link)
        wait_for(lambda: len(lab.ask()["services"][0]["servers"]) == 1, "the director to read what the link leads to")
        lab.write([service(both(4))])
        wait_for(lambda: len(lab.ask()["services"][0]["servers"]) == 2, "the director to follow the change there")
    finally:
        lab.config = link


def test_translated_answers_reach_a_client_whose_mac_is_not_known(lab):
    """The virtual address is the director's own: its stack does not send what has it as its source."""
    director = lab.namespaces["director"]
    for name in SERVERS:
        lab.namespaces[name].ip("route", "add", address(100), "via", address(2))
    director.ip("addr", "add", f"{VIP4}/32", "dev", "lo")
    try:
        set_services(lab, [service(both(4, forwarding="nat"), port=8000, scheduler="rr", scheduler_flags=[])])
        wait_for(lambda: lab.answers(port=8000), "an answer")
        director.ip("neigh", "del", address(100), "dev", "eth0")
        assert lab.get(port=8000)[0] in SERVERS
    finally:
        director.ip("addr", "del", f"{VIP4}/32", "dev", "lo")
        for name in SERVERS:
            lab.namespaces[name].ip("route", "del", address(100), "via", address(2))


def test_the_host_is_followed_after_more_happened_than_could_be_read(lab):
    """The kernel drops messages for a socket that nobody reads, and libuv stops watching one that has such an error."""
    director = lab.namespaces["director"]
    set_services(lab, [service(both(4))], interfaces=["eth0", "later"])
    batch = lab.folder / "routes"
    batch.write_text("".join(f"route add 198.18.{i // 250}.{i % 250}/32 dev eth0\n" for i in range(2000)))
    with lab.agent.paused():
        director.ip("-batch", batch)
    lab.wait_for_text("routes and interfaces changed faster than they could be read")
    lab.ask()  # It has gone through what there was.
    director.ip("link", "add", "later", "type", "veth", "peer", "name", "later-end")
    try:
        lab.wait_for_text("interface later: balances, ")
    finally:
        director.ip("link", "del", "later")
        director.ip("route", "flush", "root", "198.18.0.0/16")
