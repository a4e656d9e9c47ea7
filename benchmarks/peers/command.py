"""`python -m benchmarks peers`: run what is missing, then write the document."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from analysis.atomic import write_whole
from analysis.errors import UserError
from benchmarks.peers.settings import Settings

COUNTS = {
    "steps": "steps to collect from",
    "samples": "samples to collect from",
    "rounds": "pairs of plain and collecting runs",
    "quality_steps": "steps of the pictures",
    "quality_samples": "number of pictures",
}


def main(arguments: Sequence[str]) -> None:
    """Run the command; what failed is in the document, and the exit status 0 all the same."""
    try:
        _run(_parser().parse_args(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    add = parser.add_argument
    for name, meaning in COUNTS.items():
        flag, default = f"--{name.replace('_', '-')}", getattr(Settings, name)
        add(flag, type=int, default=default, help=f"{meaning} (default: {default})")
    add("--minutes", type=float, default=20, help="limit of each job (default: 20)")
    add("--runs", type=Path, default=Path("runs/peers"), help="outcomes and environments")
    add("--out", type=Path, default=Path("docs/benchmarks.md"), help="the document")
    add("--peers", default="*", metavar="GLOB", help="run these only; all outcomes are shown")
    add("--again", default="", metavar="GLOB", help="run these anew, also what had failed")
    add("--list", action="store_true", help="print the peers' names, and run none")
    add("--render", action="store_true", help="run none, only write the document anew")
    return parser


def _run(chosen: argparse.Namespace) -> None:
    # Slow to import, and --help does not need them.
    from benchmarks.peers.loop import Bench, ensure_reference, jobs_of, outcomes, run_peers, say
    from benchmarks.peers.render import Report, render
    from benchmarks.peers.roster import PEERS
    from benchmarks.peers.store import read_all, source_of, write_all

    wanted = [peer for peer in PEERS if fnmatchcase(peer.name, chosen.peers)]
    if not wanted:
        raise UserError(f"No peer matches {chosen.peers!r}; --list prints their names.")
    if chosen.list:
        print(*(peer.name for peer in wanted), sep="\n")
        return
    bench = Bench(chosen.runs, _settings(chosen), chosen.minutes * 60)
    if not chosen.render:
        again = [peer.name for peer in wanted if fnmatchcase(peer.name, chosen.again)]
        ensure_reference(bench, PEERS)
        run_peers(bench, wanted, again)
    beside = chosen.out.with_suffix(".json")
    sources = {peer.name: source_of(peer) for peer in PEERS}
    known = read_all(beside, bench.settings, sources) | outcomes(bench, PEERS)
    order = [(peer.name, job) for peer in PEERS for job in jobs_of(peer)]
    found = [known[key] for key in order if key in known]
    write_all(beside, found, bench.settings, sources)
    write_whole(chosen.out, render(Report(bench.settings, PEERS, found)).encode())
    say(f"{len(found)} outcomes are in {chosen.out} and {beside}")


def _settings(chosen: argparse.Namespace) -> Settings:
    settings = Settings(**{name: getattr(chosen, name) for name in COUNTS})
    if min(vars(settings).values()) < 1:
        raise UserError("Steps, samples and rounds must be 1 or more.")
    if settings.quality_samples % settings.samples:
        raise UserError(
            f"{settings.quality_samples} pictures are no whole number of batches of "
            f"{settings.samples}; some libraries fix the batch size: choose a multiple."
        )
    return settings
