"""What commands say: one JSON object or a few lines on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from analysis.progress import Progress


def say(values: Mapping[str, Any], as_json: bool, lines: list[str]) -> None:
    """Print the outcome: the values as one JSON object, or the lines for people."""
    print(json.dumps(plain(values), allow_nan=False) if as_json else "\n".join(lines))


def plain(value: Any) -> Any:
    """The value in JSON's types; what is infinite or not a number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: float | None, unit: str = "", digits: int = 2) -> str:
    """A number with its unit for people; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}f}{' ' + unit if unit else ''}"


def table(rows: list[list[str]]) -> list[str]:
    """Rows as lines of aligned columns; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A progress bar on stderr; silent where stderr is no terminal."""
    from tqdm import tqdm

    with tqdm(desc=title, disable=None, leave=False) as bar:

        def update(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)

        yield update
