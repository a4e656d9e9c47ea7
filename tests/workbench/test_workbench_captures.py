"""Captures on the page: kept in the runs folder, found by name, refused when they are none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.capture.store import save_capture
from analysis.errors import UserError
from analysis.quant.plan import QuantPlan
from analysis.quant.whatif import predict_sqnr_db
from tests.workbench.conftest import make_capture
from workbench.captures import BUNDLED, find, keep_file, keep_new, open_file
from workbench.prediction import predicted


def test_a_new_capture_is_found_again(tmp_path):
    key = keep_new(make_capture(), tmp_path)
    assert find(key, tmp_path).capture.spec == make_capture().spec
    manifest = json.loads((tmp_path / key / "manifest.json").read_text())
    assert manifest["kind"] == "capture"


def test_an_uploaded_file_is_kept_once(tmp_path):
    path = save_capture(make_capture(), tmp_path / "mine.safetensors")
    runs = tmp_path / "runs"
    first, again = keep_file(path, runs), keep_file(path, runs)
    assert first == again
    assert len(list(runs.iterdir())) == 1
    assert find(first, runs).names == ("conv_in", "mid.linear", "up.shortcut")


@pytest.mark.parametrize("key", ["../secret", "/etc", "", "a/b", ".hidden", "missing"])
def test_a_link_reaches_no_other_file(tmp_path, key):
    (tmp_path / "secret").mkdir()
    save_capture(make_capture(), tmp_path / "secret" / "capture.safetensors")
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match=r"^The link names a capture that is not here"):
        find(key, tmp_path / "runs")


def test_the_bundled_capture_opens(bundled, tmp_path):
    assert find(BUNDLED, tmp_path) is bundled
    assert bundled.steps == 50
    assert all("#h" not in name for name in bundled.names if "shortcut" in name)


def test_a_foreign_file_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(UserError) as caught:
        open_file(path, "x")
    assert "\n" not in str(caught.value)


def test_edges_are_the_first_convolution_and_the_last_layer(toy):
    assert (toy.first_layer, toy.last_layer) == ("conv_in", "up.shortcut")


def test_prediction_of_a_plan_is_the_library_prediction_of_each_layer(toy):
    values = predicted(toy, QuantPlan.parse("W4A4", edge_bits=8, input_bits=6))
    expected = [
        float(predict_sqnr_db(toy.capture[name].total, bits))
        for name, bits in (("conv_in", 6), ("mid.linear", 4), ("up.shortcut", 8))
    ]
    assert values == pytest.approx(expected)


def test_float_activations_lose_nothing(toy):
    assert np.isinf(predicted(toy, QuantPlan.parse("W4A32", edge_bits=None))).all()
