"""Who is believed: switches with a certificate, hosts of a slice, clients of the HTTP interface."""

import json
import socket
import ssl

import pytest

from fabric import Fabric, reference
from namespaces import run, wait_for


class Authority:
    """Makes certificates."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.certificate, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", self.key, "-out", self.certificate)

    def issue(self, name):
        key, request, certificate = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
            "-out", request)
        run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "2", "-out",
            certificate)
        return key, certificate


@pytest.mark.parametrize("openflow", ["OpenFlow10", "OpenFlow13"])
def test_switches_with_certificates_are_served_and_others_refused(openflow):
    with Fabric([(5, 3), (3, 4)], {"a": 5, "b": 4}, switches=[1, 2], domains=[[1], [2]], openflow=openflow) as fabric:
        ours, theirs = Authority(fabric.folder, "ours"), Authority(fabric.folder, "theirs")
        key, certificate = ours.issue("controller")
        controller = fabric.controller("--listen", "none", "--listen-tls", "198.18.0.1:6700", "--tls-certificate", certificate, "--tls-key", key,
                                       "--tls-ca", ours.certificate, attach=False)
        shared, stranger, plain = fabric.vswitches
        shared.vsctl("set-ssl", *ours.issue("switches"), ours.certificate)
        stranger.vsctl("set-ssl", *theirs.issue("stranger"), ours.certificate)
        fabric.attach("ssl:198.18.0.1:6700", vswitches=[shared, stranger])
        fabric.attach("tcp:198.18.0.1:6700", vswitches=[plain])
        controller.wait_discovered(switches=3)
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        assert a.ping(b, 10) == 10
        wait_for(lambda: "TLS failed" in controller.text() and controller.metric("weft_fabric_tls_failed_total") >= 2, "both to be refused")
        # One without any certificate gets no further than the handshake.
        said = fabric.net.run("openssl", "s_client", "-connect", "198.18.0.1:6700", "-CAfile", ours.certificate, "-verify_return_error", "-quiet",
                              check=False)
        assert said == ""
        assert {switch["id"] for switch in controller.get("/switches")["switches"]} == {fabric.switches[n].text for n in (3, 4, 5)}
        assert not fabric.openflow_errors()
        # The switch, too, knows whom it obeys: a controller whose certificate is another authority's is left.
        controller.stop()
        key, certificate = theirs.issue("impostor")
        impostor = fabric.controller("--listen", "none", "--listen-tls", "198.18.0.1:6700", "--tls-certificate", certificate, "--tls-key", key,
                                     "--tls-ca", ours.certificate, attach=False)
        wait_for(lambda: impostor.metric("weft_fabric_tls_failed_total") >= 1, "the switches to refuse it")
        assert impostor.state()["switches"] == 0


class RawTls:
    """A TLS client that only says hello."""

    def __init__(self, fabric, authority, identity, version, session=None):
        key, certificate = identity
        self.context = session[1] if session else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not session:
            self.context.check_hostname = False
            self.context.load_verify_locations(authority.certificate)
            self.context.load_cert_chain(certificate, key)
            self.context.maximum_version = version
        with fabric.net.inside():
            plain = socket.create_connection(("198.18.0.1", 6700), timeout=60)
        self.tls = self.context.wrap_socket(plain, session=session and session[0])

    def first(self):
        return self.tls.recv(8)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_that_offers_an_old_tls_session_gets_a_new_one(version):
    with Fabric([], {"a": 1, "b": 1}) as fabric:
        ours = Authority(fabric.folder, "ours")
        key, certificate = ours.issue("controller")
        controller = fabric.controller("--listen", "none", "--listen-tls", "198.18.0.1:6700", "--tls-certificate", certificate, "--tls-key", key,
                                       "--tls-ca", ours.certificate, attach=False)
        identity = ours.issue("switch")
        first = RawTls(fabric, ours, identity, version)
        assert first.first()[1] == 0  # A hello.
        session = first.tls.session
        first.tls.close()
        again = RawTls(fabric, ours, identity, version, (session, first.context))
        assert again.first()[1] == 0
        assert not again.tls.session_reused
        again.tls.close()
        assert "TLS failed" not in controller.text()


def put(controller, name, *bindings, expect=200):
    response = controller.request("PUT", f"/slices/{name}", {"slice": {"bindings": list(bindings)}})
    assert response.status_code == expect, response.text
    return response.json()


@pytest.mark.parametrize("openflow", ["OpenFlow10", "OpenFlow13"])
def test_hosts_of_a_slice_reach_each_other_only(openflow):
    with Fabric([(5, 3), (3, 4)], {"a": 5, "b": 4, "c": 3, "d": 5}, openflow=openflow) as fabric:
        file = fabric.folder / "slices.json"
        controller = fabric.controller("--slices", file)
        controller.wait_discovered()
        a, b, c, d = fabric.hosts.values()
        for one in (b, c, d):
            a.wait_ping(one)
        at = lambda host: {"switch": host.switch.text, "port": host.switch.port_number(host.interface)}
        put(controller, "red", at(a), {"mac": b.mac})
        put(controller, "blue", {"mac": c.mac})
        # What was allowed a moment ago is not any more, though its entries were in the switches.
        wait_for(lambda: a.ping(c, wait=0.2) == 0, "a and c to be apart")
        assert a.ping(b, 5) == 5
        assert a.ping(c, 3, wait=0.2) == 0 and c.ping(a, 3, wait=0.2) == 0
        assert a.ping(d, 3, wait=0.2) == 0 and d.ping(b, 3, wait=0.2) == 0  # d is of no slice.
        assert "0 response" in c.run("arping", "-c", "1", "-w", "1", "-I", "eth0", a.address, check=False)
        # A broadcast stays within: c asks for an address that nobody has, and a does not hear it.
        watch = a.popen("tcpdump", "-nn", "-l", "-i", "eth0", "-c", "1", "arp and host 10.0.0.99", stdout=-1, stderr=-1, text=True)
        assert "listening" in [watch.stderr.readline() for _ in range(2)][-1]
        c.run("arping", "-c", "1", "-w", "1", "-I", "eth0", "10.0.0.99", check=False)
        b.run("arping", "-c", "1", "-w", "1", "-I", "eth0", "10.0.0.99", check=False)
        heard = watch.stdout.readline()
        watch.wait(60)
        assert f"tell {b.address}" in heard
        wait_for(lambda: controller.statistics()["events"]["slice_denied"] >= 1, "what is of no slice to be denied")
        known = {host["mac"]: host["slice"] for host in controller.get("/hosts")["hosts"]}
        assert known[a.mac] == known[b.mac] == "red" and known[c.mac] == "blue" and known[d.mac] is None
        # They are kept.
        controller.stop()
        assert {slice["name"] for slice in json.loads(file.read_text())["slices"]} == {"red", "blue"}
        controller.start()
        controller.wait_discovered()
        a.wait_ping(b)
        assert a.ping(c, 3, wait=0.2) == 0
        put(controller, "red", at(a), {"mac": b.mac}, {"mac": d.mac})
        d.wait_ping(b)  # The denial of what is of no slice ends by itself.
        for name in ("red", "blue"):
            assert controller.request("DELETE", f"/slices/{name}").status_code == 204
        a.wait_ping(c)
        assert not fabric.openflow_errors()


BAD = [
    ("GET", "/nothing", None, 404),
    ("GET", "/switches/0xff", None, 404),
    ("GET", "/switches/blue", None, 404),
    ("GET", "/paths?from=10.0.0.1", None, 400),
    ("GET", "/paths?from=10.0.0.1&to=10.9.9.9", None, 404),
    ("GET", "/hosts?switch=0xff", None, 404),
    ("GET", "/flows?limit=0", None, 400),
    ("GET", "/flows?host=02:00:00:00:99:99", None, 404),
    ("POST", "/switches", {}, 405),
    ("DELETE", "/switches/0xe1", None, 405),
    ("PUT", "/role", {"role": "queen"}, 400),
    ("PUT", "/role", {}, 400),
    ("PUT", "/role", [], 400),
    ("PUT", "/switches/0xe1/ports/1", {"port": {"weight": 0}}, 400),
    ("PUT", "/switches/0xe1/ports/1", {"port": {"weight": "1"}}, 400),
    ("PUT", "/switches/0xe1/ports/99", {"port": {"weight": 1}}, 404),
    ("PUT", "/switches/0xe1/ports/-1", {"port": {"weight": 1}}, 404),
    ("PUT", "/slices/a%20b", {"slice": {}}, 400),
    ("PUT", "/slices/red", {}, 400),
    ("PUT", "/slices/red", {"slice": {"bindings": {}}}, 400),
    ("PUT", "/slices/red", {"slice": {"bindings": [{"port": 1}]}}, 400),
    ("PUT", "/slices/red", {"slice": {"bindings": [{"mac": "02:00"}]}}, 400),
    ("PUT", "/slices/red", {"slice": {"bindings": [{"colour": "red"}]}}, 400),
    ("PUT", "/slices/red", {"slice": {"bindings": [{"mac": "02:00:00:00:00:01"}, {"mac": "02:00:00:00:00:01"}]}}, 409),
    ("GET", "/slices/green", None, 404),
    ("DELETE", "/slices/green", None, 404),
]


def test_requests_that_are_wrong_are_told_why_and_change_nothing():
    with Fabric([(1, 2)], {"a": 1, "b": 2}) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        wrong = []
        for method, path, body, status in BAD:
            response = controller.request(method, path, body)
            kinds = list(response.json()) if response.content else []
            message = response.json()[kinds[0]].get("message", "") if kinds and isinstance(response.json()[kinds[0]], dict) else response.text
            if response.status_code != status or not message:
                wrong.append((method, path, body, status, response.status_code, response.text))
        assert wrong == []
        with fabric.net.inside():
            for body in ("{", "\xff", '{"role": "slave"} x', "[" * 100000):
                response = controller.session.put(controller.url + "/fabric/v1/role", data=body.encode("latin-1"), timeout=60)
                assert response.status_code == 400, (body[:20], response.text)
            # A web page in the operator's browser.
            for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                response = controller.session.put(controller.url + "/fabric/v1/role", json={"role": "slave"}, headers=headers, timeout=60)
                assert response.status_code == 403, response.text
            # It reads, or makes us work, without an Origin; but browsers say whose page asks.
            for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
                response = controller.session.get(controller.url + "/fabric/v1/flows", headers={"Sec-Fetch-Site": site}, timeout=60)
                assert response.status_code == status, (site, response.text)
        assert controller.state()["role"] == "equal"
        assert controller.get("/slices")["slices"] == []
        assert a.ping(b, 5) == 5


def test_beyond_loopback_a_token_is_needed():
    with Fabric([], {"a": 1, "b": 1}) as fabric:
        refused = fabric.controller("--http-listen", "198.18.0.1:9697", start=False)
        with pytest.raises(RuntimeError, match="http-token-file is needed"):
            refused.start()
        fabric.controllers.clear()
        token = fabric.folder / "token"
        token.write_text("0123456789abcdef0123\n")
        controller = fabric.controller("--http-token-file", token, start=False)
        controller.session.headers["Authorization"] = "Bearer 0123456789abcdef0123"
        controller.start()
        assert controller.get("")["fabric"]["switches"] == 0
        for header in ("Bearer 0123456789abcdef012", "Bearer ", "Basic 0123456789abcdef0123", ""):
            response = controller.request("GET", "", headers={"Authorization": header})
            assert response.status_code == 401, header


def test_weights_move_traffic_before_a_link_is_taken_away():
    with reference() as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        e5 = fabric.switches[5]
        for name in ("e5-e3", "e5-e2"):
            other = {"e5-e3": "e5-e2", "e5-e2": "e5-e3"}[name]
            for port, weight in ((name, 10), (other, 1)):
                answer = controller.request("PUT", f"/switches/0xe5/ports/{e5.port_number(port)}", {"port": {"weight": weight}})
                assert answer.json()["port"]["weight"] == weight
            assert a.ping(b, 5) == 5
            wait_for(lambda: {flow["actions"] for flow in e5.flows() if f"in_port={e5.port_number('e5-a')}" in flow["match"]} ==
                     {f"output:{e5.port_number(other)}"}, f"everything to leave e5 by {other}")
            paths = controller.get("/paths?from=0xe5&to=0xe4")["paths"]
            assert [path["hops"][0]["out"] for path in paths] == [e5.port_number(other)]
