"""What takes long but needs nobody who looks on: it is run while tests of other folders are."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """A thread in which some fixtures make what they give, one after the other.

    Such a fixture asks `result` for it, and gets it whether it was begun before or not.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._work: dict[str, Future[Any]] = {}

    def begin(self, name: str, work: Callable[[], Any]) -> None:
        """Let a fixture's work begin."""
        self._work[name] = self._pool.submit(work)

    def wait(self) -> None:
        """Wait until all that was begun has ended, well or not."""
        wait(self._work.values())

    def result(self, name: str, work: Callable[[], T]) -> T:
        """Return what came of a fixture's work, or raise what it raised."""
        if name not in self._work:
            return work()
        result: T = self._work[name].result()
        return result
