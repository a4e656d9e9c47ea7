"""Runs that several tests of the command line read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def with_ctrl_c(script: str, arguments: list[str]) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a script that is interrupted once it says so."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
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
    return process.returncode, out, err


@pytest.fixture
def said(cli):
    """The one JSON object that a command prints; it must succeed and say nothing else."""

    def run(*arguments: object) -> dict:
        status, out, err = cli(*arguments, "--json")
        assert (status, err) == (0, "")
        assert out.endswith("}\n")
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    return run


@pytest.fixture(scope="session")
def runs(folders, tmp_path_factory):
    """A capture and a quantized model of the tiny DDPM as the library writes them."""
    import analysis
    from analysis.runs import CAPTURE_FILE, write_manifest

    home = tmp_path_factory.mktemp("runs")
    model = analysis.load_model(folders("ddpm"), "cpu")
    done = analysis.capture(model, steps=4, samples=2)
    analysis.save_capture(done, home / "capture" / CAPTURE_FILE)
    write_manifest(home / "capture", "capture", {})
    analysis.save_quantized(
        analysis.quantize(model, plan="W4A8", calibration=done), home / "quantized"
    )
    write_manifest(home / "quantized", "quantize", {})
    return home
