"""Identity v3: tokens, projects, users, roles, passwords."""

import http.client
import json
import os
import pathlib
import re
import subprocess
import time

import pytest
import requests

from conftest import PASSWORD, Client, Server

V3 = "/identity/v3"


def unique(name):
    unique.n = getattr(unique, "n", 0) + 1
    return f"{name}-{unique.n}"


def test_versions_are_listed_without_a_token(server):
    answer = requests.get(server.url + "/identity", timeout=60)
    assert answer.status_code == 300
    version = answer.json()["versions"]["values"][0]
    assert version["id"].startswith("v3") and version["links"][0]["href"] == server.url + "/identity/v3/"
    for path in ("/identity/v3", "/identity/v3/", "/v3"):
        assert requests.get(server.url + path, timeout=60).json()["version"]["id"] == version["id"]


def test_scoped_token_has_roles_and_catalogue(server):
    answer = server.login()
    token = answer.json()["token"]
    assert answer.status_code == 201 and len(answer.headers["X-Subject-Token"]) == 43
    assert answer.headers["X-Openstack-Request-Id"].startswith("req-")
    assert token["project"]["name"] == "admin" and token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert {role["name"] for role in token["roles"]} == {"admin", "member", "reader"}
    catalogue = {service["type"]: service for service in token["catalog"]}
    assert {e["interface"] for e in catalogue["network"]["endpoints"]} == {"public", "internal", "admin"}
    assert {e["url"] for e in catalogue["network"]["endpoints"]} == {server.url}
    assert {e["url"] for e in catalogue["identity"]["endpoints"]} == {server.url + "/identity"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", token["expires_at"])


def test_unscoped_token_becomes_scoped(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    admin.user(name, project=project)
    unscoped = server.login(name, "pw-of-user", None)
    assert unscoped.status_code == 201 and "project" not in unscoped.json()["token"] and "catalog" not in unscoped.json()["token"]
    text = unscoped.headers["X-Subject-Token"]
    client = Client(server.url, {"X-Auth-Token": text})
    assert [p["id"] for p in client("GET", f"{V3}/auth/projects", status=200)["projects"]] == [project["id"]]
    client("GET", "/v2.0/networks", status=403)
    scoped = requests.post(server.url + f"{V3}/auth/tokens", timeout=60, json={
        "auth": {"identity": {"methods": ["token"], "token": {"id": text}}, "scope": {"project": {"id": project["id"]}}}})
    assert scoped.status_code == 201
    assert scoped.json()["token"]["expires_at"] == unscoped.json()["token"]["expires_at"]
    assert [r["name"] for r in scoped.json()["token"]["roles"]] == ["member"]
    Client(server.url, {"X-Auth-Token": scoped.headers["X-Subject-Token"]})("GET", "/v2.0/networks", status=200)


def test_token_is_shown_checked_and_revoked(server, admin):
    text = server.token()
    headers = {"X-Subject-Token": text}
    shown = admin("GET", f"{V3}/auth/tokens", headers=headers)
    assert shown.status_code == 200 and shown.headers["X-Subject-Token"] == text and shown.json()["token"]["catalog"]
    head = admin("HEAD", f"{V3}/auth/tokens", headers=headers)
    assert head.status_code == 200 and not head.content
    admin("DELETE", f"{V3}/auth/tokens", headers=headers, status=204)
    admin("GET", f"{V3}/auth/tokens", headers=headers, status=404)
    assert Client(server.url, {"X-Auth-Token": text})("GET", "/v2.0/networks").status_code == 401


def test_token_of_another_user_is_not_shown(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    admin.user(name, project=project)
    client = server.client(name, "pw-of-user", project["name"])
    assert client("GET", f"{V3}/auth/tokens", headers={"X-Subject-Token": server.token()}).status_code == 403


@pytest.mark.parametrize("user,password,project", [("admin", "wrong", "admin"), ("nobody", PASSWORD, "admin"), ("admin", PASSWORD, "no-project"),
                                                   ("admin", "", "admin")])
def test_wrong_login_is_401_and_says_no_more(server, user, password, project):
    answer = server.login(user, password, project)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "The request you have made requires authentication."
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{server.url}/identity"'


@pytest.mark.parametrize("auth,field", [
    (None, "auth"), ([], "auth"), ({}, "auth.identity"), ({"identity": {"methods": "password"}}, "auth.identity.methods"),
    ({"identity": {"methods": []}}, "auth.identity.methods"),
    ({"identity": {"methods": [1]}}, "auth.identity.methods[0]"),
    ({"identity": {"methods": ["password"]}}, "auth.identity.password.user.password"),
    ({"identity": {"methods": ["password"], "password": {"user": {"name": "x", "password": "x"}}}}, "auth.identity.password.user"),
    ({"identity": {"methods": ["password"], "password": {"user": {"name": 1, "password": "x", "domain": {"id": "default"}}}}},
     "auth.identity.password.user"),
    ({"identity": {"methods": ["password"], "password": {"user": {"name": "x" * 9, "password": "y" * 2000, "domain": {"id": "default"}}}}},
     "auth.identity.password.user.password"),
    ({"identity": {"methods": ["token"], "token": {}}}, "auth.identity.token.id"),
    ({"identity": {"methods": ["password"], "password": {"user": {"id": "x", "password": "x"}}}, "scope": 3}, "auth.scope"),
    ({"identity": {"methods": ["password"], "password": {"user": {"id": "x", "password": "x"}}}, "scope": {"system": {}}}, "auth.scope"),
])
def test_malformed_login_names_the_field(server, auth, field):
    answer = requests.post(server.url + f"{V3}/auth/tokens", json={"auth": auth}, timeout=60)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].startswith(field + ":"), answer.text


def test_failed_logins_are_slowed_for_that_user_and_address_only(start, folder):
    server = start(store="memory")
    admin = server.client()
    project = admin.project("p")
    admin.user("victim", project=project)
    statuses = [server.login("victim", f"guess {i}", "p").status_code for i in range(12)]
    assert statuses[:9] == [401] * 9 and statuses[-1] == 429, statuses
    limited = server.login("victim", "pw-of-user", "p")
    assert limited.status_code == 429 and int(limited.headers["Retry-After"]) >= 1
    assert server.login().status_code == 201, "another user is not concerned"
    metrics = requests.get(server.metrics_url + "/metrics", timeout=60).text
    assert "weft_identity_failed_logins_total 1" in metrics


def test_guesses_at_the_original_password_count_as_failed_logins(start):
    server = start(store="memory")
    admin = server.client()
    project = admin.project("p")
    user = admin.user("u", project=project)
    client = server.client("u", "pw-of-user", "p")
    def change(original):
        return client("POST", f"{V3}/users/{user['id']}/password", {"user": {"original_password": original, "password": "new"}}).status_code
    assert [change(f"guess {i}") for i in range(12)][-1] == 429
    assert change("pw-of-user") == 429 and server.login("u", "pw-of-user", "p").status_code == 429


def begin_post(server, path, body, token=None):
    """Sends a request whole and leaves; what is sent after this on another connection is read after it."""
    host, _, port = server.url.split("//")[1].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("POST", path, json.dumps(body), {"X-Auth-Token": token} if token else {})
    return connection


def test_what_changes_while_a_password_is_hashed_is_not_undone(start):
    server = start("--password-operations", "8", "--password-memory-kib", "65536", store="memory")
    admin = server.client()
    project = admin.project("p")
    user = admin.user("u", project=project)
    token = server.token("u", "pw-of-user", "p")
    path = f"{V3}/users/{user['id']}"
    slow = begin_post(server, path + "/password", {"user": {"original_password": "pw-of-user", "password": "new"}}, token)
    admin("PATCH", path, {"user": {"enabled": False, "description": "left us"}}, 200)
    assert slow.getresponse().status == 401, "the token ended with the user"
    after = admin("GET", path, status=200)["user"]
    assert not after["enabled"] and after["description"] == "left us"


def test_a_login_under_way_does_not_outlive_the_end_of_tokens(start):
    server = start("--password-operations", "8", "--password-memory-kib", "65536", store="memory")
    admin = server.client()
    project = admin.project("p")
    user = admin.user("u", project=project)
    slow = begin_post(server, f"{V3}/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {
        "user": {"id": user["id"], "password": "pw-of-user"}}}}})
    admin("PATCH", f"{V3}/users/{user['id']}", {"user": {"enabled": False}}, 200)
    admin("PATCH", f"{V3}/users/{user['id']}", {"user": {"enabled": True}}, 200)
    assert slow.getresponse().status == 401
    assert server.login("u", "pw-of-user", "p").status_code == 201


