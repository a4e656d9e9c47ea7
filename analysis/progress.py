"""How long work tells its caller where it is, and how the caller stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.errors import Cancelled

Progress = Callable[[int, int, str], None]  # done, total, what is being done
ShouldStop = Callable[[], bool]


def report(progress: Progress | None, done: int, total: int, text: str) -> None:
    """Tell the caller, if there is one that listens."""
    if progress is not None:
        progress(done, total, text)


def check_stop(should_stop: ShouldStop | None) -> None:
    """Raise `Cancelled` when the caller has asked for an end."""
    if should_stop is not None and should_stop():
        raise Cancelled("Cancelled.")


@dataclass
class Teller:
    """Tells how far work is that counts its parts, and ends it when the caller has asked."""

    total: int
    progress: Progress | None
    should_stop: ShouldStop | None
    done: int = 0

    def __call__(self, text: str) -> None:
        """One more part is done."""
        self.done += 1
        check_stop(self.should_stop)
        report(self.progress, self.done, self.total, text)
