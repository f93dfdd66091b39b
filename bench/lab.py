"""Namespaces, cables and programs for a measurement, all of them gone at the end, also after a failure or Ctrl-C."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "tools"))

from namespaces import Failed, Namespace, command_in, run, sweep, wait_for  # Also for those who import this.

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))


PREFIX = "wb"  # Then the process id: whose it is.


class Lab:
    """Everything is named after this process, so several may run at once."""

    def __init__(self):
        self.prefix = f"{PREFIX}{os.getpid()}"
        self.namespaces, self.processes, self.undo = [], [], []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-bench-"))
        sweep(PREFIX, ["/sys/fs/bpf/weft"])

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        return self

    def __exit__(self, *_):
        for step in reversed(self.undo):
            try:
                step()
            except Exception as error:  # The rest is still to be removed.
                print(f"cleaning up: {error}")
        for process in reversed(self.processes):
            self.stop(process)
        for namespace in reversed(self.namespaces):
            namespace.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def namespace(self, name):
        namespace = Namespace(f"{self.prefix}-{name}")
        self.namespaces.append(namespace)
        return namespace.name

    def cable(self, first, first_device, second, second_device, mtu=1500):
        """A veth pair between two namespaces, both ends up."""
        run("ip", "link", "add", first_device, "netns", first, "mtu", mtu, "type", "veth", "peer", "name", second_device, "netns",
            second, "mtu", mtu)
        for namespace, device in ((first, first_device), (second, second_device)):
            run("ip", "-n", namespace, "link", "set", device, "up")

    def address(self, namespace, device, *addresses):
        for address in addresses:
            extra = ["nodad"] if ":" in address else []
            run("ip", "-n", namespace, "addr", "add", address, "dev", device, *extra)

    def start(self, *command, namespace=None, ready=None, log=None, env=None, deadline_s=20):
        """Starts a program (in a namespace: only the network is entered, the mounts stay).  'ready': a line it prints."""
        command = command_in(namespace, *command) if namespace else [str(part) for part in command]
        log = None if ready else self.folder / (log or f"{pathlib.Path(command[-1]).name}.log")
        out = open(log, "ab") if log else subprocess.PIPE
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        process.log = log
        self.processes.append(process)
        if ready:
            line = process.stdout.readline().decode()
            if ready not in line:
                raise Failed(f"{' '.join(command)} said {line!r} instead of {ready!r}")
        else:
            out.close()
        return process

    def stop(self, process, by=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(by)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