def test_users_are_not_found_by_their_hashes(server, admin):
    assert len(admin("GET", f"{V3}/users?_password=x", status=200)["users"]) >= 1, "not a filter"


def test_expired_token_is_refused(start):
    server = start("--token-seconds", "2", store="memory")

    def is_taken(client):
        return client("GET", f"{V3}/auth/projects").status_code == 200

    for _ in range(20):  # On a busy machine one may be over before it is used.
        client = Client(server.url, {"X-Auth-Token": server.token()})
        if is_taken(client):
            break
    else:
        pytest.fail("no token was ever taken")
    deadline = time.monotonic() + 60
    while is_taken(client):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_users_tokens_and_passwords_survive_a_restart(start, folder):
    server = start()
    admin = server.client()
    project = admin.project("kept")
    admin.user("kept", project=project)
    token = server.token("kept", "pw-of-user", "kept")
    server.kill()
    server.start()
    Client(server.url, {"X-Auth-Token": token})("GET", "/v2.0/networks", status=200)
    assert server.login("kept", "pw-of-user", "kept").status_code == 201
    stored = b"".join(path.read_bytes() for path in folder.glob("weft.db*"))
    assert token.encode() not in stored and b"pw-of-user" not in stored and b"$argon2id$" in stored
    assert (folder / "weft.db").stat().st_mode & 0o077 == 0


