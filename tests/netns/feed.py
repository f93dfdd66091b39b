"""The API's side of docs/agent-protocol.md for tests of one agent alone: what it is told is a list of objects.

The server listens inside a network namespace, so that an agent there reaches it on 127.0.0.1."""

import http.server
import json
import queue
import threading

from namespaces import enter


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def answer(self, status, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self):
        feed, body = self.server.feed, self.body()
        with feed.changed:
            feed.statuses.update(body.get("ports", {}))
            feed.changed.notify_all()
        self.answer(204)

    def do_POST(self):
        feed, body = self.server.feed, self.body()
        if self.path.endswith("/join"):
            return self.answer(200, {"credential": "secret", "host": feed.objects[feed.host_id][1]})
        if self.path.endswith("/watch"):
            return self.watch(feed, body.get("digest", {}))
        self.answer(204)

    def watch(self, feed, digest):
        lines = queue.Queue()
        with feed.changed:
            feed.watchers.append(lines)
            for identity in digest:
                if identity not in feed.objects:
                    lines.put({"type": "delete", "kind": "port", "id": identity, "revision": feed.revision})
            for identity, (kind, value, revision) in feed.objects.items():
                if digest.get(identity) != revision:
                    lines.put({"type": "put", "kind": kind, "revision": revision, "object": value})
            lines.put({"type": "commit", "revision": feed.revision})
            lines.put({"type": "synced", "revision": feed.revision})
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                try:
                    line = lines.get(timeout=2)
                except queue.Empty:
                    line = {"type": "keepalive", "revision": feed.revision}
                if line is None:
                    self.close_connection = True
                    return
                data = (json.dumps(line) + "\n").encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
        except OSError:
            pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class Feed:
    def __init__(self, namespace, host_id, port=9696):
        self.namespace, self.host_id, self.port = namespace, host_id, port
        self.objects = {}  # id -> (kind, object, revision)
        self.revision = 0
        self.statuses = {}
        self.watchers = []
        self.changed = threading.Condition()
        self.server = None

    def start(self):
        ready = threading.Event()

        def run():
            enter(self.namespace)
            self.server = _Server(("127.0.0.1", self.port), _Handler)
            self.server.feed = self
            ready.set()
            self.server.serve_forever(poll_interval=0.1)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        if not ready.wait(60):
            raise RuntimeError("the test's API did not start")

    def stop(self):
        """Nobody answers any more, and the watch streams end."""
        if not self.server:
            return
        with self.changed:
            for lines in self.watchers:
                lines.put(None)
            self.watchers.clear()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(60)
        self.server = None

    def put(self, *changes):
        """(kind, object) pairs, committed together."""
        with self.changed:
            self.revision += 1
            for kind, value in changes:
                self.objects[value["id"]] = (kind, value, self.revision)
                for lines in self.watchers:
                    lines.put({"type": "put", "kind": kind, "revision": self.revision, "object": value})
            for lines in self.watchers:
                lines.put({"type": "commit", "revision": self.revision})
            return self.revision

    def wait_active(self, port_id, deadline_s=60):
        with self.changed:
            if not self.changed.wait_for(lambda: self.statuses.get(port_id) == "ACTIVE", deadline_s):
                raise TimeoutError(f"port {port_id} is {self.statuses.get(port_id)} after {deadline_s} s")
