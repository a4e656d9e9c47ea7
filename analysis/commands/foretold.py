"""What a command says before it begins: how long it will take, and how much memory."""

from __future__ import annotations

import sys
from typing import Any

import typer

from analysis.console import plain, say

ANYWAY = "add --force to start anyway"


def foretold(
    handle: Any, work: str, as_json: bool, dry_run: bool, force: bool, **arguments: Any
) -> dict[str, Any]:
    """Say what work will cost; the estimate as plain values.

    People read it before the work begins; a program finds it in the one object that is printed.

    Args:
        arguments: of the work, as `analysis.estimate` takes them.

    Raises:
        UserError: where it does not fit into the memory that is free, unless it is forced.
        typer.Exit: when that was all that was wanted.
    """
    import analysis
    from analysis.cost.record import check_fits

    found = analysis.estimate(handle, work, **arguments)
    if not (force or dry_run):
        check_fits(found, ANYWAY)
    values = plain(found.values())
    if dry_run:
        room = [] if found.fits else ["It does not fit into the memory that is free."]
        say({"estimate": values}, as_json, [found.text, *room])
        raise typer.Exit
    if not as_json:
        print(found.text)
        sys.stdout.flush()
    return values
