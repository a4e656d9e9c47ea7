"""Real int8 on the page: what is asked of the library, and what is said of its answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from analysis.errors import UserError
from workbench.page import Settings
from workbench.real import RUNTIMES, RealRun, looked_at, real_run, real_work, with_int8_profile
from workbench.recipe import config_of
from workbench.selection import BACKENDS, RESTS, first_selection
from workbench.session import Session
from workbench.variants import Variant
from workbench.views import real_says as say

VALUES = {
    "samples": 16,
    "steps": 50,
    "seconds_float": 3.0,
    "seconds_simulated": 4.5,
    "seconds_quantized": 1.5,
    "seconds_compiling": 2.0,
    "bytes": 5_000_000,
    "bytes_float": 18_000_000,
    "rest": "bfloat16",
    "psnr_simulated_db": 41.0,
    "integer_layers": 1,
    "work": {
        "integer": 0.5,
        "floating": 0.0,
        "attention": 0.0,
        "normalization": 0.1,
        "elementwise": 0.3,
        "moving": 0.1,
    },
    "symmetry": {"symmetric_db": 40.0, "asymmetric_db": 40.5, "cost_db": 0.5},
    "notes": ["A remark."],
    "layers": [
        {"name": "a", "ran": "int8", "why": "", "sqnr_db": float("inf"), "expected": True},
        {"name": "b", "ran": "bf16", "why": "its weight is float", "sqnr_db": 40.0},
        {"name": "c#scores", "ran": "", "why": "inside a larger operation", "sqnr_db": None},
    ],
}


@pytest.fixture
def session(toy):
    return Session("me", toy, first_selection(toy))


@pytest.fixture
def ran(session):
    """A visitor whose second of two models has run."""
    for number in (1, 2):
        session.variants.append(Variant(number, f"model {number}", "x", None, object()))
    session.real[2, "openvino"] = RealRun("2: model 2", "openvino", VALUES, 4_600_000)
    return session


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr("analysis.extra.find_spec", lambda name: True)


def test_runtimes_are_those_of_the_library():
    from analysis import backends

    known = {each: backends.BACKENDS.get(each) for each in backends.BACKENDS.names()}
    assert {name: (b.title, b.packages) for name, b in known.items()} == RUNTIMES
    assert set(BACKENDS) == set(RUNTIMES)
    assert tuple(backends.RESTS) == RESTS


@pytest.mark.parametrize("method", ["rtn", "eda-dm"])
def test_the_profile_sets_what_integer_kernels_take(toy, method):
    from analysis.int8 import int8_options

    changed = replace(first_selection(toy), method=method, options="weight_symmetric=false")
    selection = with_int8_profile(changed)
    config = config_of(selection)
    assert selection.plan == "W8A8"
    assert {name: getattr(config, name) for name in int8_options()} == int8_options()


def test_the_library_is_asked_for_what_was_set(ran, installed, monkeypatch):
    asked = {}

    def compare_real(model, quantized, backend, **options):
        asked.update(options, quantized=quantized, backend=backend)
        return SimpleNamespace(comparison=SimpleNamespace(values={"samples": 4}), values={"a": 1})

    ran.variants[0] = replace(ran.variants[0], quantized=SimpleNamespace(size_bytes=7))
    ran.drawn["looked"] = 1
    ran.selection = replace(ran.selection, backend="onnxruntime", rest="float32")
    monkeypatch.setattr("analysis.backends.compare.compare_real", compare_real)
    page = SimpleNamespace(settings=Settings())
    real_work(page, ran, 4, 3, 2)(lambda *_: None, lambda: False)
    assert (asked["backend"], asked["options"].bfloat16) == ("onnxruntime", False)
    assert (asked["samples"], asked["steps"], asked["seed"]) == (4, 3, 2)
    run = real_run(ran)
    assert (run.label, run.values, run.size) == ("1: model 1", {"samples": 4, "a": 1}, 7)


def test_wrong_wishes_end_in_a_sentence(session, ran, installed, monkeypatch):
    page = SimpleNamespace(settings=Settings.for_demo("fashion", None))
    with pytest.raises(UserError, match="samples must be a whole number from 1 to 64; got 65"):
        real_work(page, ran, 65, 3, 0)
    ran.variants.clear()
    with pytest.raises(UserError, match="no quantized model yet"):
        real_work(page, ran, 4, 3, 0)
    monkeypatch.setattr("analysis.extra.find_spec", lambda name: None)
    with pytest.raises(UserError, match="OpenVINO needs onnx and openvino, which is not installed"):
        real_work(page, ran, 4, 3, 0)
    said = say.head(ran)
    assert said["title"] == "OpenVINO is not installed"
    assert "pip install -r requirements-int8.txt" in said["text"]


def test_a_run_belongs_to_one_model_and_one_runtime(ran, installed):
    assert looked_at(ran).number == 2
    assert real_run(ran).label == "2: model 2"
    ran.selection = replace(ran.selection, backend="onnxruntime")
    assert real_run(ran) is None
    ran.selection = replace(ran.selection, backend="openvino")
    ran.drawn["looked"] = 1
    assert real_run(ran) is None


def test_what_was_measured_is_said(ran, installed):
    head = say.head(ran)
    tiles = {item["name"]: (item["value"], item["unit"]) for item in head["items"]}
    assert head["title"] == "Real int8: 2: model 2"
    assert tiles["Eager float / this"] == ("2.00", "times")
    assert tiles["Ran in int8"] == ("1", "of 3")
    assert tiles["Symmetric weights cost"] == ("0.5", "dB")
    assert head["notes"] == ["A remark."]
    rows = {row[1]: row[2:] for row in say.runs(ran)["rows"]}
    assert rows == {"float": [3.0, 18.0], "○ simulated": [4.5, 4.6], "● real": [1.5, 5.0]}
    shares = say.shares(ran)
    assert "50 % is integer work" in shares["title"]
    assert sum(int(item["value"]) for item in shares["items"]) == 100


def test_every_layer_has_a_badge_and_a_reason(ran, installed):
    rows = say.layers(ran)["rows"]
    assert rows == [
        ["a", "● real", "int8", None, "∞"],
        ["b", "float", "bfloat16", "its weight is float", 40.0],
        ["c#scores", None, None, "inside a larger operation", None],
    ]


def test_without_an_integer_layer_nothing_is_called_real(ran, installed):
    values = {**VALUES, "integer_layers": 0}
    ran.real[2, "openvino"] = RealRun("2: model 2", "openvino", values, 1)
    assert say.head(ran)["title"] == "No layer ran in int8: 2: model 2"
    assert [row[1] for row in say.runs(ran)["rows"]] == ["float", "○ simulated", "float"]


def test_before_a_run_the_grids_tell(session, installed, ddpm, ddpm_capture):
    import analysis

    assert say.layers(session) is None
    assert "Set the int8 profile" in say.head(session)["text"]
    quantized = analysis.quantize(ddpm, plan="W8A8", calibration=ddpm_capture)
    session.variants.append(Variant(1, "plain", "x", ddpm, quantized))
    rows = say.layers(session)["rows"]
    assert {row[1] for row in rows} == {"○ simulated"}
    reasons = {row[0]: row[2:4] for row in rows}
    assert reasons["conv_out"][0] == "float"
    assert "asymmetric" in reasons["conv_out"][1]
    assert say.PROFILE in say.head(session)["text"]
