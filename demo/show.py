"""How a demo tells what it does: chapters, commands as a person would type them, what they said, and whether it is as promised.

A demo derives from Show and lists its chapters; main() plays them and cleans up whatever happens."""

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import stage

BUILD = pathlib.Path(os.environ.get("BUILD", pathlib.Path(__file__).resolve().parent.parent / "build/release")).resolve()
ONCE = os.environ.get("ONCE", "") not in ("", "0")
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class Failed(Exception):
    pass


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def chapter(title, text=""):
    print(f"\n{paint('1;36', title)}", flush=True)
    if text:
        print(paint("2", text))


def good(text):
    print(f"  {paint('32', 'ok')} {text}", flush=True)


def expect(condition, text):
    if not condition:
        raise Failed(text)
    good(text)


class Show:
    def __init__(self, name):
        self.stage = stage.Stage()
        self.prefix = f"{name}{os.getpid()}" if ONCE or pathlib.Path(f"/run/netns/{name}-net").exists() else name
        self.environments = {}
        self.started = time.monotonic()

    def chapters(self):
        raise NotImplementedError

    def stay(self):
        """What the reader may try, until Ctrl-C."""
        raise NotImplementedError

    def ns(self, name):
        return f"{self.prefix}-{name}"

    def enter(self, namespace):
        """Only the network namespace: /sys/fs/bpf stays visible."""
        return ["nsenter", f"--net=/run/netns/{self.ns(namespace)}"]

    # ---- commands, printed and run ---------------------------------------------------------------------------------------

    def show_command(self, words, who="admin", end=""):
        print(f"{paint('33', f'{who:>6}')} {paint('1', '$ ' + shlex.join(map(str, words)) + end)}", flush=True)

    def show_start(self, command):
        self.show_command(command, end=" &")

    def run(self, *command, who="admin", show=True, check=True, quiet=False, timeout=60):
        """Prints a command as a person would type it, runs it and prints what it said."""
        words = [str(word) for word in command]
        self.show_command(words, who)
        result = self.silent(*words, who=who, check=False, timeout=timeout)
        if show and not quiet:
            for line in (result.stdout + result.stderr).rstrip().splitlines():
                print(f"         {line}")
        if check and result.returncode != 0:
            if quiet:
                print(result.stdout + result.stderr)
            raise Failed(f"'{shlex.join(words)}' ended with status {result.returncode}")
        return result.stdout

    def silent(self, *command, who="admin", check=True, timeout=60):
        """The same without printing, to look at the outcome."""
        result = stage.complete(command, timeout, env=self.environment(who))
        if check and result.returncode != 0:
            raise Failed(f"'{shlex.join(map(str, command))}': {result.stdout}{result.stderr}")
        return result.stdout if check else result

    def environment(self, who):
        own = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        path = ":".join([str(BUILD / "src" / program) for program in ("cli", "api", "agent", "controller")])
        return {**own, "PATH": f"{path}:{os.environ['PATH']}", **self.own_environment(), **self.environments.get(who, {})}

    def own_environment(self):
        return {}

    def wait(self, text, condition, timeout_s=60.0):
        end = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > end:
                raise Failed(f"{text}: not within {timeout_s:.0f} s")
            time.sleep(0.1)
        return value

    def alive(self, name, log):
        if self.stage.running[name].poll() is not None:
            raise Failed(f"{name} ended: {log.read_text()[-2000:]}")
        return True

    # ---- from beginning to end -------------------------------------------------------------------------------------------

    def play(self):
        for part in self.chapters():
            begin = time.monotonic()
            part()
            print(paint("2", f"  {time.monotonic() - begin:.1f} s"))
        print(f"\n{paint('1;32', 'Everything shown worked')}, in {time.monotonic() - self.started:.0f} s.", flush=True)

    def clean(self):
        """Also what the reader made by the examples."""
        for name in sorted(pathlib.Path("/run/netns").glob(f"{self.prefix}-*")):
            if name.name not in self.stage.state["namespaces"]:
                self.stage.state["namespaces"].append(name.name)
        self.stage.clean()


def main(kind):
    if os.geteuid() != 0:
        sys.exit("demo: namespaces and eBPF need root: sudo make demo")
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # A shell's background job is started with SIGINT ignored.
        signal.signal(name, stage.interruption)
    n = stage.clean_leftovers()
    if n:
        print(f"Removed what {n} earlier demo{'s' if n > 1 else ''} left behind.")
    demo, status = kind(), 0
    try:
        demo.play()
        if not ONCE:
            demo.stay()
    except KeyboardInterrupt:
        status = 130 if ONCE else 0
    except (Failed, subprocess.SubprocessError, RuntimeError, OSError, ValueError, KeyError) as error:
        said = f"\n{error.stdout}{error.stderr}" if isinstance(error, subprocess.CalledProcessError) else ""
        print(f"\n{paint('1;31', 'failed:')} {error}{said}", flush=True)
        for log in sorted(demo.stage.folder.glob("*/log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            print(f"\n{log}:\n" + "\n".join(f"    {line}" for line in lines))
        status = 1
    finally:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)  # Cleaning up is not interrupted.
        with contextlib.suppress(OSError):  # Whoever read us may be gone.
            print("\nCleaning up.", flush=True)
        demo.clean()
    return status
