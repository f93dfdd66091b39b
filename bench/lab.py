"""Namespaces, cables and programs for a measurement, all of them gone at the end, also after a failure or Ctrl-C."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))


PREFIX = "wb"  # Then the process id: whose it is.


class Failed(Exception):
    pass


def run(*command, check=True, timeout=60, **options):
    """Runs a command; its output is in the exception when it fails."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


def wait_for(condition, what, deadline_s=20, step_s=0.01):
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {deadline_s} s")
        time.sleep(step_s)


def sweep():
    """Takes away what a run left that was killed with -9: its namespaces with what runs in them, and its pins."""
    def is_left(name):
        owner = re.match(rf"{PREFIX}(\d+)-", name)
        return owner and not pathlib.Path("/proc", owner.group(1)).exists()

    for namespace in filter(is_left, (line.split()[0] for line in run("ip", "netns", "list").splitlines() if line)):
        for pid in run("ip", "netns", "pids", namespace, check=False).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        run("ip", "netns", "del", namespace, check=False)
    for pins in filter(lambda path: is_left(path.name), pathlib.Path("/sys/fs/bpf/weft").glob(f"{PREFIX}*")):
        shutil.rmtree(pins, ignore_errors=True)


class Lab:
    """Everything is named after this process, so several may run at once."""

    def __init__(self):
        self.prefix = f"{PREFIX}{os.getpid()}"
        self.namespaces, self.processes, self.undo = [], [], []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-bench-"))

        sweep()

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
        for name in reversed(self.namespaces):
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def namespace(self, name):
        full = f"{self.prefix}-{name}"
        run("ip", "netns", "add", full)
        self.namespaces.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        return full

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
        command = [str(part) for part in command]
        if namespace:
            command = ["nsenter", f"--net=/run/netns/{namespace}", *command]
        out = open(self.folder / (log or f"{pathlib.Path(command[-1]).name}.log"), "ab") if not ready else subprocess.PIPE
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
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
