"""What the tests of the Networking API share: a server, projects with people in them, and what they make again and again.

    this test --- HTTP on 127.0.0.1, a free port ---> weft-api --store memory (and SQLite where durability matters)

Projects: 'admin' (the bootstrap administrator); 'tenant', with a member 'alice' and a reader 'rita'; 'other', with the member 'olga'.
A test file imports the fixtures that it uses; 'clean', which removes all that a test made, works for each test that has 'admin'."""

import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
API = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release")) / "src" / "api" / "weft-api"
NOBODY = str(uuid.UUID(int=0x4444 << 64))


class Client:
    """Calls with one token; 'answer' checks the status and gives back the decoded body."""

    def __init__(self, server, token, project):
        self.server, self.project = server, project
        self.session = requests.Session()
        self.session.headers["X-Auth-Token"] = token

    def call(self, method, path, status, body=None, headers=None, data=None):
        try:
            answer = self.session.request(method, self.server.url + path, json=body, headers=headers, data=data, timeout=60)
        except requests.exceptions.ConnectionError as error:
            pytest.fail(f"{method} {path} {body}: {error}; the server said: {self.server.output()[-6000:]}")
        assert answer.status_code == status, f"{method} {path} {body}: {answer.status_code} {answer.text}"
        assert answer.headers["X-Openstack-Request-Id"].startswith("req-")
        return answer.json() if answer.content else None

    def get(self, path, status=200, **more):
        return self.call("GET", "/v2.0" + path, status, **more)

    def post(self, path, body, status=201, **more):
        return self.call("POST", "/v2.0" + path, status, body, **more)

    def put(self, path, body, status=200, **more):
        return self.call("PUT", "/v2.0" + path, status, body, **more)

    def delete(self, path, status=204, **more):
        return self.call("DELETE", "/v2.0" + path, status, **more)

    def network(self, status=201, **attributes):
        return self.post("/networks", {"network": attributes}, status).get("network")

    def subnet(self, network, cidr="10.0.0.0/24", status=201, **attributes):
        body = {"network_id": network["id"], "cidr": cidr, "ip_version": 6 if ":" in cidr else 4, **attributes}
        return self.post("/subnets", {"subnet": body}, status).get("subnet")

    def port(self, network, status=201, **attributes):
        return self.post("/ports", {"port": {"network_id": network["id"], **attributes}}, status).get("port")

    def refused(self, method, path, status, type_, *texts, body=None, headers=None):
        """An error of that status and type whose message has all of 'texts'."""
        error = self.call(method, "/v2.0" + path, status, body, headers=headers)["NeutronError"]
        assert set(error) == {"type", "message", "detail"}
        assert error["type"] == type_, error
        for text in texts:
            assert text in error["message"], error
        return error


class Server:
    def __init__(self, store="memory"):
        self.store = store
        self.folder = tempfile.TemporaryDirectory(prefix=f"weft-api-{os.getpid()}-")
        self.password_file = pathlib.Path(self.folder.name, "password")
        self.password_file.write_text("correct horse\n")
        self.start()

    def start(self):
        self.log = open(pathlib.Path(self.folder.name, "log"), "ab")
        self.process = subprocess.Popen(
            [API, "--listen", "127.0.0.1:0", "--store", self.store.replace("FOLDER", self.folder.name), "--bootstrap-file",
             self.password_file, "--password-operations", "1", "--password-memory-kib", "1024"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        self.url = None
        while not self.url and time.monotonic() < deadline:
            assert self.process.poll() is None, self.output()
            for word in self.output().split():
                if word.startswith("http://127.0.0.1:"):
                    self.url = word.rstrip(".,;")
            time.sleep(0.01)
        assert self.url, self.output()

    def output(self):
        return pathlib.Path(self.folder.name, "log").read_text(errors="replace")

    def login(self, user, password, project):
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}}
        answer = requests.post(self.url + "/identity/v3/auth/tokens", json=body, timeout=60)
        assert answer.status_code == 201, answer.text
        return Client(self, answer.headers["X-Subject-Token"], answer.json()["token"]["project"]["id"])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=60) == 0, self.output()[-4000:]
        self.folder.cleanup()

    def add_user(self, admin, user, project, role):
        def identity(method, path, status, body=None):
            return admin.call(method, "/identity/v3" + path, status, body)
        projects = identity("GET", f"/projects?name={project}", 200)["projects"]
        project_id = (projects[0] if projects else
                      identity("POST", "/projects", 201, {"project": {"name": project, "domain_id": "default"}})["project"])["id"]
        user_id = identity("POST", "/users", 201, {"user": {"name": user, "password": "secret", "domain_id": "default"}})["user"]["id"]
        role_id = [r for r in identity("GET", "/roles", 200)["roles"] if r["name"] == role][0]["id"]
        identity("PUT", f"/projects/{project_id}/users/{user_id}/roles/{role_id}", 204)
        return self.login(user, "secret", project)


