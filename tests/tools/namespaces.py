"""Commands, conditions and network namespaces, for tests and benchmarks alike.  Standard library only: it also runs in the second
kernel's guest."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A command failed, or a condition did not come true."""


def run(*command, check=True, timeout=60, stderr=subprocess.PIPE, **options):
    """Runs a command and returns what it printed; its error output is part of the failure."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=timeout, **options)
    if check and done.returncode:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}{(done.stderr or '')[-2000:]}")
    return done.stdout


def wait_for(condition, what, timeout=60, interval=0.02):
    """Calls 'condition' until it is true, and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(f"waited {timeout:g} s for {what}")
        time.sleep(interval)


def _setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def enter(name):
    """This thread belongs to the namespace from now on."""
    with open(f"/run/netns/{name}", "rb") as there:
        _setns(there.fileno())


@contextlib.contextmanager
def inside(name):
    """Sockets that this thread makes meanwhile belong to the namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(name)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def command_in(name, *command):
    """Enters the network namespace only, so that bpffs stays visible."""
    return ["nsenter", f"--net=/run/netns/{name}", *map(str, command)]


class Namespace:
    """A network namespace: made, used, deleted."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    @property
    def path(self):
        return f"/run/netns/{self.name}"

    def ip(self, *arguments, check=True):
        return run("ip", "-n", self.name, *arguments, check=check)

    def command(self, *command):
        return command_in(self.name, *command)

    def run(self, *command, check=True, **options):
        return run(*self.command(*command), check=check, **options)

    def popen(self, *command, **options):
        return subprocess.Popen(self.command(*command), **options)

    def inside(self):
        return inside(self.name)

    def delete(self):
        run("ip", "netns", "del", self.name, check=False)


def sweep(prefix, folders=()):
    """Removes what runs left behind that were killed: namespaces, with what runs in them, and things in 'folders', whose names are
    'prefix', the id of a process that is gone, and more."""
    def is_left(name):
        owner = re.match(rf"{prefix}(\d+)(?!\d)", name)
        return owner and not os.path.exists(f"/proc/{owner[1]}")

    for namespace in filter(is_left, (line.split()[0] for line in run("ip", "netns", "list").splitlines() if line)):
        for pid in run("ip", "netns", "pids", namespace, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", namespace, check=False)
    for folder in folders:
        for path in pathlib.Path(folder).glob(f"{prefix}*"):
            if is_left(path.name):
                shutil.rmtree(path, ignore_errors=True)
