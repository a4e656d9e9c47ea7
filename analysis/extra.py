"""Packages of the optional extra: real int8 needs them, nothing else does."""

from __future__ import annotations

from importlib.util import find_spec

from analysis.errors import UserError

REQUIREMENTS = "requirements-int8.txt"


def missing(*packages: str) -> list[str]:
    """Which of these packages are not installed."""
    return [package for package in packages if find_spec(package) is None]


def need(what: str, *packages: str) -> None:
    """Make sure that packages are installed.

    Raises:
        UserError: naming those that are not, and what installs them.
    """
    absent = missing(*packages)
    if absent:
        raise UserError(
            f"{what} needs {' and '.join(absent)}, which is not installed; run "
            f"`pip install -r {REQUIREMENTS}`."
        )
