"""What integer kernels take."""

from __future__ import annotations

import pytest

import analysis
from analysis.errors import UserError
from analysis.extra import need
from analysis.int8 import cpu_note, int8_options, integer_kernels, profile_options


def why(model) -> dict[str, str]:
    return {row.name: row.why for row in integer_kernels(model) if not row.integer}


def test_under_the_profile_only_the_first_layer_stays_float(ddpm, ddpm_capture):
    model = analysis.quantize(ddpm, plan="W8A8", calibration=ddpm_capture, **int8_options())
    assert list(why(model)) == [ddpm.first_layer]


def test_every_reason_is_named(ddpm, ddpm_capture):
    plan = {"overrides": {"mid*": "W32A8", "conv_out": "W8A32"}, "weight_symmetric": True}
    model = analysis.quantize(ddpm, plan="W4A8", calibration=ddpm_capture, softmax_bits=16, **plan)
    said = why(model)
    assert said["mid_block.resnets.0.conv1"] == "its weight is float"
    assert said["conv_out"] == "its input is float"
    assert (
        said["mid_block.attentions.0#values"] == "softmax has 16 bits, and integer kernels take 8"
    )
    asymmetric = analysis.quantize(ddpm, plan="W8A8", calibration=ddpm_capture)
    assert "is asymmetric" in why(asymmetric)["conv_out"]


def test_narrow_and_split_layers_run_with_a_remark(ddpm, ddpm_capture):
    model = analysis.quantize(
        ddpm, plan="W4A6", calibration=ddpm_capture, weight_symmetric=True, split=True
    )
    remarks = {row.name: row.why for row in integer_kernels(model) if row.integer}
    narrow = "weight of 4 bits and input of 6 bits in an 8-bit kernel, no faster than 8 bits"
    assert remarks["mid_block.resnets.0.conv1"] == narrow
    halves = "as two products, one for each half of its input"
    assert remarks[ddpm.shortcuts[0].layer] == f"{narrow}; {halves}"


@pytest.mark.parametrize(
    ("flags", "slow"),
    [("flags : fpu avx2", True), ("flags : avx512_vnni avx2", False), ("model : x", False)],
)
def test_a_cpu_without_integer_products_is_told(tmp_path, flags, slow):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    note = cpu_note(tmp_path / "cpuinfo")
    assert (note is not None and "slower" in note) == slow
    assert cpu_note(tmp_path / "none") is None


def test_another_profile_is_refused():
    assert profile_options("int8") == int8_options()
    with pytest.raises(UserError, match="There is no profile 'int9'; the only one is int8"):
        profile_options("int9")


def test_a_missing_package_is_named():
    need("This", "json")
    expected = (
        "A picture needs no_such_package, which is not installed; run "
        "`pip install -r requirements-int8.txt`."
    )
    with pytest.raises(UserError) as error:
        need("A picture", "json", "no_such_package")
    assert str(error.value) == expected
