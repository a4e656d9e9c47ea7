"""Runs that several tests of the command line read."""

from __future__ import annotations

import json

import pytest


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
