"""A weft-api of our own on a free loopback port, with an administrator; removed with everything at the end."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "release")) / "src" / "api" / "weft-api"
PASSWORD = "conformance-secret"


class Server:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-conformance-"))
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(PASSWORD + "\n")
        self.log = open(self.folder / "api.log", "wb")
        self.process = subprocess.Popen(
            [str(PROGRAM), "--config=/dev/null", "--listen=127.0.0.1:0", f"--store={self.folder}/weft.db", f"--bootstrap-file={password_file}",
             "--password-operations=1", "--password-memory-kib=1024"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.token = None

    def wait(self):
        line = self.process.stdout.readline()
        if "ready on " not in line:
            raise RuntimeError(f"weft-api did not start: {line} {self.log_text()}")
        self.url = line.split("ready on ")[1].strip()
        return self

    def log_text(self):
        return (self.folder / "api.log").read_text(errors="replace")[-4000:]

    def request(self, method, path, body=None):
        """Returns the decoded answer; an HTTP error raises with the server's message."""
        headers = {"Content-Type": "application/json", **({"X-Auth-Token": self.token} if self.token else {})}
        data = json.dumps(body).encode() if body is not None else None
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=60) as answer:
                text = answer.read()
                self.last_headers = answer.headers
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None

    def log_in(self):
        self.request("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"name": "Default"},
                                                                        "password": PASSWORD}}},
            "scope": {"project": {"name": "admin", "domain": {"name": "Default"}}}}})
        self.token = self.last_headers["X-Subject-Token"]
        return self

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
