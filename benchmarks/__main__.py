"""`python -m benchmarks [NAME ...] [--json]`: run benchmarks, print one object or line each.

`python -m benchmarks table [...]` makes docs/results.md, `python -m benchmarks peers [...]`
docs/benchmarks.md, `python -m benchmarks scaling [...]` docs/scaling.md; each has its own --help.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.capture_cost import capture_memory, capture_time
from benchmarks.cost import cost
from benchmarks.gpu import gpu
from benchmarks.int8 import int8_bundled, int8_wide
from benchmarks.page import page
from benchmarks.peers.command import main as peers
from benchmarks.reconstruction import reconstruction
from benchmarks.scaling.command import main as scaling
from benchmarks.simulation import simulation
from benchmarks.table.command import main as table
from benchmarks.what_if import what_if

BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {
    "capture_time": capture_time,
    "capture_memory": capture_memory,
    "simulation": simulation,
    "cost": cost,
    "gpu": gpu,
    "reconstruction": reconstruction,
    "what_if": what_if,
    "int8_wide": int8_wide,
    "int8_bundled": int8_bundled,
    "page": page,
}


def main() -> None:
    if sys.argv[1:2] == ["table"]:
        table(sys.argv[2:])
    if sys.argv[1:2] == ["peers"]:
        peers(sys.argv[2:])
        return
    if sys.argv[1:2] == ["scaling"]:
        scaling(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, a key a benchmark"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        print(
            f"error: no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr
        )
        sys.exit(2)
    results = {}
    for name in arguments.names or BENCHMARKS:
        results[name] = BENCHMARKS[name]()
        if not arguments.json:
            lines = (f"  {key} = {_short(value)}" for key, value in results[name].items())
            print(f"{name}:", *lines, sep="\n", flush=True)
    if arguments.json:
        print(json.dumps(results))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
