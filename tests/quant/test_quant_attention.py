"""Explicit attention against diffusers' fused one, and the operands that are quantized."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, SlicedAttnProcessor

from analysis.quant import attention as module
from analysis.quant.attention import OPERANDS, QuantAttnProcessor, why_not_attention
from analysis.quant.modules import FakeQuantize
from analysis.quant.qparams import QParams

N, L, S, C, D, CROSS = 2, 12, 5, 32, 16, 24

CASES = {
    "self": {},
    "unet2d": {"norm_num_groups": 4, "residual_connection": True, "rescale_output_factor": 1.4},
    "bias": {"bias": True, "out_bias": False},
    "cross": {"cross_attention_dim": CROSS},
    "cross, layer norm": {"cross_attention_dim": CROSS, "cross_attention_norm": "layer_norm"},
    "cross, group norm": {
        "cross_attention_dim": CROSS,
        "cross_attention_norm": "group_norm",
        "cross_attention_norm_num_groups": 4,
    },
    "query and key norms": {"qk_norm": "layer_norm"},
    "spatial norm": {"spatial_norm_dim": 6},
}


SPATIAL = "spatial norm"  # for pictures only


def make(options: dict) -> Attention:
    torch.manual_seed(0)
    attention = Attention(C, heads=2, dim_head=D, **options).eval()
    assert isinstance(attention.processor, AttnProcessor2_0)
    return attention


def inputs(options: dict, picture: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (N, C, 3, 4) if picture else (N, L, C)
    out = {"hidden_states": torch.randn(shape, generator=generator)}
    if "cross_attention_dim" in options:
        out["encoder_hidden_states"] = torch.randn(N, S, CROSS, generator=generator)
    if "spatial_norm_dim" in options:
        out["temb"] = torch.randn(N, 6, 3, 4, generator=generator)
    return out


@pytest.mark.parametrize(
    ("case", "picture"), [*((c, True) for c in CASES), *((c, False) for c in CASES if c != SPATIAL)]
)
@torch.no_grad()
def test_without_quantizers_it_is_diffusers_attention(case, picture):
    attention = make(CASES[case])
    x = inputs(CASES[case], picture)
    expected = attention(**x)
    attention.set_processor(QuantAttnProcessor({}, "cpu"))
    torch.testing.assert_close(attention(**x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [1, L])
@pytest.mark.parametrize("kind", ["additive", "boolean"])
@pytest.mark.parametrize("case", ["self", "cross"])
@torch.no_grad()
def test_masks(case, kind, rows):
    attention = make(CASES[case])
    x = inputs(CASES[case], picture=False)
    keys = S if case == "cross" else L
    hidden = torch.rand(N, rows, keys, generator=torch.Generator().manual_seed(2)) < 0.4
    hidden[..., 0] = False
    mask = ~hidden if kind == "boolean" else hidden * -10_000.0
    expected = attention(**x, attention_mask=mask)
    assert not torch.allclose(expected, attention(**x), atol=1e-3)
    attention.set_processor(QuantAttnProcessor({}, "cpu"))
    torch.testing.assert_close(attention(**x, attention_mask=mask), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_many_scores_are_worked_through_in_parts(monkeypatch, masked):
    attention = make({})
    x = inputs({}, picture=False)
    mask = torch.randn(N, L, L, generator=torch.Generator().manual_seed(3)) if masked else None
    attention.set_processor(QuantAttnProcessor({}, "cpu"))
    whole = attention(**x, attention_mask=mask)
    monkeypatch.setattr(module, "MOST_SCORES", 5 * N * 2 * L)
    torch.testing.assert_close(attention(**x, attention_mask=mask), whole, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_half_precision():
    attention = make({}).to(torch.bfloat16)
    x = inputs({}, picture=False)["hidden_states"].to(torch.bfloat16)
    expected = attention(x)
    attention.set_processor(QuantAttnProcessor({}, "cpu"))
    torch.testing.assert_close(attention(x), expected, rtol=2e-2, atol=2e-2)


def grid(scale: float, zero_point: int, bits: int = 8) -> QParams:
    return QParams(bits, torch.tensor(scale).numpy(), torch.tensor(zero_point).numpy())


@torch.no_grad()
def test_the_operands_of_both_products_are_quantized():
    attention = make({})
    x = inputs({}, picture=False)["hidden_states"]
    grids = {"q": grid(0.1, 128), "k": grid(0.2, 128), "v": grid(0.3, 128), "softmax": grid(0.1, 0)}
    attention.set_processor(QuantAttnProcessor(grids, "cpu"))

    def rounded(t: torch.Tensor, step: float) -> torch.Tensor:
        return (t / step).round() * step

    q, k, v = (
        getattr(attention, f"to_{o}")(x).unflatten(-1, (2, D)).transpose(1, 2) for o in "qkv"
    )
    shares = (rounded(q, 0.1) @ rounded(k, 0.2).mT / D**0.5).softmax(-1)
    out = (rounded(shares, 0.1) @ rounded(v, 0.3)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x), attention.to_out[0](out), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("operand", OPERANDS)
@torch.no_grad()
def test_each_operand_has_its_own_quantizer(operand):
    attention = make({})
    x = inputs({}, picture=False)["hidden_states"]
    before = attention(x)
    attention.set_processor(QuantAttnProcessor({operand: grid(0.5, 0, bits=2)}, "cpu"))
    assert not torch.allclose(attention(x), before, atol=1e-4)
    kinds = {name: type(part) for name, part in attention.processor.named_children()}
    assert list(kinds) == list(OPERANDS)
    assert {name for name, kind in kinds.items() if kind is FakeQuantize} == {operand}


def test_arguments_reach_the_processor_through_diffusers(caplog):
    attention = make(CASES["spatial norm"])
    attention.set_processor(QuantAttnProcessor({}, "cpu"))
    attention(**inputs(CASES["spatial norm"], picture=True))  # would fail without its temb
    assert "will be ignored" not in caplog.text


def test_other_processors_are_left_alone():
    attention = make({})
    assert why_not_attention(attention) is None
    attention.set_processor(SlicedAttnProcessor(1))
    assert why_not_attention(attention) == (
        "its processor SlicedAttnProcessor computes another attention"
    )
    fused = make({})
    fused.fuse_projections()
    assert "unfuse_qkv_projections" in str(why_not_attention(fused))
    assert why_not_attention(Attention(C, heads=2, kv_heads=1, dim_head=D)) is not None
