"""A small server that answers as weft-api does, with what the command line needs: tokens, lists with pages and filters,
errors in Neutron's and Keystone's form.  It records every request."""

import http.server
import json
import socketserver
import threading
import urllib.parse
import uuid

TOKEN = "token-of-alice"


class Api(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests = []
        self.tokens = 0
        self.valid = {TOKEN}
        self.page = 2
        self.objects = {name: [] for name in ("networks", "subnets", "ports", "hosts", "projects", "users", "roles")}
        self.answers = {}
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, kind, **attributes):
        thing = {"id": str(uuid.uuid4()), "name": "", "revision_number": 0, **attributes}
        self.objects[kind].append(thing)
        return thing

    def sent(self, method, path):
        return [body for m, p, body, _ in self.requests if m == method and urllib.parse.urlsplit(p).path == path]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=None, headers=()):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def neutron(self, status, kind, message):
        self.reply(status, {"NeutronError": {"type": kind, "message": message, "detail": ""}})

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/identity/v3/auth/tokens" and self.command == "POST":
            return self.token(body)
        if self.headers.get("X-Auth-Token") not in self.server.valid:
            return self.reply(401, {"error": {"code": 401, "title": "Unauthorized", "message": "The token is not valid."}})
        if (self.command, url.path) in self.server.answers:
            return self.reply(*self.server.answers[self.command, url.path])
        if url.path == "/identity/v3/auth/tokens":
            return self.reply(200, {"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "user": {"id": "u1"},
                                              "project": {"id": "p1"}}})
        for prefix in ("/v2.0/", "/weft/v1/", "/identity/v3/"):
            if url.path.startswith(prefix):
                return self.resource(url, prefix, url.path[len(prefix):].split("/"), body)
        return self.neutron(404, "HTTPNotFound", "no such path")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def token(self, body):
        user = body["auth"]["identity"]["password"]["user"]
        if user["password"] != "secret":
            return self.reply(401, {"error": {"code": 401, "title": "Unauthorized",
                                              "message": "The user name or password is wrong."}})
        self.server.tokens += 1
        catalog = [{"type": "network", "endpoints": [{"interface": "public", "url": self.server.url}]}]
        return self.reply(201, {"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "catalog": catalog}},
                          [("X-Subject-Token", TOKEN)])

    def resource(self, url, prefix, parts, body):
        kind, one = parts[0], parts[0][:-1]
        things = self.server.objects.get(kind)
        if things is None:
            return self.neutron(404, "HTTPNotFound", "no such path")
        if len(parts) == 1 and self.command == "GET":
            return self.listing(url, prefix, kind, things)
        if len(parts) == 1:
            return self.reply(201, {one: self.server.add(kind, **body[one])})
        thing = next((t for t in things if t["id"] == parts[1]), None)
        if thing is None:
            return self.neutron(404, f"{one.title()}NotFound", f"{one.title()} {parts[1]} could not be found.")
        if self.command == "DELETE":
            things.remove(thing)
            return self.reply(204)
        if body:
            thing.update(body[one])
        return self.reply(200, {one: thing})

    def listing(self, url, prefix, kind, things):
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        for key, values in query.items():
            if key not in ("limit", "marker", "fields", "sort_key", "sort_dir", "fixed_ips"):
                things = [t for t in things if str(t.get(key)) in values]
        for value in query.get("fixed_ips", []):
            address = value.removeprefix("ip_address=")
            things = [t for t in things if any(f["ip_address"] == address for f in t.get("fixed_ips", []))]
        ids = [t["id"] for t in things]
        start = ids.index(query["marker"][0]) + 1 if "marker" in query else 0
        limit = int(query["limit"][0]) if "limit" in query else self.server.page
        answer = {kind: things[start:start + limit]}
        if start + limit < len(things):
            link = f"{self.server.url}{prefix}{kind}?limit={limit}&marker={things[start + limit - 1]['id']}"
            answer[f"{kind}_links"] = [{"rel": "next", "href": link}]
        return self.reply(200, answer)


class Agent(socketserver.ThreadingUnixStreamServer):
    """The agent's socket: a line in, a line out; a port becomes active when it is plugged."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), AgentHandler)
        self.path, self.requests, self.ports, self.refuse = str(path), [], [], None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class AgentHandler(socketserver.StreamRequestHandler):
    def handle(self):
        request = json.loads(self.rfile.readline())
        self.server.requests.append(request)
        if request["operation"] == "status":
            answer = {"host": "h1", "api": "connected", "revision": 7, "ports": self.server.ports}
        elif self.server.refuse:
            answer = {"error": self.server.refuse}
        else:
            answer = {"ok": True}
            if request["operation"] == "plug":
                self.server.ports = [{"id": request["port"], "status": "ACTIVE"}]
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Fabric(http.server.ThreadingHTTPServer):
    """Answers as weft-fabric does: what is in 'answers' by method and path (with its query), else 404.  It records every request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FabricHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests, self.answers, self.token = [], {}, None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def get(self, path, body):
        self.answers["GET", path] = (200, body)

    def topology(self, switches, links, hosts=(), n_hosts=None):
        """switches: {id: state}; links: ((id, port), (id, port)[, weight, weight back]); hosts: ((id, port), MAC, [addresses])."""
        def place(at):
            return {"switch": f"0x{at[0]:016x}", "port": at[1]}

        self.get("", {"fabric": {"version": "0.1.0", "role": "equal", "elected": False, "path_mode": "equal-cost", "install": "reactive",
                                 "max_paths": 64, "switches": len(switches), "links": len(links),
                                 "hosts": len(hosts) if n_hosts is None else n_hosts, "flows": 0, "uptime_seconds": 1}})
        self.get("/switches", {"switches": [{"id": f"0x{dpid:016x}", "state": state, "seconds": 12, "n_ports": 4, "n_links": 0,
                                             "n_hosts": n_hosts or 0} for dpid, state in switches.items()]})
        self.get("/links", {"links": [{"from": place(link[0]), "to": place(link[1]), "weight": (*link, 1, 1)[2],
                                       "weight_back": (*link, 1, 1)[3]} for link in links]})
        self.get("/hosts", {"hosts": [{"mac": mac, "vlan": None, "addresses": addresses, "at": place(at), "slice": None, "flows": 0,
                                       "seen_seconds": 0} for at, mac, addresses in hosts]})


class FabricHandler(Handler):
    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.fail(401, "Unauthorized", "The request you have made requires a valid token.")
        answer = self.server.answers.get((self.command, self.path.removeprefix("/fabric/v1")))
        if answer is None:
            return self.fail(404, "NotFound", f"'{self.path}' could not be found.")
        return self.reply(*answer)

    do_GET = do_POST = do_PUT = do_DELETE = serve

    def fail(self, status, kind, message):
        self.reply(status, {"error": {"code": status, "title": "", "type": kind, "message": message}})
