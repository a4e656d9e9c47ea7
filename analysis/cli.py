"""The command line: `python -m analysis COMMAND`. The commands are in `analysis/commands/`."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from typer._click.exceptions import ClickException

from analysis.commands.bench import bench
from analysis.commands.calibrate import calibrate
from analysis.commands.capture import capture
from analysis.commands.compare import compare
from analysis.commands.export import export
from analysis.commands.info import info
from analysis.commands.quantize import quantize
from analysis.commands.shortcuts import shortcuts
from analysis.commands.sweep import ListCommand, sweep
from analysis.errors import Cancelled, UserError

CANCELLED = 130  # what a shell calls the end by Ctrl-C

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="See why quantizing a diffusion model is hard: capture, quantize, compare.",
)

for command in (info, capture, shortcuts, calibrate, quantize, compare, sweep, export, bench):
    app.command(cls=ListCommand if command is sweep else None)(command)


def main() -> NoReturn:
    """Run the command line; a person's mistake ends in one line and exit status 2."""
    try:
        status = app(standalone_mode=False)  # typer makes a status of Ctrl-C itself
    except (KeyboardInterrupt, typer.Abort, Cancelled):
        status = CANCELLED
    except ClickException as error:
        _fail(f"{error.format_message().rstrip('.')}; see `python -m analysis --help`.")
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}.")
    if status == CANCELLED:
        print("cancelled", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
