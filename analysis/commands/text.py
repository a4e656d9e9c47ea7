"""Reading NAME=VALUE from the command line."""

from __future__ import annotations

import ast
from typing import Any

from analysis.errors import UserError


def pairs(items: list[str] | None, name: str) -> list[tuple[str, str]]:
    """NAME=VALUE texts as pairs; anything else is a `UserError`."""
    split = [item.partition("=") for item in items or []]
    for key, equals, value in split:
        if not (key and equals and value):
            raise UserError(f"{name} takes NAME=VALUE; got {key + equals + value!r}.")
    return [(key, value) for key, _, value in split]


def literal(text: str) -> Any:
    """A number, true, false or none where the text is one; else the text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
