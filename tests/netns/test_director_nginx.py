"""A director before nginx, called by curl (director_lab.py): what comes back goes straight to the client, or by the director where it must;
and nobody notices that servers are drained, stopped and started."""

import contextlib
import json
import signal
import socket

import pytest

from director_lab import DirectorLab, SERVERS, VIP4, VIP6, address, server, service
from lab import Process
from namespaces import wait_for

BIG = 8 << 20
METHODS = {"direct": {"forwarding": "direct"}, "ipip": {"forwarding": "tunnel", "tunnel": {"type": "ipip"}}, "nat": {"forwarding": "nat"}}
CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_timeout 0;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 8080; listen [::]:8080 ipv6only=on;
        root {folder};
        location = /who {{ return 200 "{name}\\n"; }}
    }}
}}
"""
# Asks again and again, each time on a new connection, until it is told to end; then says who answered how often, and what failed.
CALLER = """
import collections, http.client, json, signal, sys
address, port, ended, said, failed = sys.argv[1], int(sys.argv[2]), [], collections.Counter(), []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
print("ready", flush=True)
while not ended:
    try:
        connection = http.client.HTTPConnection(address, port, timeout=60)
        connection.request("GET", "/who")
        said[connection.getresponse().read().decode().strip()] += 1
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        failed.append(repr(error))
print(json.dumps([said, failed]))
"""


class Nginx:
    def __init__(self, lab, name):
        self.lab, self.name, self.folder = lab, name, lab.folder / f"nginx-{name}"
        self.folder.mkdir()
        (self.folder / "conf").write_text(CONFIG.format(folder=self.folder, name=name))
        with open(self.folder / "big", "wb") as file:
            file.truncate(BIG)
        self.folder.chmod(0o755)
        lab.folder.chmod(0o755)  # Its workers are nobody.
        self.start()

    def start(self):
        self.process = Process(self.lab.namespaces[self.name].command("nginx", "-c", self.folder / "conf", "-e", "stderr"), self.folder / "log")
        wait_for(lambda: self.listens() or not self.process.running(), "nginx to listen")
        assert self.process.running(), self.process.text()

    def listens(self):
        with self.lab.namespaces[self.name].inside(), socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", 8080)) == 0

    def stop(self, number=signal.SIGTERM):
        self.process.stop(number)


class Lab(DirectorLab):
    nginx = ()

    def close(self):
        for one in self.nginx:
            one.stop()
        super().close()

    def mac(self, name):
        return json.loads(self.namespaces[name].ip("-j", "link", "show", "eth0"))[0]["address"]

    def set(self, services):
        self.write(services)
        wanted = [[(one["address"], one.get("weight", 1)) for one in each["servers"]] for each in services]

        def has_them():
            state = self.ask()
            return not state["config_error"] and [[(one["address"], one["weight"]) for one in each["servers"]] for each in state["services"]] == wanted
        wait_for(has_them, f"the director to have {wanted}")

    def curl(self, *paths, version=4, port=8080):
        host = VIP4 if version == 4 else f"[{VIP6}]"
        command = ["curl", "-sS", "--fail", "--max-time", "60", "-Z", "--parallel-max", "8"]
        for path in paths:
            command += ["-w", "%{stderr}%{size_download}\\n", "-o", "-" if path == "/who" else "/dev/null", f"http://{host}:{port}{path}"]
        return self.namespaces["client"].run(*command)


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.write([])
        lab.start()
        lab.nginx = [Nginx(lab, name) for name in SERVERS]
        yield lab


def nginx_service(method, version=4, servers=(11, 12), **more):
    translated = method == "nat"
    return service([{**server(number, version), "port": 8080, **METHODS[method]} for number in servers], version, port=8081 if translated else 8080,
                   scheduler="rr", scheduler_flags=[], **more)


@contextlib.contextmanager
def routes_back(lab, version):
    """What is translated must come back by the director."""
    family = ["-6"] if version == 6 else []
    for name in SERVERS:
        lab.namespaces[name].ip(*family, "route", "add", address(100, version), "via", address(2, version))
    try:
        yield
    finally:
        for name in SERVERS:
            lab.namespaces[name].ip(*family, "route", "del", address(100, version), "via", address(2, version))


def senders(sniffer, version):
    """The MACs that sent frames from the virtual address, of all that was captured."""
    source = socket.inet_pton(socket.AF_INET if version == 4 else socket.AF_INET6, VIP4 if version == 4 else VIP6)
    kind, at = (b"\x08\x00", 26) if version == 4 else (b"\x86\xdd", 22)
    found = set()
    sniffer.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = sniffer.recv(128)
            if frame[12:14] == kind and frame[at:at + len(source)] == source:
                found.add(frame[6:12].hex(":"))
    return found


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("method", METHODS)
def test_downloads_come_the_right_way_back(lab, method, version):
    port = 8081 if method == "nat" else 8080
    with routes_back(lab, version) if method == "nat" else contextlib.nullcontext():
        lab.set([nginx_service(method, version)])
        wait_for(lambda: "s" in lab.namespaces["client"].run("curl", "-s", "--max-time", "3", f"http://{VIP4 if version == 4 else f'[{VIP6}]'}:{port}/who",
                                                             check=False), "an answer")
        with lab.namespaces["client"].inside():
            sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            # Frames of small packets that have the virtual address as their source are enough; what does not fit is not needed.
            sniffer.bind(("eth0", 0x0800 if version == 4 else 0x86DD))
        with contextlib.closing(sniffer):
            names = lab.curl(*["/who"] * 8, *["/big"] * 4, version=version, port=port).split()
            assert set(names) == set(SERVERS) and len(names) == 8
            macs = senders(sniffer, version)
    assert macs == ({lab.mac("director")} if method == "nat" else {lab.mac(name) for name in SERVERS})
    one, = lab.ask()["services"]
    assert (one["total"][4] > 4 * BIG) == (method == "nat")


@pytest.mark.parametrize("method, version", [("direct", 4), ("direct", 6), ("ipip", 4), ("ipip", 6)])
def test_a_server_without_the_virtual_address_is_found(lab, method, version):
    """It answers well at its own address, which says nothing of the way that clients' packets take.  The director has the virtual address itself,
    as with keepalived."""
    check = {"type": "http", "urls": [{"path": "/who", "status": "200"}], "interval_ms": 100, "retries": 0, "retry_delay_ms": 100, "timeout_ms": 1000,
             "alpha": True}
    director, s2, (vip, length) = lab.namespaces["director"], lab.namespaces["s2"], (VIP4, 32) if version == 4 else (VIP6, 128)
    family = ["-6"] if version == 6 else []

    def second():
        return lab.ask()["services"][0]["servers"][1]
    director.ip("addr", "add", f"{vip}/{length}", "dev", "eth0", *(["nodad"] if version == 6 else []))
    try:
        one = nginx_service(method, version)
        one["servers"][0]["checks"] = [dict(check, timeout_ms=60000)]  # Nothing is wrong there, however long it takes.
        one["servers"][1]["checks"] = [check]
        lab.set([one])
        wait_for(lambda: second()["used"], f"the second server's path to be found well; the director said:\n{lab.agent.text()}")
        s2.ip(*family, "addr", "del", f"{vip}/{length}", "dev", "lo")
        try:
            # Straight to the server there would be nothing to see.
            assert s2.run("curl", "-sS", "--max-time", "60", f"http://{address(12) if version == 4 else f'[{address(12, 6)}]'}:8080/who") == "s2\n"
            wait_for(lambda: not second()["used"], f"the second server to be out; the director said:\n{lab.agent.text()}")
            assert vip in second()["reason"], second()
            assert set(lab.curl(*["/who"] * 4, version=version).split()) == {"s1"}
        finally:
            s2.ip(*family, "addr", "add", f"{vip}/{length}", "dev", "lo", *(["nodad"] if version == 6 else []))
        wait_for(lambda: second()["used"], f"the second server to be back; the director said:\n{lab.agent.text()}")
    finally:
        director.ip("addr", "del", f"{vip}/{length}", "dev", "eth0")


def test_nobody_notices_that_servers_go_and_come(lab):
    """Drained, stopped, started, and back; and after one that was not drained is found dead, nobody is sent there."""
    check = {"type": "tcp", "interval_ms": 50, "retries": 0, "retry_delay_ms": 10, "timeout_ms": 60000}

    def services(weight=1):
        one = nginx_service("direct")
        one["servers"][0].update(weight=weight, checks=[check])
        one["servers"][1].update(checks=[check])
        return [one]

    def first():
        return lab.ask()["services"][0]["servers"][0]

    @contextlib.contextmanager
    def callers():
        many = [lab.namespaces["client"].popen("/usr/bin/python3", "-c", CALLER, VIP4, "8080", stdout=-1, text=True) for _ in range(4)]
        said = {}
        try:
            for one in many:
                assert one.stdout.readline() == "ready\n"
            yield said
        finally:
            for one in many:
                one.send_signal(signal.SIGTERM)
            answers = [json.loads(one.communicate(timeout=60)[0]) for one in many]
        assert sum((failed for _, failed in answers), []) == []
        for counts, _ in answers:
            for name, n in counts.items():
                said[name] = said.get(name, 0) + n

    s1 = lab.nginx[0]
    lab.set(services())
    wait_for(lambda: first()["used"] and set(lab.curl(*["/who"] * 4).split()) == set(SERVERS), "both to answer")
    with callers() as said:
        before = first()["total"][0]
        wait_for(lambda: first()["total"][0] > before + 20, "traffic")
        for _ in range(2):
            lab.set(services(weight=0))
            wait_for(lambda: first()["active"] == 0, "the first server to have no connections")
            s1.stop(signal.SIGQUIT)
            wait_for(lambda: not first()["up"], "the director to see that it is gone")
            s1.start()
            wait_for(lambda: first()["up"], "the director to see that it is back")
            lab.set(services())
            before = first()["total"][0]
            wait_for(lambda: first()["total"][0] > before + 20, "the first server to be used again")
    assert set(said) == set(SERVERS)
    s1.stop()
    wait_for(lambda: not first()["used"], "the director to take it out")
    with callers() as said:
        other = lab.ask()["services"][0]["servers"][1]["total"][0]
        wait_for(lambda: lab.ask()["services"][0]["servers"][1]["total"][0] > other + 50, "traffic")
    assert set(said) == {"s2"}
