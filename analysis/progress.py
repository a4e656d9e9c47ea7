"""How long work tells its caller where it is, and how the caller stops it."""

from __future__ import annotations

from collections.abc import Callable

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
