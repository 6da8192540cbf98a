"""What a socket's thread hears, to be read in order by the scenario."""

import json
import logging
import queue
import time

from support.steps import Mismatch

# They warn of each close that a scenario asks for.
logging.getLogger("binance").setLevel(logging.ERROR)


class Inbox:
    """A callback `(socket, text)` of the older connectors."""

    def __init__(self):
        self._messages = queue.Queue()

    def __call__(self, _socket, text):
        self._messages.put(json.loads(text))

    def until(self, what, wanted, seconds=5):
        """The first message that is wanted; what came before it is dropped."""
        deadline = time.monotonic() + seconds
        last = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                last = self._messages.get(timeout=left)
            except queue.Empty:
                break
            if wanted(last):
                return last
        raise Mismatch(what, f"a message within {seconds} s", f"the last was {last}")

    def answer(self, number):
        """The answer to the request of this id."""
        return self.until(f"answer to {number}", lambda message: message.get("id") == number)

    def event(self, kind):
        return self.until(kind, lambda message: message.get("e") == kind)
