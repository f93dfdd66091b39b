"""169.254.169.254 and fe80::a9fe:a9fe, asked from inside workloads; and what stands behind them.

       red  10.0.0.5 ---+                         +--- built-in answers
                        |  host h1: weft-meta ----+
       blue 10.0.0.5 ---+                         +--- metadata-url: a server like Nova's

Two tenants have the same address, and each hears of itself."""

import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import threading

import pytest

from lab import Lab
from namespaces import enter, wait_for

V4, V6 = "http://169.254.169.254", "http://[fe80::a9fe:a9fe%25eth0]"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Zz red@example"
SECRET = "swordfish"


def tenant(lab, name, **attributes):
    """A workload at 10.0.0.5 of a project of its own."""
    project, token = lab.api.project(name)
    network = lab.api.network(name, token=token)
    fixed = [{"subnet_id": lab.api.subnet(network, "10.0.0.0/24", token=token)["id"], "ip_address": "10.0.0.5"},
             {"subnet_id": lab.api.subnet(network, "fd00:5::/64", token=token, ipv6_address_mode="dhcpv6-stateful",
                                          ipv6_ra_mode="dhcpv6-stateful")["id"]}]
    port = lab.api.port(network, lab.hosts[0], token=token, name=f"{name}-vm", device_id=f"instance-of-{name}", fixed_ips=fixed, **attributes)
    workload = lab.workload(port, lab.hosts[0], name=name)
    workload.project = project
    lab.api.wait_active(port)
    # The virtual gateway is as good a way as a route of its own.
    workload.namespace.ip("route", "add", "default", "via", "10.0.0.1")
    return workload


def get(workload, path, base=V4, *options):
    """(status, body)"""
    out = workload.run("curl", "-sS", "-g", "--max-time", 50, "-w", "\n%{http_code}", *options, base + path)
    body, status = out.rsplit("\n", 1)
    return int(status), body


def content(workload, path, base=V4):
    status, body = get(workload, path, base)
    assert status == 200, (path, status, body)
    return body


@pytest.fixture(scope="module")
def lab():
    with Lab(1) as lab:
        yield lab


@pytest.fixture(scope="module")
def red(lab):
    return tenant(lab, "red", **{"weft:metadata": {"hostname": "www.red.example", "public_keys": {"mine": KEY},
                                                   "user_data": "#cloud-config\n{}\n", "meta": {"role": "web"}}})


@pytest.fixture(scope="module")
def blue(lab):
    return tenant(lab, "blue")


@pytest.mark.parametrize("base", [V4, V6], ids=["ipv4", "ipv6"])
def test_each_tenant_hears_of_itself(red, blue, base):
    for workload, hostname in ((red, "www.red.example"), (blue, "blue-vm")):
        assert content(workload, "/latest/meta-data/instance-id", base) == f"instance-of-{workload.namespace.name.rsplit('-')[-1]}"
        assert content(workload, "/latest/meta-data/hostname", base) == hostname
        assert content(workload, "/latest/meta-data/local-ipv4/", base) == "10.0.0.5"
        assert content(workload, "/latest/meta-data/mac", base) == workload.port["mac_address"]
        assert json.loads(content(workload, "/openstack/latest/meta_data.json", base))["project_id"] == workload.project


def test_what_cloud_init_reads(red, blue):
    assert "latest" in content(red, "/openstack").split()
    data = json.loads(content(red, "/openstack/2018-08-27/meta_data.json"))
    assert (data["uuid"], data["public_keys"], data["meta"]) == ("instance-of-red", {"mine": KEY}, {"role": "web"})
    assert data["keys"] == [{"name": "mine", "type": "ssh", "data": KEY}]
    assert content(red, "/openstack/latest/user_data") == content(red, "/latest/user-data") == "#cloud-config\n{}\n"
    assert content(red, "/latest/meta-data/public-keys/") == "0=mine"
    assert content(red, "/latest/meta-data/public-keys/0/openssh-key") == KEY + "\n"
    network = json.loads(content(red, "/openstack/latest/network_data.json"))
    assert network["links"][0]["ethernet_mac_address"] == red.port["mac_address"]
    assert [(one["type"], one["ip_address"]) for one in network["networks"]][0] == ("ipv4_dhcp", "10.0.0.5")
    assert get(blue, "/latest/user-data")[0] == 404
    assert get(red, "/latest/nothing")[0] == get(red, "/latest/meta-data/public-keys/1/openssh-key")[0] == 404
    assert get(red, "/latest/meta-data", V4, "-X", "DELETE")[0] == 405


