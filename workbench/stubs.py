"""Importing Gradio without the type stubs that it writes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stubs() -> Iterator[None]:
    """While this is open, Gradio can be imported in three fifths of the time.

    It parses the source of every component and renders a `.pyi` beside it, each time anew; a
    class whose file cannot be told is left alone.
    """
    tell = inspect.getfile

    def getfile(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError(f"no stub is wanted for {thing.__name__}")
        return tell(thing)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = tell
