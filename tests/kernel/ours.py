"""weft's director on a wire like the one of the second kernel: what it makes of the same table and the same frames."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import second_kernel

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "guest"), str(HERE.parent / "tools")]

import wire  # noqa: E402
from namespaces import sweep, wait_for  # noqa: E402
from xdp_peer import pass_everything  # noqa: E402

BUILD = pathlib.Path(os.environ.get("WEFT_BUILD", second_kernel.ROOT / "build" / "release"))
PREFIX = "wfk"


class Director:
    """weft-agent in the wire's namespace, with the table that 'lines' of ipvsadm make, and the marks that 'rules' of nft give."""

    def __init__(self, on, folder, lines, rules):
        self.on, self.folder = on, pathlib.Path(folder)
        self.config, self.socket = self.folder / "lb.conf", self.folder / "s"
        self.config.write_text(json.dumps({"interfaces": ["eth0"], "services": []}))
        self.ipvsadm("-R", typed="\n".join(lines) + "\n")
        (self.folder / "rules").write_text(rules)
        done = subprocess.run([BUILD / "src/cli/weft", "lb", "import", self.folder / "rules", "--to", self.config], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen(on.director.command(BUILD / "src/agent/weft-agent", "--config", self.config, "--socket", self.socket),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            wait_for(lambda: self._has(lines) or self.process.poll() is not None, "the director to have its services")
            assert self.process.poll() is None, "the director ended"
        except BaseException as error:
            self.close()
            raise AssertionError(f"{error}; the director said:\n{(self.folder / 'log').read_text()[-4000:]}") from error

    def ipvsadm(self, *arguments, typed="", check=True):
        command = [BUILD / "src/cli/weft-ipvsadm", "--config", self.config, "--socket", self.socket, *arguments]
        done = subprocess.run(list(map(str, command)), input=typed, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def ask(self, operation):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.socket))
            connection.sendall(json.dumps({"operation": operation}).encode() + b"\n")
            with connection.makefile() as answer:
                return json.loads(answer.readline())

    def n_drained(self):
        return sum(server["weight"] == 0 for service in self.ask("director")["services"] for server in service["servers"])

    def _has(self, lines):
        try:
            state = self.ask("director")
        except OSError:
            return False
        assert not state["config_error"], state["config_error"]
        return len(state["services"]) == sum(line.startswith("-A") for line in lines)

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        self.on.director.run(BUILD / "src/agent/weft-agent", "--config", self.config, "detach")


def answers(asked):
    """What the director does with {"lines": for ipvsadm, "rules": for nft, "exchanges": as exchange_all() has them, "later": the same once more, of which lines give
    weight 0}, and its counters in between."""
    sweep(PREFIX, [tempfile.gettempdir()])
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    try:
        with wire.Wire(f"{PREFIX}{os.getpid()}", pass_everything) as on:
            director = Director(on, folder, asked["lines"], asked["rules"])
            try:
                exchanged = wire.exchange_all(on, asked["exchanges"])
                counters = director.ipvsadm("-L", "-n", "--stats", "--exact")
                n_drained = director.n_drained() + len(asked["later"]["lines"])
                for line in asked["later"]["lines"]:
                    director.ipvsadm(*line.split())
                wait_for(lambda: director.n_drained() == n_drained, "servers to have weight 0")
                exchanged |= wire.exchange_all(on, asked["later"]["exchanges"])
                return {"exchanges": exchanged, "counters": counters}
            finally:
                director.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
