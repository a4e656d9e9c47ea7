"""What the Quantize tab asks the library for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from analysis.methods import METHODS
from workbench.selection import Selection
from workbench.views import quantize as view


@pytest.fixture
def asked(monkeypatch, toy):
    """Press Apply for a method; what `analysis.quantize` is called with."""
    calls = []
    monkeypatch.setattr("analysis.quant.run.quantize", lambda model, **k: calls.append(k))
    monkeypatch.setattr(view, "model_of", lambda session, models: "the model")

    def press(method: str) -> dict:
        session = SimpleNamespace(selection=Selection(toy.names[0], 0), opened=toy)
        view.quantize_work(SimpleNamespace(models=None), session, method, "instant")(
            lambda *_: None, lambda: False
        )
        return calls[-1]

    return press


@pytest.mark.parametrize("method", list(METHODS))
def test_only_plain_rounding_calibrates_on_the_open_capture(asked, toy, method):
    called = asked(method)
    assert called["method"] == method
    assert called["calibration"] is (toy.capture if method == "rtn" else None)
