"""What a person did wrong and what to do about it; shown as one sentence, never as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input. The message says what was wrong and what to do, in one line."""


class Cancelled(Exception):  # noqa: N818 - not an error: someone asked for it
    """Raised inside long work when the caller's stop flag is set; finished parts are kept."""
