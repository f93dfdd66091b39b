"""Programs under test that stand still now and then, as on a machine with too much to do: WEFT_STUTTER=1 tests/run netns

Each stops for up to a second, on its own, and goes on for up to a second.  What a test takes for granted right after it waited for something else is
found so.  Tests of losses (tests/run's QUIET) are left out.  Those of what the agent does with packets within a second cannot pass: fragments that it cuts
(test_under_load.py), unless they are few."""

import contextlib
import os
import random
import signal
import threading

WANTED = bool(os.environ.get("WEFT_STUTTER"))
LONGEST_S = 1.0


class Stutter:
    """Of one process, until end(), after which it runs."""

    def __init__(self, process):
        self.process, self.over, self.lock = process, threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self.go_on, daemon=True)
        self.thread.start()

    def go_on(self):
        while not self.over.wait(random.uniform(0, LONGEST_S)) and self.process.poll() is None:
            with self.lock, stopped(self.process):
                self.over.wait(random.uniform(0, LONGEST_S))

    def end(self):
        self.over.set()
        self.thread.join()


@contextlib.contextmanager
def stopped(process):
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
