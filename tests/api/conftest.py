"""Runs weft-api on a free loopback port and talks to it.  No root needed.

    WEFT_BUILD=build/sanitize tests/run api      the same against another build"""

import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("WEFT_BUILD", "build/release")
PASSWORD = "correct horse"


def wait_until(condition, what, timeout=60):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout} s: {what}")


class Answer(Exception):
    """An answer that was not the one expected."""


class Server:
    def __init__(self, folder, *options, store=None):
        self.folder = pathlib.Path(folder)
        self.options = options
        self.store = store or str(self.folder / "weft.db")
        self.process = None
        (self.folder / "password").write_text(PASSWORD + "\n")
        (self.folder / "password").chmod(0o600)

    def start(self):
        self.errors = open(self.folder / "stderr", "a+")
        self.process = subprocess.Popen(
            [BUILD / "src/api/weft-api", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
             "--store", self.store, "--bootstrap-file", str(self.folder / "password"), "--password-operations", "1",
             "--password-memory-kib", "1024", *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        assert "ready on" in line, f"weft-api did not start: {line!r} {self.log()}"
        self.url, self.metrics_url = line.split("ready on ")[1].strip().split(", metrics on ")
        return self

    def log(self):
        return (self.folder / "stderr").read_text()

    def stop(self):
        """Ends it the polite way; what it says about memory and the like is an error."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(60) == 0, self.log()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("weft-api did not end on SIGTERM")
            finally:
                self.process.stdout.close()
                self.errors.close()
        assert "Sanitizer" not in self.log() and "runtime error" not in self.log(), self.log()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    # --- Requests. ---

    def login(self, user="admin", password=PASSWORD, project="admin", **more):
        auth = {"identity": {"methods": ["password"],
                             "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}}}}
        if project:
            auth["scope"] = {"project": {"name": project, "domain": {"name": "Default"}}}
        return requests.post(f"{self.url}/identity/v3/auth/tokens", json={"auth": auth}, timeout=60, **more)

    def token(self, *arguments, **more):
        answer = self.login(*arguments, **more)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def client(self, *arguments, **more):
        return Client(self.url, {"X-Auth-Token": self.token(*arguments, **more)})


class Client:
    def __init__(self, url, headers):
        self.url = url
        self.session = requests.Session()
        self.session.headers.update(headers)

    def __call__(self, method, path, body=None, status=None, **more):
        answer = self.session.request(method, self.url + path, json=body, timeout=60, **more)
        if status is not None and answer.status_code != status:
            raise Answer(f"{method} {path}: {answer.status_code}, not {status}: {answer.text[:500]}")
        if status is None:
            return answer
        return answer.json() if answer.content else None

    def fresh(self):
        """The same user on a connection of its own, for a thread."""
        return Client(self.url, dict(self.session.headers))

    def project(self, name, **more):
        return self("POST", "/identity/v3/projects", {"project": {"name": name, **more}}, 201)["project"]

    def user(self, name, password="pw-of-user", project=None, role="member"):
        user = self("POST", "/identity/v3/users", {"user": {"name": name, "password": password}}, 201)["user"]
        if project:
            role_id = self("GET", f"/identity/v3/roles?name={role}", status=200)["roles"][0]["id"]
            self("PUT", f"/identity/v3/projects/{project['id']}/users/{user['id']}/roles/{role_id}", status=204)
        return user

    def network(self, name="n", **more):
        return self("POST", "/v2.0/networks", {"network": {"name": name, **more}}, 201)["network"]

    def subnet(self, network, cidr, **more):
        return self("POST", "/v2.0/subnets", {"subnet": {"network_id": network["id"], "cidr": cidr, "ip_version": 6 if ":" in cidr else 4,
                                                         **more}}, 201)["subnet"]

    def port(self, network, **more):
        return self("POST", "/v2.0/ports", {"port": {"network_id": network["id"], **more}}, 201)["port"]


class Agent:
    """What weft-agent does with the API, reduced to its words."""

    n_made = 0

    def __init__(self, admin, name, **join):
        Agent.n_made += 1
        self.name = name
        self.address = join.get("tunnel_address", f"10.77.{Agent.n_made // 250}.{Agent.n_made % 250 + 1}")
        self.host = admin("POST", "/weft/v1/hosts", {"host": {"name": name}}, 201)["host"]
        joined = requests.post(f"{admin.url}/weft/v1/hosts/{name}/join", timeout=60,
                               json={"join_token": self.host["join_token"], "tunnel_address": self.address, "underlay_mtu": 1500,
                                     "version": "0.1", **join})
        assert joined.status_code == 200, joined.text
        self.credential = joined.json()["credential"]
        self.client = Client(admin.url, {"Authorization": f"Bearer {self.credential}"})
        self.objects = {}

    def watch(self, digest=None):
        return Stream(self, {} if digest is None else digest)

    def status(self, status=204, **report):
        return self.client("PUT", f"/weft/v1/hosts/{self.name}/status", report, status)


class Stream:
    """A watch stream: lines arrive on a thread, and are looked at one commit at a time."""

    def __init__(self, agent, digest):
        self.answer = agent.client.session.post(f"{agent.client.url}/weft/v1/hosts/{agent.name}/watch", json={"digest": digest},
                                                stream=True, timeout=60)
        assert self.answer.status_code == 200, self.answer.text
        assert self.answer.headers["Content-Type"] == "application/x-ndjson"
        self.lines = queue.Queue()
        self.has_ended = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for line in self.answer.iter_lines(chunk_size=None):  # As the chunks come: each ends with a line.
                self.lines.put(json.loads(line))
        except (requests.RequestException, OSError, AttributeError, ValueError):
            pass
        self.has_ended.set()

    def next(self, timeout=60):
        return self.lines.get(timeout=timeout)

    def until(self, *types, timeout=60):
        """Lines up to the first of one of these types, that one included."""
        found = []
        deadline = time.monotonic() + timeout
        while True:
            line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line["type"] == "keepalive" and "keepalive" not in types:
                continue
            found.append(line)
            if line["type"] in types:
                return found

    def commit(self, timeout=60):
        """The puts {id: object} and deleted ids up to the next commit."""
        lines = self.until("commit", timeout=timeout)
        return ({line["object"]["id"]: line for line in lines if line["type"] == "put"},
                {line["id"] for line in lines if line["type"] == "delete"}, lines)

    def close(self):
        # The reader holds the file; its socket wakes it.
        self.answer.raw._connection.sock.shutdown(socket.SHUT_RDWR)
        assert self.has_ended.wait(60)
        self.answer.close()


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix=f"weft-api-{os.getpid()}-")
    yield pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def server():
    """One for a module's tests: each makes what it needs."""
    path = tempfile.mkdtemp(prefix=f"weft-api-{os.getpid()}-")
    running = Server(path, store="memory").start()
    yield running
    try:
        running.stop()
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def admin(server):
    return server.client()


@pytest.fixture
def start(folder):
    """Starts servers of a test's own: start("--option", ..., store=...)."""
    started = []

    def make(*options, **more):
        started.append(Server(folder, *options, **more).start())
        return started[-1]

    yield make
    for running in started:
        running.stop()
