"""What the demo stands on: namespaces, devices and processes, all written down before they are made, so that they can be
removed also after a crash.

    root namespace ---- management bridge ---- API
                           |    |    |
                           h1   h2   h3          three hosts, each a namespace with its own agent
                           |    |    |
                        underlay bridge          what the tunnels between them run over

Everything made is recorded in /run/weft-demo/<process id>/state.json.  The next start removes what a dead one left."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path("/run/weft-demo")
PINS = pathlib.Path("/sys/fs/bpf/weft-demo")
LAB = pathlib.Path("/run/weft-lab")  # Where 'weft lab' keeps what DHCP clients call.


class Interruption:
    """Ctrl-C and its like become KeyboardInterrupt, but not between a program's start and the note that it runs: there they wait."""

    def __init__(self):
        self.held = self.pending = False

    def __call__(self, *_):
        if self.held:
            self.pending = True
        else:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def wait(self):
        outer, self.held = self.held, True
        try:
            yield
        finally:
            self.held = outer
        if self.pending and not outer:
            self.pending = False
            raise KeyboardInterrupt


interruption = Interruption()
started = []  # What start() has started and may still run.


def start(command, **options):
    """A program with a session of its own, so that it and what it starts are ended together.  end_started() finds it, whenever we are
    interrupted."""
    with interruption.wait():
        started[:] = [process for process in started if process.poll() is None]
        process = subprocess.Popen([str(part) for part in command], start_new_session=True, **{"stdin": subprocess.DEVNULL, **options})
        started.append(process)
    return process


def end(process):
    """Ends a program, and what it has started, unless it has ended by itself."""
    if process.poll() is not None:
        return
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
        except ProcessLookupError:
            pass  # It and all that it had started have ended.
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            pass


def end_started():
    for process in started:
        end(process)
    started.clear()


def complete(command, timeout=60, **options):
    """subprocess.run() of what start() starts, its output as text."""
    process = start(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, errors = process.communicate(timeout=timeout)
    except BaseException:
        end(process)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def run(*command, check=True, timeout=60):
    result = complete(command, timeout)
    if check:
        result.check_returncode()
    return result


def start_time(pid):
    """Tells a process from a later one with the same id."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


class Stage:
    def __init__(self):
        self.folder = ROOT / str(os.getpid())
        self.state = {"owner": [os.getpid(), start_time(os.getpid())], "namespaces": [], "links": [], "processes": [],
                      "pins": []}
        self.running = {}

    # ---- writing down ------------------------------------------------------------------------------------------------

    def record(self, kind, thing):
        self.state[kind].append(thing)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.folder / ".state.json"
        temporary.write_text(json.dumps(self.state))
        temporary.rename(self.folder / "state.json")

    # ---- making ------------------------------------------------------------------------------------------------------

    def namespace(self, name):
        if pathlib.Path("/run/netns", name).exists():
            raise RuntimeError(f"there is a namespace '{name}' already, not made by this demo")
        self.record("namespaces", name)
        run("ip", "netns", "add", name)
        run("ip", "-netns", name, "link", "set", "lo", "up")

    def cable(self, namespace, device, bridge_namespace, bridge, address, port):
        """A veth from 'device' in 'namespace' (None: the root namespace) into a bridge."""
        if namespace is None:
            self.record("links", device)
        where = ["netns", namespace if namespace else os.getpid()]
        run("ip", "-netns", bridge_namespace, "link", "add", "name", port, "type", "veth", "peer", "name", device, *where)
        run("ip", "-netns", bridge_namespace, "link", "set", port, "master", bridge, "up")
        inside = ["-netns", namespace] if namespace else []
        run("ip", *inside, "address", "add", address, "dev", device)
        run("ip", *inside, "link", "set", device, "up")

    def bridge(self, namespace, name):
        run("ip", "-netns", namespace, "link", "add", "name", name, "type", "bridge", "mcast_snooping", "0")
        run("ip", "-netns", namespace, "link", "set", name, "up")

    def wire(self, namespace, device, other_namespace, other_device):
        """A veth between two namespaces, up."""
        run("ip", "-netns", namespace, "link", "add", "name", device, "type", "veth", "peer", "name", other_device, "netns", other_namespace)
        for place, end in ((namespace, device), (other_namespace, other_device)):
            run("ip", "-netns", place, "link", "set", end, "up")

    def start(self, name, command, log, output=None):
        """Starts a program of ours and remembers it; what it says goes to 'log', or its standard output to 'output'."""
        with open(log, "ab") as out, open(output or log, "ab") as standard, interruption.wait():
            process = start(command, stdout=standard, stderr=out)
            self.running[name] = process
            self.record("processes", [process.pid, start_time(process.pid)])
        return process

    # ---- removing ----------------------------------------------------------------------------------------------------

    def clean(self):
        end_started()
        remove(self.state, self.folder)


def end_processes(processes):
    """Ends exactly the processes recorded, each by its id."""
    def alive():
        return [pid for pid, started in processes if started is not None and start_time(pid) == started]

    for signal_number, wait_s in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        for pid in alive():
            try:
                os.kill(pid, signal_number)
            except ProcessLookupError:
                pass
        end = time.monotonic() + wait_s
        while alive() and time.monotonic() < end:
            for pid in alive():
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            time.sleep(0.02)


def inside(namespace):
    """Processes in a namespace of ours."""
    result = run("ip", "netns", "pids", namespace, check=False)
    return [[int(pid), start_time(int(pid))] for pid in result.stdout.split()] if result.returncode == 0 else []


def remove(state, folder):
    processes = list(state["processes"])
    for namespace in state["namespaces"]:
        processes += inside(namespace)
    end_processes([entry for entry in processes if entry[0] != os.getpid()])
    for namespace in reversed(state["namespaces"]):
        run("ip", "netns", "delete", namespace, check=False)
        (LAB / namespace).unlink(missing_ok=True)
    for link in state["links"]:
        run("ip", "link", "delete", link, check=False)
    for pin in state["pins"]:
        shutil.rmtree(pin, ignore_errors=True)
        for lock in pathlib.Path("/run/weft").glob("lock" + pin.replace("/", "_") + "*"):
            lock.unlink(missing_ok=True)
    for parent in (PINS, LAB):
        try:
            parent.rmdir()
        except OSError:
            pass  # Others are there.
    shutil.rmtree(folder, ignore_errors=True)


def clean_leftovers():
    """Removes what a demo left that did not live to do it.  Returns how many there were."""
    n = 0
    for folder in ROOT.glob("*"):
        try:
            state = json.loads((folder / "state.json").read_text())
        except (OSError, ValueError):
            continue
        pid, started = state["owner"]
        if started is not None and start_time(pid) == started:
            continue
        remove(state, folder)
        n += 1
    return n


def other_demo_runs():
    return any(folder.name != str(os.getpid()) for folder in ROOT.glob("*"))
