"""Runs modules of tempest with the plain unittest runner:  tempest_runner.py MODULE...     (TEMPEST_CONFIG is set)

Prints one JSON object a test: {"id", "outcome": "pass" | "fail" | "skip", "reason"}.  What happens to a class (its set-up fails
or is skipped) is said of each of its tests."""

import json
import sys
import types
import unittest

from tempest.lib.services.network import subnets_client

# tempest waits 10 s before it deletes a subnet, for servers that give ports back later than they say.  Ours does not.
subnets_client.time = types.SimpleNamespace(sleep=lambda _: None)


def plain_id(test):
    return test.id().split("[")[0]


def each(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each(item)
        else:
            yield item


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.outcomes = {}

    def note(self, test, outcome, reason=""):
        name = plain_id(test)
        before = self.outcomes.get(name)
        if before is None or before[0] == "pass":  # A failing clean-up after the test counts.
            self.outcomes[name] = (outcome, reason)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, "pass")

    def addError(self, test, error, details=None):
        self.note(test, "fail", self.describe(test, error, details))

    addFailure = addError

    def addSkip(self, test, reason=None, details=None):
        if reason is None and details:
            reason = details["reason"].as_text()
        self.note(test, "skip", str(reason))

    def describe(self, test, error, details):
        if error is not None:
            return self._exc_info_to_string(error, test)
        return "\n".join(content.as_text() for name, content in (details or {}).items() if "traceback" in name)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
    names = [plain_id(test) for test in each(suite)]
    result = Result()
    suite.run(result)
    classes = {}
    for name, outcome in result.outcomes.items():
        if name.startswith(("setUpClass (", "tearDownClass (")):
            classes.setdefault(name.split("(")[1].rstrip(")"), outcome)
    for name in names:
        outcome = result.outcomes.get(name)
        of_class = classes.get(name.rsplit(".", 1)[0])
        if outcome is None or (outcome[0] == "pass" and of_class and of_class[0] == "fail"):
            outcome = of_class or ("fail", "never ran")
        print(json.dumps({"id": name, "outcome": outcome[0], "reason": outcome[1]}), flush=True)
    unused = [name for name in result.outcomes if name not in names and not name.startswith(("setUpClass (", "tearDownClass ("))]
    for name in unused:
        print(json.dumps({"id": name, "outcome": "fail", "reason": result.outcomes[name][1]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
