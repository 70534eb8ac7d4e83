"""A network in front of S3 that fails on command, or lets something happen at a given request."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.proxy import Answer, Proxy


@dataclass
class Rule:
    """What becomes of the next so many requests that look like this: 'PUT /bucket/prefix/key'."""

    request: re.Pattern[str]
    times: int
    # A status; None: the connection is closed; or what happens before it is passed on.
    answer: int | Callable[[], None] | None


class FailingS3(Proxy):
    """Passes everything on, unless a rule says otherwise."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def answer(self, request: str, status: int | None, times: int) -> None:
        """Answer the next requests of this pattern with a status, or (None) close on them."""
        self._rules.append(Rule(re.compile(request), times, status))

    def before(self, request: str, happens: Callable[[], None]) -> None:
        """Let something happen just before the next request of this pattern is passed on."""
        self._rules.append(Rule(re.compile(request), 1, happens))

    def is_used_up(self) -> bool:
        """Say whether all that was to fail or happen has."""
        return not any(rule.times for rule in self._rules)

    def meet(self, request: str, pass_on: Callable[[], Answer]) -> Answer | None:
        """Answer as the first rule says that this request fits."""
        rule = self._take(request)
        if rule is None:
            return pass_on()
        if callable(rule.answer):
            rule.answer()
            return pass_on()
        return None if rule.answer is None else Answer(rule.answer)

    def _take(self, request: str) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.times and rule.request.search(request):
                    rule.times -= 1
                    return rule
        return None
