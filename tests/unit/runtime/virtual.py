"""An event loop whose time is ours: it jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoWait(selectors.DefaultSelector):
    """A selector that never waits, but tells how long it was asked to."""

    asked: float | None = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.asked = timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while code runs, and jumps when every task waits."""

    def __init__(self) -> None:
        self._moment = 1000.0
        self._no_wait = _NoWait()
        super().__init__(self._no_wait)

    def time(self) -> float:
        return self._moment

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]
        asked = self._no_wait.asked
        if asked is None:
            raise RuntimeError("every task waits for ever")
        self._moment += max(0.0, asked)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