@pytest.fixture(scope="module")
def server():
    instance = Server()
    yield instance
    instance.stop()


@pytest.fixture(scope="module")
def admin(server):
    return server.login("admin", "correct horse", "admin")


@pytest.fixture(scope="module")
def alice(server, admin):
    return server.add_user(admin, "alice", "tenant", "member")


@pytest.fixture(scope="module")
def rita(server, admin, alice):
    return server.add_user(admin, "rita", "tenant", "reader")


@pytest.fixture(scope="module")
def olga(server, admin):
    return server.add_user(admin, "olga", "other", "member")


def remove_all(admin):
    for floating in admin.get("/floatingips")["floatingips"]:
        for forwarding in floating["port_forwardings"]:
            admin.delete(f"/floatingips/{floating['id']}/port_forwardings/{forwarding['id']}")
        admin.delete(f"/floatingips/{floating['id']}")
    for router in admin.get("/routers")["routers"]:
        admin.put(f"/routers/{router['id']}", {"router": {"routes": []}})
        for port in admin.get(f"/ports?device_id={router['id']}&device_owner=network:router_interface")["ports"]:
            admin.put(f"/routers/{router['id']}/remove_router_interface", {"port_id": port["id"]})
        admin.delete(f"/routers/{router['id']}")
    for kind in ("ports", "subnets", "networks"):
        for thing in admin.get(f"/{kind}?fields=id")[kind]:
            admin.delete(f"/{kind}/{thing['id']}")
    for group in admin.get("/security-groups?fields=id&fields=name")["security_groups"]:
        if group["name"] != "default":
            admin.delete(f"/security-groups/{group['id']}")
    for quota in admin.get("/quotas")["quotas"]:
        admin.delete(f"/quotas/{quota['project_id']}")


@pytest.fixture(autouse=True)
def clean(request):
    yield
    if "admin" in request.fixturenames:
        remove_all(request.getfixturevalue("admin"))


# --- Routers and what they join. ---

def router(client, **attributes):
    return client.post("/routers", {"router": attributes})["router"]


def add(client, router, status=200, **what):
    return client.put(f"/routers/{router['id']}/add_router_interface", what, status)


def remove(client, router, status=200, **what):
    return client.put(f"/routers/{router['id']}/remove_router_interface", what, status)


def link(client, cidr="10.0.0.0/24", **attributes):
    """A network with one subnet."""
    network = client.network()
    return network, client.subnet(network, cidr, **attributes)


def outside(admin, cidr="203.0.113.0/24", **attributes):
    """An external network with one subnet."""
    network = admin.network(**{"name": "outside", "router:external": True})
    return network, admin.subnet(network, cidr, enable_dhcp=False, **attributes)


def ports_of(client, router, owner="network:router_interface"):
    return client.get(f"/ports?device_id={router['id']}&device_owner={owner}")["ports"]


def behind(client, network, cidr, **attributes):
    """A router to the external network, with an interface on a subnet."""
    made = router(client, external_gateway_info={"network_id": network["id"]}, **attributes)
    _, subnet = link(client, cidr)
    return made, subnet


# --- Requests at once. ---

def at_once(*calls):
    """Runs all together; returns the answers' (status, body)."""
    results = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index, client, method, path, body):
        session = client.session.__class__()
        session.headers.update(client.session.headers)
        barrier.wait()
        answer = session.request(method, client.server.url + "/v2.0" + path, json=body, timeout=60)
        results[index] = (answer.status_code, answer.json() if answer.content else None)

    threads = [threading.Thread(target=run, args=(index, *call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
