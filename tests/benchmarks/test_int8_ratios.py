"""The benchmark of integers: its ratios by hand, and the shape of the wide model."""

from __future__ import annotations

import pytest

from benchmarks.int8 import in_turn, ratios, wide_model

SECONDS = {
    "eager": [8.0, 9.0, 10.0],
    "compile": [7.0, 7.0, 7.0],
    "openvino_float": [4.0, 3.0, 6.0],
    "openvino_int8": [2.0, 3.0, 1.0],
    "openvino_int8_bf16": [5.0, 5.0, 5.0],
    "nncf_int8": [4.0, 3.0, 4.0],
}


def test_ratios_are_medians_within_a_round():
    found = ratios(SECONDS)
    assert found["eager_ms"] == 9000
    assert found["ours"] == "openvino_int8"
    assert found["fastest_float32"] == "openvino_float"
    assert found["eager_over_openvino_int8"] == 4  # 4, 3, 10
    assert found["fastest_float32_over_ours"] == 2  # 2, 1, 6
    assert found["nncf_over_ours"] == 2  # 2, 1, 4


def test_ways_that_are_not_there_are_left_out():
    found = ratios({name: SECONDS[name] for name in ("eager", "openvino_int8_bf16")})
    assert (found["ours"], found["fastest_float32"]) == ("openvino_int8_bf16", "eager")
    assert "nncf" not in found


def test_every_call_is_warmed_up_in_every_round():
    called = []
    rows = in_turn([lambda: called.append("a"), lambda: called.append("b")], rounds=2)
    assert [len(row) for row in rows] == [2, 2]
    assert "".join(called) == "aabb" * 5


@pytest.mark.parametrize(("widths", "size"), [((8, 8), 8)])
def test_the_wide_model_has_one_head_of_attention_on_its_second_level(widths, size):
    model = wide_model(widths, size)
    found = [m for m in model.denoiser.modules() if type(m).__name__ == "Attention"]
    assert {m.heads for m in found} == {1}
    names = [layer.module for layer in model.layers if layer.tap == "softmax"]
    assert {name.split(".attentions")[0] for name in names} == {
        "down_blocks.1",
        "mid_block",
        "up_blocks.0",
    }
