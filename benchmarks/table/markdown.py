"""Pieces of Markdown: tables, numbers with their spread, signed differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

DASH = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def number(value: float | None, digits: int, spread: float | None = None) -> str:
    """A number, with ± its spread over seeds where there is one; a dash where it is not known."""
    if value is None:
        return DASH
    return f"{value:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def signed(value: float | None, digits: int) -> str:
    """A number with its sign; a dash where it is not known."""
    return DASH if value is None else f"{value:+.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share in percent; a dash where it is not known."""
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