def test_a_change_is_seen_at_once(lab, blue):
    lab.api.update_port(blue.port, **{"weft:metadata": {"user_data": "x" * 60000}})
    wait_for(lambda: get(blue, "/latest/user-data") == (200, "x" * 60000), "the new user data")
    lab.api.update_port(blue.port, **{"weft:metadata": {}})
    wait_for(lambda: get(blue, "/latest/user-data")[0] == 404, "no user data")


def test_nobody_asks_for_somebody_else(lab, red):
    """Another address of the workload's is not answered; other ports of the service's address lead nowhere."""
    spoofed = lab.hosts[0].drops(red.port).get("spoofed_ip", 0)
    red.namespace.ip("addr", "add", "10.0.0.99/24", "dev", "eth0")

    def dropped():
        red.run("curl", "-sS", "--max-time", 1, "--interface", "10.0.0.99", V4 + "/latest", check=False)
        return lab.hosts[0].drops(red.port).get("spoofed_ip", 0) > spoofed

    wait_for(dropped, "what has another address to be dropped")
    red.namespace.ip("addr", "del", "10.0.0.99/24", "dev", "eth0")
    lab.api.update_port(red.port, allowed_address_pairs=[{"ip_address": "10.0.0.98"}])
    red.namespace.ip("addr", "add", "10.0.0.98/24", "dev", "eth0")

    def refused():
        red.run("curl", "-sS", "--max-time", 1, "--interface", "10.0.0.98", V4 + "/latest", check=False)
        return lab.hosts[0].drops(red.port).get("metadata_source")

    wait_for(refused, "the additional address to be refused by the service")
    red.namespace.ip("addr", "del", "10.0.0.98/24", "dev", "eth0")
    # Neither does the host hear of it, nor can it pretend to be a workload.
    assert lab.hosts[0].namespace.run("curl", "-sS", "--max-time", 1, "http://240.15.255.254", check=False) == ""


@contextlib.contextmanager
def connections(workload, n):
    """Up to 'n' connections of the workload to the service, open at once."""
    made = []
    with workload.namespace.inside():
        for _ in range(n):
            made.append(socket.create_connection(("169.254.169.254", 80), timeout=60))
    try:
        yield made
    finally:
        for one in made:
            one.close()