def test_generated_password_is_printed_once(folder):
    from conftest import BUILD
    command = [BUILD / "src/api/weft-api", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--store", str(folder / "a.db")]
    outputs = []
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = []
        while not lines or "ready on" not in lines[-1]:
            lines.append(process.stdout.readline())
        if not outputs:
            password = lines[0].split("is: ")[1].strip()
            running = Server(folder)
            running.url = lines[-1].split("ready on ")[1].strip()
            assert running.login("admin", password).status_code == 201
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
        outputs.append(lines)
    assert len(outputs[0]) == 2 and len(outputs[1]) == 1


def test_changed_password_and_disabled_user_end_tokens(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    user = admin.user(name, project=project)
    client = server.client(name, "pw-of-user", project["name"])
    client("POST", f"{V3}/users/{user['id']}/password", {"user": {"original_password": "wrong", "password": "new"}}, 401)
    client("POST", f"{V3}/users/{user['id']}/password", {"user": {"original_password": "pw-of-user", "password": "new one"}}, 204)
    client("GET", "/v2.0/networks", status=401)
    assert server.login(name, "pw-of-user", project["name"]).status_code == 401
    client = server.client(name, "new one", project["name"])
    admin("PATCH", f"{V3}/users/{user['id']}", {"user": {"enabled": False}}, 200)
    client("GET", "/v2.0/networks", status=401)
    assert server.login(name, "new one", project["name"]).status_code == 401
    admin("PATCH", f"{V3}/users/{user['id']}", {"user": {"enabled": True, "password": "third"}}, 200)
    client("GET", "/v2.0/networks", status=401)
    server.client(name, "third", project["name"])("GET", "/v2.0/networks", status=200)


def test_role_taken_away_works_at_once(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    user = admin.user(name, project=project)
    role = admin("GET", f"{V3}/roles?name=member", status=200)["roles"][0]["id"]
    client = server.client(name, "pw-of-user", project["name"])
    path = f"{V3}/projects/{project['id']}/users/{user['id']}/roles/{role}"
    admin("HEAD", path, status=204)
    admin("DELETE", path, status=204)
    client("GET", "/v2.0/networks", status=403)
    admin("HEAD", path, status=404)
    admin("DELETE", path, status=404)
    assert server.login(name, "pw-of-user", project["name"]).status_code == 401


def test_deleted_project_takes_its_assignments_and_tokens(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    user = admin.user(name, project=project)
    client = server.client(name, "pw-of-user", project["name"])
    admin("DELETE", f"{V3}/projects/{project['id']}", status=204)
    client("GET", "/v2.0/networks", status=401)
    assert admin("GET", f"{V3}/role_assignments?user.id={user['id']}", status=200)["role_assignments"] == []
    admin("GET", f"{V3}/projects/{project['id']}", status=404)
    admin.project(project["name"])


def test_reader_reads_and_does_not_write(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    admin.user(name, project=project, role="reader")
    client = server.client(name, "pw-of-user", project["name"])
    client("GET", "/v2.0/networks", status=200)
    assert "member" in client("POST", "/v2.0/networks", {"network": {}}, 403)["NeutronError"]["message"]


def test_names_are_unique_and_filter(server, admin):
    project = admin.project(unique("p"), description="one")
    admin("POST", f"{V3}/projects", {"project": {"name": project["name"]}}, 409)
    assert [p["id"] for p in admin("GET", f"{V3}/projects?name={project['name']}", status=200)["projects"]] == [project["id"]]
    assert admin("GET", f"{V3}/projects?name=no-such", status=200)["projects"] == []
    other = unique("other")
    assert admin("PATCH", f"{V3}/projects/{project['id']}", {"project": {"name": other, "description": "two"}}, 200)["project"]["description"] == "two"
    again = admin.project(project["name"])
    admin("PATCH", f"{V3}/projects/{again['id']}", {"project": {"name": other}}, 409)


def test_user_keeps_what_was_given_and_hides_the_password(server, admin):
    user = admin("POST", f"{V3}/users", {"user": {"name": unique("u"), "password": "x", "email": "a@example.org", "description": "d"}}, 201)["user"]
    assert user["email"] == "a@example.org" and user["domain_id"] == "default" and user["enabled"] is True
    assert not [key for key in user if "password" in key and key != "password_expires_at"] and not [key for key in user if key[0] == "_"]
    user = admin("PATCH", f"{V3}/users/{user['id']}", {"user": {"email": None}}, 200)["user"]
    assert "email" not in user
    admin("DELETE", f"{V3}/users/{user['id']}", status=204)
    admin("GET", f"{V3}/users/{user['id']}", status=404)


@pytest.mark.parametrize("kind,body,field", [
    ("project", {}, "name"), ("project", {"name": ""}, "name"), ("project", {"name": 7}, "name"), ("project", {"name": "x" * 65}, "name"),
    ("project", {"name": "x", "enabled": "yes"}, "enabled"), ("project", {"name": "x", "description": 1}, "description"),
    ("user", {"name": "x", "password": 5}, "password"), ("user", {"name": "x", "_password": "x"}, "_password"),
    ("user", {"name": "x", "options": {"a": 1}}, "options"), ("role", {"name": None}, "name"),
])
def test_malformed_resource_names_the_field(admin, kind, body, field):
    answer = admin("POST", f"{V3}/{kind}s", {kind: body})
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith(field + ":"), answer.text


def test_others_may_not_administer(server, admin):
    project = admin.project(unique("p"))
    name = unique("u")
    user = admin.user(name, project=project)
    client = server.client(name, "pw-of-user", project["name"])
    for method, path in [("GET", "/projects"), ("POST", "/projects"), ("GET", "/users"), ("POST", "/users"), ("GET", "/roles"),
                         ("DELETE", f"/projects/{project['id']}"), ("PATCH", f"/users/{user['id']}"), ("GET", "/role_assignments"),
                         ("DELETE", f"/users/{user['id']}")]:
        assert client(method, V3 + path, {} if method in ("POST", "PATCH") else None).status_code == 403, (method, path)
    client("GET", f"{V3}/users/{user['id']}", status=200)
    client("GET", f"{V3}/projects/{project['id']}", status=200)
    client("GET", f"{V3}/users/{user['id']}/projects", status=200)
    client("GET", f"{V3}/role_assignments?user.id={user['id']}", status=200)


def openstack(server, *arguments, user="admin", password=PASSWORD, project="admin"):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(server.folder), "OS_AUTH_URL": server.url + "/identity", "OS_USERNAME": user,
                   "OS_PASSWORD": password, "OS_PROJECT_NAME": project, "OS_USER_DOMAIN_ID": "default",
                   "OS_PROJECT_DOMAIN_ID": "default", "OS_IDENTITY_API_VERSION": "3"}
    done = subprocess.run(["/usr/bin/openstack", *arguments], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"openstack {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.skipif(not pathlib.Path("/usr/bin/openstack").exists(), reason="python3-openstackclient is not installed")
def test_openstack_client_administers(server):
    """Each command that an administrator uses, as the client sends it."""
    assert len(openstack(server, "token", "issue", "-f", "value", "-c", "id").strip()) == 43
    project = openstack(server, "project", "create", "cli", "-f", "value", "-c", "id").strip()
    assert "cli" in openstack(server, "project", "list", "-f", "value")
    openstack(server, "user", "create", "--password", "secret", "--email", "u@example.org", "cli-user")
    openstack(server, "role", "add", "--project", "cli", "--user", "cli-user", "member")
    assert "cli-user" in openstack(server, "role", "assignment", "list", "--project", "cli", "--names", "-f", "value")
    assert "admin" in openstack(server, "role", "list", "-f", "value")
    assert "network" in openstack(server, "catalog", "list", "-f", "value")
    assert server.url in openstack(server, "endpoint", "list", "-f", "value")
    assert "neutron" in openstack(server, "service", "list", "-f", "value")
    openstack(server, "user", "set", "--password", "secret2", "cli-user")
    token = openstack(server, "token", "issue", "-f", "value", "-c", "id", user="cli-user", password="secret2", project="cli").strip()
    openstack(server, "token", "revoke", token)
    openstack(server, "project", "set", "--description", "changed", "cli")
    assert openstack(server, "project", "show", "cli", "-f", "value", "-c", "description").strip() == "changed"
    assert "Default" in openstack(server, "domain", "list", "-f", "value")
    openstack(server, "role", "remove", "--project", "cli", "--user", "cli-user", "member")
    openstack(server, "user", "delete", "cli-user")
    openstack(server, "project", "delete", project)
    assert "cli" not in openstack(server, "project", "list", "-f", "value")


def test_no_auth_is_not_for_web_pages(start):
    """A page from anywhere can make a browser send this to a loopback address, body and all, without asking."""
    server = start("--no-auth", store="memory")
    page = {"Origin": "https://elsewhere.example", "Content-Type": "text/plain"}
    answer = requests.post(server.url + "/v2.0/networks", data='{"network": {}}', headers=page, timeout=60)
    assert answer.status_code == 403 and "https://elsewhere.example" in answer.text
    assert requests.get(server.url + "/v2.0/networks", timeout=60).json()["networks"] == []


def test_no_auth_serves_everybody_on_loopback_only(start, folder):
    from conftest import BUILD
    server = start("--no-auth", store="memory")
    network = Client(server.url, {}).network("open")
    assert network["project_id"]
    refused = subprocess.run([BUILD / "src/api/weft-api", "--config", "/dev/null", "--listen", "0.0.0.0:0", "--store", "memory", "--no-auth"],
                             capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0 and "loopback" in refused.stderr
