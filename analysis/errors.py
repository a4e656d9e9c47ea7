"""What a person did wrong and what to do about it; shown as one sentence, never as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input. The message says what was wrong and what to do, in one line."""


class Cancelled(Exception):  # noqa: N818 - not an error: someone asked for it
    """Raised inside long work when the caller's stop flag is set; finished parts are kept."""


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raise `UserError` unless the value is a whole number, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name} must be a whole number of {least} or more; got {value!r}.")