def ended(connection, seconds):
    """Does the server close the connection within so long?"""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_hostile_requests_are_bounded(lab, red, blue):
    # Held open and never finished: only so many of a port, and nobody else notices.
    with connections(red, 40) as held:
        for one in held:
            with contextlib.suppress(ConnectionError):
                one.sendall(b"GET /latest HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        wait_for(lambda: sum(not ended(one, 0.02) for one in held) == 8, "all but eight to be closed")
        assert content(blue, "/latest/meta-data/hostname") == "blue-vm"
    wait_for(lambda: red.run("curl", "-sS", "--max-time", 5, V4 + "/latest", check=False), "the port to be answered again")
    # A header without an end, and a body that nobody asked for.
    with connections(red, 1) as (one,):
        with contextlib.suppress(ConnectionError):
            one.sendall(b"GET /latest HTTP/1.1\r\nHost: a\r\nX-Large: " + b"a" * 200000)
        assert ended(one, 60)
    status, _ = get(red, "/latest", V4, "-X", "GET", "--data-binary", "@/usr/bin/python3")
    assert status == 413
    for path in ("/latest/../../etc/passwd", "/" + "a/" * 100, "/latest/meta-data/%00", "/latest/meta-data/public-keys/-1/openssh-key"):
        assert get(red, path, V4, "--path-as-is")[0] in (400, 404)


def test_an_answer_never_reaches_the_slots_next_port(lab):
    """The port goes while its request is under way: the slot's next owner has another address on the device."""
    network = lab.api.network("third")
    lab.api.subnet(network, "10.0.0.0/24")
    agent = lab.hosts[0].agent
    seen = []
    for _ in range(2):
        workload = lab.workload(lab.api.port(network, lab.hosts[0]), lab.hosts[0])
        lab.api.wait_active(workload.port)
        workload.namespace.ip("route", "add", "default", "via", "10.0.0.1")
        seen.append((content(workload, "/latest/meta-data/instance-id"), workload.port["id"]))
        workload.unplug()
        lab.api.delete(f"/v2.0/ports/{workload.port['id']}")
    assert all(said == port for said, port in seen) and agent.running()


class Nova(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        Nova.asked.append((self.path, dict(self.headers)))
        if self.path.startswith("/slow"):
            Nova.waiting.set()
            Nova.go_on.wait(60)
        body = f"{self.headers['X-Instance-ID']} asked for {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def nova(lab, tmp_path):
    Nova.asked, Nova.waiting, Nova.go_on = [], threading.Event(), threading.Event()
    ready = threading.Event()
    server = None

    def serve():
        nonlocal server
        enter(lab.control.name)
        server = http.server.ThreadingHTTPServer(("198.18.0.1", 8775), Nova)
        server.daemon_threads = True
        ready.set()
        server.serve_forever(poll_interval=0.1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(60)
    (tmp_path / "secret").write_text(SECRET + "\n")
    lab.hosts[0].stop()
    lab.hosts[0].start("--metadata-url", "http://198.18.0.1:8775", "--metadata-secret-file", tmp_path / "secret")
    yield Nova
    Nova.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join(60)
    lab.hosts[0].stop()
    lab.hosts[0].start()


def test_nova_is_asked_as_it_expects(nova, red, blue):
    path = "/openstack/2018-08-27/meta_data.json?a=%41"
    for base in (V4, V6):
        assert content(red, path, base) == f"instance-of-red asked for {path}"
    assert content(blue, "/latest/", V4) == "instance-of-blue asked for /latest/"
    for asked, headers in nova.asked:
        workload = red if asked == path else blue
        name = workload.namespace.name.rsplit("-")[-1]
        assert headers["X-Instance-ID"] == f"instance-of-{name}"
        assert headers["X-Tenant-ID"] == workload.project
        assert headers["X-Forwarded-For"] == "10.0.0.5"
        assert headers["X-Instance-ID-Signature"] == hmac.new(SECRET.encode(), f"instance-of-{name}".encode(), hashlib.sha256).hexdigest()
    # What a workload says about itself is not passed on.
    get(red, "/x", V4, "-H", "X-Instance-ID: instance-of-blue", "-H", "X-Instance-ID-Signature: abc")
    assert nova.asked[-1][1]["X-Instance-ID"] == "instance-of-red"


def test_one_tenants_slow_request_keeps_nobody_waiting(nova, red, blue):
    slow = red.popen("curl", "-sS", "--max-time", "100", V4 + "/slow")
    try:
        assert nova.waiting.wait(60)
        assert content(blue, "/quick") == "instance-of-blue asked for /quick"
        assert slow.poll() is None
    finally:
        nova.go_on.set()
        assert slow.wait(60) == 0


def test_the_service_can_be_turned_off(lab, red):
    host = lab.hosts[0]
    host.stop()
    host.start("--metadata-url", "off")
    try:
        assert red.run("curl", "-sS", "--max-time", 1, V4 + "/latest", check=False) == ""
    finally:
        host.stop()
        host.start()
    assert content(red, "/latest/meta-data/hostname") == "www.red.example"
