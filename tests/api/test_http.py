"""The HTTP boundary: bad input, limits, slow clients, TLS, metrics."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess

import pytest
import requests

from conftest import BUILD, PASSWORD, Server


def connect(server, timeout=60):
    host, _, port = server.url.split("//")[1].partition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def raw(server, data, shut=False, timeout=60):
    """Sends bytes, returns (status, header text, body) of the first answer."""
    with connect(server, timeout) as sock:
        sock.sendall(data)
        if shut:
            sock.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def message(answer):
    return answer.json()["NeutronError"]["message"]


def test_every_answer_has_a_request_id(server, admin):
    ids = set()
    for path in ("/", "/v2.0/networks", "/nowhere", "/identity/v3", "/v2.0/networks?limit=x", "/%zz"):
        answer = admin("GET", path)
        assert re.fullmatch(r"req-[0-9a-f-]{36}", answer.headers["X-Openstack-Request-Id"]), path
        ids.add(answer.headers["X-Openstack-Request-Id"])
    assert len(ids) == 6


def test_unknown_path_is_404_and_unknown_method_405(admin):
    assert admin("GET", "/v2.0/nothing").status_code == 404
    assert admin("GET", "/v2.0/nothing").json()["NeutronError"]["type"] == "HTTPNotFound"
    assert admin("GET", "/identity/v3/nothing").json()["error"]["code"] == 404
    answer = admin("PATCH", "/v2.0/networks")
    assert answer.status_code == 405 and answer.headers["Allow"] == "GET, HEAD, POST"
    assert admin("DELETE", "/identity/v3/roles").status_code == 405
    assert admin("OPTIONS", "/v2.0/networks").status_code == 405
    assert admin("GET", "/v2.0//networks").status_code == 404


def test_head_is_get_without_a_body(admin):
    assert admin("HEAD", "/v2.0/networks").status_code == 200


def test_missing_and_bad_token_are_401_with_the_keystone_address(server):
    for headers in ({}, {"X-Auth-Token": ""}, {"X-Auth-Token": "x" * 43}, {"X-Auth-Token": "short"}, {"X-Auth-Token": "y" * 4000}):
        answer = requests.get(server.url + "/v2.0/networks", headers=headers, timeout=60)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{server.url}/identity"'
        assert answer.json()["error"]["code"] == 401


@pytest.mark.parametrize("body", ["{", "[]", "nonsense", '{"network": {"name": "a"}, "network": {}}', '"text"', "{}}", "1", "null",
                                  '{"network": {"name": "\\ud800"}}', '{"network": {"name": "a\\u0000b"}}'])
def test_bad_json_says_where(admin, body):
    answer = admin("POST", "/v2.0/networks", data=body)
    assert answer.status_code == 400
    assert answer.json()["NeutronError"]["type"] == "MalformedRequestBody"
    assert re.search(r"line \d+ column \d+|not a JSON object", message(answer)), message(answer)


def test_body_that_is_not_utf8_is_400(admin):
    answer = admin("POST", "/v2.0/networks", data=b'{"network": {"name": "\xff\xfe"}}')
    assert answer.status_code == 400 and "UTF-8" in message(answer)


def test_deep_json_is_refused(admin):
    answer = admin("POST", "/v2.0/networks", data='{"network":' * 100000)
    assert answer.status_code == 400
    assert admin("POST", "/v2.0/networks", data='{"network": ' + "[" * 3000 + "]" * 3000 + "}").status_code == 400


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=utf-8", "application/xml", ""])
def test_content_type_does_not_matter(admin, content_type):
    headers = {"Content-Type": content_type}
    assert admin("POST", "/v2.0/networks", data='{"network": {"name": "typed"}}', headers=headers).status_code == 201


def test_body_of_a_get_is_not_looked_at(admin):
    assert admin("GET", "/v2.0/networks", data="{{{").status_code in (200, 400)


def test_oversize_body_is_413(server, admin):
    token = admin.session.headers["X-Auth-Token"].encode()
    head = b"POST /v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + token + b"\r\n"
    status, headers, body = raw(server, head + b"Content-Length: 99999999\r\n\r\n")
    assert status == 413 and b"4194304" in body, "announced: answered before it is sent"
    status, headers, body = raw(server, head + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert status == 413

    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with connect(server) as sock:
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(70):
            sock.sendall(chunk)
        sock.sendall(b"0\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 413, "in chunks: read to its end and answered"

    login = requests.post(server.url + "/identity/v3/auth/tokens", data=b"x" * 70000, timeout=60)
    assert login.status_code == 413 and login.json()["error"]["code"] == 413, "less for those without a token"


def test_without_a_valid_credential_large_bodies_are_not_kept(server, admin):
    """Routes of agents take 16 MiB; who has not proved to be one sends 64 KiB at most, and is told so before the body."""
    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{server.process.pid}/status").read())[1])
    before = resident()
    for head in (b"", b"X-Auth-Token: nonsense\r\n", b"Authorization: Bearer nonsense\r\n"):
        for target in (b"/v2.0/ports", b"/weft/v1/hosts/none/watch"):
            start = b"POST " + target + b" HTTP/1.1\r\nHost: x\r\n" + head
            status, _, body = raw(server, start + b"Content-Length: 4000000\r\n\r\n")
            assert status == 401, (target, head, body)
    socks = []
    for _ in range(20):
        sock = connect(server)
        sock.sendall(b"POST /weft/v1/hosts/none/watch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            sock.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        socks.append(sock)
    admin("GET", "/v2.0/networks", status=200)
    assert resident() - before < 10000, "20 bodies of 2.6 MB, in KiB"
    for sock in socks:
        sock.sendall(b"0\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 401
        sock.close()


@pytest.mark.parametrize("headers", [b"Content-Length: 4\r\nTransfer-Encoding: chunked", b"Content-Length: 2\r\nContent-Length: 44",
                                     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
                                     b"Content-Length : 2", b"Transfer-Encoding : chunked"], ids=repr)
def test_request_whose_end_is_in_doubt_is_400_and_ends_the_connection(server, headers):
    """RFC 9112, 5.1, 6.1 and 6.3: what a proxy may read otherwise smuggles requests."""
    with connect(server) as sock:
        sock.sendall(b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\n" + headers +
                     b"\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        try:
            while part := sock.recv(65536):
                received += part
        except ConnectionResetError:
            pass
    assert received.count(b"HTTP/1.1 ") == 1 and received.startswith(b"HTTP/1.1 400"), received
    assert headers.split(b":")[0].strip() in received, "it names the header"


def test_equal_lengths_given_twice_are_one(server):
    status, _, _ = raw(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n")
    assert status == 200


def test_oversize_header_is_refused_and_the_server_lives(server, admin):
    for head in (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70000 + b"\r\n\r\n", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n"):
        try:
            status, _, _ = raw(server, head)
            assert status in (400, 413, 414, 431)
        except (OSError, http.client.HTTPException):
            pass
    admin("GET", "/v2.0/networks", status=200)


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                  b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                  b"GET nothing HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                  b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_broken_http_does_not_stop_the_server(server, admin, data):
    try:
        status, _, _ = raw(server, data, shut=True, timeout=1)  # Silence is an answer, too.
        assert 200 <= status < 600
    except (OSError, http.client.HTTPException):
        pass
    admin("GET", "/v2.0/networks", status=200)


@pytest.mark.parametrize("target", ["/v2.0/networks?name=%", "/v2.0/networks?name=%0", "/v2.0/networks?name=%zz", "/v2.0/%ff", "/v2.0/networks?%00=1",
                                    "/v2.0/networks?name=%c3%28", "/" + "a/" * 40, "/v2.0/networks?" + "&" * 600 + "a=1"],
                         ids=lambda target: target[:24])
def test_bad_target_is_400(server, admin, target):
    token = admin.session.headers["X-Auth-Token"].encode()
    status, headers, body = raw(server, b"GET " + target.encode() + b" HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + token + b"\r\n\r\n")
    assert status == 400 and json.loads(body)["NeutronError"]["message"], body
    assert headers["X-Openstack-Request-Id"]


def test_escaped_slash_stays_in_its_segment(admin):
    assert admin("GET", "/v2.0%2Fnetworks").status_code == 404
    assert admin("GET", "/v2.0/networks/a%2Fb").status_code == 404


def test_links_follow_the_host_header_unless_it_is_nonsense(server):
    def link(host):
        status, _, body = raw(server, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        return json.loads(body)["versions"][0]["links"][0]["href"]

    assert link(b"api.example:9696") == "http://api.example:9696/v2.0/"
    assert link(b"[2001:db8::1]:9696") == "http://[2001:db8::1]:9696/v2.0/"
    assert link(b'evil"><x') == server.url + "/v2.0/"


def test_public_url_sets_every_link(start):
    server = start("--public-url", "https://cloud.example/net/", store="memory")
    assert requests.get(server.url + "/", timeout=60).json()["versions"][0]["links"][0]["href"] == "https://cloud.example/net/v2.0/"
    catalogue = {s["type"]: s for s in server.login().json()["token"]["catalog"]}
    assert catalogue["network"]["endpoints"][0]["url"] == "https://cloud.example/net"


def test_connection_serves_many_requests_also_pipelined(server):
    with connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        seen = b""
        while seen.count(b"HTTP/1.1 200") < 20:
            piece = sock.recv(65536)
            assert piece
            seen += piece


def test_client_that_leaves_in_the_middle_is_forgotten(server, admin):
    token = admin.session.headers["X-Auth-Token"].encode()
    for _ in range(20):
        with connect(server) as sock:
            sock.sendall(b"POST /v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + token + b"\r\nContent-Length: 500\r\n\r\n{\"net")
    for _ in range(20):
        with connect(server) as sock:
            sock.sendall(b"POST /v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + token + b"\r\nContent-Length: 14\r\n\r\n{\"network\":{}}")
    admin("GET", "/v2.0/networks", status=200)


def test_many_idle_connections_do_not_stop_others(server, admin):
    sockets = [connect(server) for _ in range(300)]
    try:
        for sock in sockets[:150]:
            sock.sendall(b"GET / HT")
        admin("GET", "/v2.0/networks", status=200)
    finally:
        for sock in sockets:
            sock.close()


# --- TLS. ---

@pytest.fixture
def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_tls_serves_and_refuses_old_versions(start, certificate):
    cert, key = certificate
    server = start("--tls-certificate", cert, "--tls-key", key, store="memory")
    assert server.url.startswith("https://")
    os.environ["REQUESTS_CA_BUNDLE"] = cert
    try:
        answer = requests.get(server.url + "/", verify=cert, timeout=60)
        assert answer.status_code == 200 and answer.json()["versions"][0]["links"][0]["href"].startswith("https://127.0.0.1")
        token = server.login(verify=cert)
        assert token.status_code == 201
        body = {"networks": [{"name": "x" * 200} for _ in range(500)]}
        created = requests.post(server.url + "/v2.0/networks", json=body, verify=cert, headers={"X-Auth-Token": token.headers["X-Subject-Token"]},
                                timeout=60)
        assert created.status_code in (201, 409), created.text[:200]
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]
    with pytest.raises((requests.RequestException, ConnectionError)):
        requests.get(server.url.replace("https", "http"), timeout=60).raise_for_status()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    host, _, port = server.url.split("//")[1].partition(":")
    with pytest.raises(OSError):
        with socket.create_connection((host, int(port)), timeout=60) as sock:
            context.wrap_socket(sock)


@pytest.mark.parametrize("options,words", [
    (["--tls-certificate", "/nonexistent", "--tls-key", "/nonexistent"], ["tls-certificate", "/nonexistent"]),
    (["--tls-key", "/dev/null"], ["tls-certificate"]),
    (["--tls-certificate", "/dev/null", "--tls-key", "/dev/null"], ["tls-certificate"]),
    (["--listen", "nonsense"], ["listen", "nonsense"]), (["--listen", "127.0.0.1:99999"], ["listen"]),
    (["--log-level", "loud"], ["log-level", "loud"]), (["--public-url", "ftp://x"], ["public-url"]),
    (["--password-memory-kib", "1"], ["password-memory-kib"]), (["--no-such"], ["no-such"]), (["extra"], ["extra"]),
    (["--bootstrap-file", "/nonexistent"], ["bootstrap-file", "/nonexistent"]),
    (["--store", "/nonexistent/x.db"], ["/nonexistent/x.db"]),
])
def test_bad_option_names_itself(options, words):
    done = subprocess.run([BUILD / "src/api/weft-api", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--store", "memory", *options],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode not in (0, -6, -11) and all(word in done.stderr for word in words), done.stderr
    assert "Sanitizer" not in done.stderr, done.stderr


# --- Operation. ---

def test_metrics_count_requests_and_objects(server, admin):
    network = admin.network("metered")
    text = requests.get(server.metrics_url + "/metrics", timeout=60).text
    assert re.search(r'weft_api_requests_total\{method="POST",route="/v2.0/networks",status="201"\} [1-9]', text)
    assert re.search(r'weft_api_request_duration_seconds_count\{method="POST",route="/v2.0/networks"\} [1-9]', text)
    assert re.search(r'weft_objects\{kind="network"\} [1-9]', text)
    assert network["id"] not in text
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+', line), line
    buckets = [int(n) for n in re.findall(r'duration_seconds_bucket\{method="POST",route="/v2.0/networks",le="[^"]+"\} (\d+)', text)]
    assert buckets == sorted(buckets)


def test_metrics_listener_serves_only_that(server):
    assert requests.get(server.metrics_url + "/healthz", timeout=60).text == "ok\n"
    assert requests.get(server.metrics_url + "/readyz", timeout=60).status_code == 200
    assert requests.get(server.metrics_url + "/v2.0/networks", timeout=60).status_code == 404
    assert requests.get(server.url + "/metrics", timeout=60).status_code == 404
    assert requests.get(server.url + "/healthz", timeout=60).status_code == 200


def test_idle_server_is_small(start):
    server = start()
    text = requests.get(server.metrics_url + "/metrics", timeout=60).text
    size = float(text.split("\nprocess_resident_memory_bytes ")[1].split()[0])
    if "sanitize" not in str(BUILD):
        assert size < 30e6, f"{size / 1e6} MB"


def test_service_manager_is_told(folder):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "notify"))
        sock.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = str(folder / "notify")
        try:
            server = Server(folder, store="memory").start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert sock.recv(100) == b"READY=1"
        server.stop()
        assert sock.recv(100) == b"STOPPING=1"


def test_configuration_file_sets_what_flags_do(folder):
    (folder / "api.conf").write_text("# comment\nlisten = 127.0.0.1:0\nstore = memory\nlog-level = error\n")
    process = subprocess.Popen([BUILD / "src/api/weft-api", "--config", str(folder / "api.conf")], stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline(), process.stdout.readline()]
    assert "ready on http://127.0.0.1:" in lines[1]
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()


def test_second_server_on_the_same_file_is_refused(start, folder):
    server = start()
    done = subprocess.run([BUILD / "src/api/weft-api", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--store", server.store],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and server.store in done.stderr, done.stderr
