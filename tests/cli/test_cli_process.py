"""The command line in a process of its own: streams, exit status, Ctrl-C."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.cli.conftest import ROOT, with_ctrl_c

COMMAND = [sys.executable, "-m", "analysis"]

# Stops in the middle of a run, says so, and waits for a signal.
INTERRUPTED = """
import signal, sys
from analysis.progress import Teller, check_stop

def wait(teller, text):
    check_stop(teller.should_stop)  # a probe of its cost ends by this
    teller.done += 1
    if teller.progress is not None and teller.done == 2:
        print("in the middle", file=sys.stderr, flush=True)
        signal.pause()

Teller.__call__ = wait
from analysis.cli import main
main()
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_json_stands_alone_on_stdout_however_much_the_loaders_say(folders, tmp_path):
    done = run(
        *("capture", "--model", folders("sd"), "--steps", 2, "--samples", 1, "--json"),
        *("--layers", "conv_in", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"] == ["conv_in"]
    assert done.stderr == ""


def test_ctrl_c_in_the_middle_ends_quietly(folders, tmp_path):
    words = ["capture", "--steps", 4, "--samples", 1, "--model", folders("ddpm"), "--json"]
    done = with_ctrl_c(INTERRUPTED, [*map(str, words), "--out", str(tmp_path / "run")])
    assert done == (130, "", "cancelled\n")
    assert not list(tmp_path.iterdir())
