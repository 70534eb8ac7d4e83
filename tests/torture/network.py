"""A network between us and S3 that breaks at random, with a seed, or at a request by number."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tests.proxy import Answer, Proxy

FAULTS = ("503", "reset before", "reset after", "reset in the body", "truncated", "late")
_LATE_SECONDS = 0.2


class Network(Proxy):
    """A proxy in front of an S3 endpoint.

    `rate` is the part of the requests that a fault is drawn for. `at` is called with the number of
    each request and its text ('PUT /bucket/key') before it is passed on, and again after it was,
    before its answer is. While `is_gone`, each connection is closed unanswered.
    """

    def __init__(self, endpoint: str, seed: int = 0, rate: float = 0) -> None:
        super().__init__(endpoint)
        self.rate = rate
        self.at: Callable[[int, str, bool], None] = lambda number, request, is_done: None
        self.is_gone = False
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def meet(self, request: str, pass_on: Callable[[], Answer]) -> Answer | None:
        """Answer a request as the fault that it meets has it."""
        number, fault = self._take()
        self.at(number, request, False)
        if fault in ("gone", "reset before"):
            return None
        if fault == "503":
            return Answer(503)
        if fault == "late":
            time.sleep(_LATE_SECONDS)
        answer = pass_on()
        self.at(number, request, True)
        if fault == "reset after":
            return None
        if fault == "reset in the body":
            return replace(answer, body=answer.body[: len(answer.body) // 2], closes=True)
        if fault == "truncated":
            return replace(answer, body=answer.body[:-1], closes=True)
        return answer

    def _take(self) -> tuple[int, str | None]:
        """Return the number of a request, and the fault that it meets."""
        with self._lock:
            self.requests += 1
            fault = "gone" if self.is_gone else None
            if fault is None and self._random.random() < self.rate:
                fault = self._random.choice(FAULTS)
            if fault:
                self.faults[fault] += 1
            return self.requests, fault
