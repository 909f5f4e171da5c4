"""Clients that ask a service all kinds of things, and remember what became of each request."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field

from tests.small import SHARED, WORDS

JSON = {"Content-Type": "application/json"}
WHILE_DOWN = 0.01  # between two tries to reach a service that is not there


@dataclass
class Clients:
    """Threads that each do what `_client` does until they are left."""

    address: tuple
    clients: int
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list = field(default_factory=list)

    def __enter__(self):
        """Begin."""
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(self.clients)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        """End when each is done with what it has begun."""
        self.stopped.set()
        for thread in self.threads:
            thread.join()


@dataclass
class Load(Clients):
    """What happened, as (time, what): a status, or the name of an error."""

    outcomes: list = field(default_factory=list)
    answered: list = field(default_factory=list)  # request ids of all predictions that were given

    def _client(self, seed):
        """Ask until the end, or until the service says that it closes: then this client goes elsewhere."""
        pick, connection = random.Random(seed), None
        while not self.stopped.is_set():
            try:
                connection = connection or self._connected()
                if connection is None:
                    continue
                said = self._ask(pick, connection)
                if said == "close":
                    return
                if said == "left":
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.outcomes.append((time.monotonic(), type(error).__name__))
                connection = None

    def _connected(self):
        """Return a connection; None if nobody listens, which is no lost request."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.connect()
        except OSError:
            self.stopped.wait(WHILE_DOWN)
            return None
        return connection

    def _ask(self, pick, connection):
        """Ask one thing; return what the answer says about the connection, or "left" if nobody waits for it."""
        kind = pick.choices(("one", "many", "wrong", "explain", "leave"), (80, 10, 5, 3, 2))[0]
        path, body = question(pick, kind)
        connection.request("POST", path, body, JSON)
        if kind == "leave":
            return "left"
        answer = connection.getresponse()
        content = answer.read()
        self.outcomes.append((time.monotonic(), answer.status))
        if answer.status == 200:
            self.answered.append(json.loads(content)["request_id"])
        return answer.headers["Connection"]


def question(pick, kind):
    """Return a path and a body."""
    texts = [" ".join(pick.choices((*WORDS["north"], *WORDS["south"], *SHARED), k=8)) for _ in range(8)]
    if kind == "many":
        return "/predict", json.dumps({"texts": texts})
    if kind == "wrong":
        return "/predict", pick.choice(['{"text": 1}', "[", '{"texts": []}', '{"text": "a", "b": 1}'])
    return "/explain" if kind == "explain" else "/predict", json.dumps({"text": texts[0]})
