"""The command line in a process of its own: streams, exit status, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *map(str, [*words, "--out", tmp_path / "run"])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == "in the middle\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert err == "cancelled\n"
    assert not list(tmp_path.iterdir())
