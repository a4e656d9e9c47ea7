"""The runs and the command line of the tests of commands."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def said(cli):
    """The one JSON object that a command prints."""

    def run(*arguments: object) -> dict:
        status, out, err = cli(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run


@pytest.fixture(scope="session")
def runs(folders, tmp_path_factory):
    """A quantized model of the tiny DDPM as `quantize --profile int8` makes it."""
    import analysis
    from analysis.int8 import int8_options
    from analysis.runs import write_manifest

    home = tmp_path_factory.mktemp("int8-runs")
    model = analysis.load_model(folders("ddpm"), "cpu")
    done = analysis.capture(model, steps=2, samples=2)
    quantized = analysis.quantize(model, plan="W8A8", calibration=done, **int8_options())
    analysis.save_quantized(quantized, home / "quantized")
    write_manifest(home / "quantized", "quantize", {})
    return home
