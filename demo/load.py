"""A client that asks again and again, each time by a new connection: who answered, and how often nobody did."""

import re

import stage

REQUESTS_A_SECOND = 100


class Load:
    def __init__(self, show, inside, url):
        """'inside': what comes before a command that is to run at the client.  The servers answer "I am NAME"."""
        self.show, self.log = show, show.stage.folder / "load" / "log"
        self.log.parent.mkdir(exist_ok=True)
        command = [*inside, "curl", "-sS", "-N", "--max-time", "10", "-H", "Connection: close", "--rate", f"{REQUESTS_A_SECOND}/s",
                   f"{url}?[1-1000000]"]
        show.show_command(command, end=" &")
        self.process = show.stage.start("load", command, self.log)
        self.wait_for(50)

    def answers(self):
        """The names of those who answered, in order."""
        return re.findall(r"I am ([\w-]+)", self.log.read_text())

    def n_failed(self):
        return len(re.findall(r"^curl: ", self.log.read_text(), re.M))

    def wait_for(self, more, of=None):
        """Until there are so many answers more, of all servers or one."""
        def count():
            return sum(name == of or not of for name in self.answers())
        before = count()
        self.show.wait("the client gets answers", lambda: count() >= before + more)

    def wait_until_all_answer(self):
        """Until for a while no request fails; how many had failed."""
        def quiet():
            before = self.n_failed()
            self.wait_for(50)
            return self.n_failed() == before
        self.show.wait("requests to go to those who answer", quiet)
        return self.n_failed()

    def end(self):
        """How many answers there were, and how many requests failed."""
        stage.end(self.process)
        result = len(self.answers()), self.n_failed()
        self.log.unlink()
        return result
