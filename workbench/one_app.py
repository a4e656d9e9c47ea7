"""Building a page without the web servers that Gradio makes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradio.routes import App


@contextmanager
def one_app() -> Iterator[None]:
    """While this is open, Blocks come without a server; `launch` makes the one that answers.

    Gradio makes one when Blocks are begun and another when they are complete, and throws both
    away: a sixth of the time from the build to the first answer.
    """
    made = App.__dict__["create_app"]

    def none_yet(*_: Any, **__: Any) -> None:
        return None

    App.create_app = staticmethod(none_yet)  # type: ignore[assignment]
    try:
        yield
    finally:
        App.create_app = made  # type: ignore[method-assign]
