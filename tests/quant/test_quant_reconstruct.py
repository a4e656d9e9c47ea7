"""Walking a whole model: what is learned, what is left alone, and whether it helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.calibration import calibrate
from analysis.calibration.passes import conditioning_of, passes, run_pass
from analysis.calibration.statistics import calibration_statistics
from analysis.errors import Cancelled
from analysis.quant.assemble import assemble, quant_layers
from analysis.quant.blocks import units
from analysis.quant.estimate import estimate_qparams
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.reconstruct import reconstruct
from tests.quant.conftest import ddpm_first

ROUND = Phase(name="weights", iterations=80, batch=8, weight_lr=1e-2)
SCALE = Phase(
    name="scales", iterations=50, batch=8, weights=False, scales=True, scale_lr=2e-3, power=2.4
)
BOTH = Phase(
    name="blocks",
    iterations=3,
    batch=4,
    scales=True,
    alpha=0.8,
    input_drop=0.5,
    act_drop=0.5,
    regularizer=0.0,
)
FAMILIES = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])


@pytest.fixture(scope="module")
def sets(models):
    made = {}

    def drawn(family: str, size: int = 6):
        if (family, size) not in made:
            made[family, size] = calibrate(models(family), "random", size, 0, 4, with_report=False)
        return made[family, size]

    return drawn


def grids_of(model, calibration, plan: str, **options):
    full = QuantPlan.parse(plan, **options)
    stats = {}
    if "A32" not in plan:
        found = calibration_statistics(model, calibration)
        stats = {name: layer.total for name, layer in found.items()}
    return estimate_qparams(model, full, stats)[0]


def one_step_error(model, calibration, other) -> float:
    """Mean squared distance of two models' outputs on the set."""
    told = conditioning_of(calibration, model)
    total = [
        (run_pass(other, calibration, told, one) - run_pass(model, calibration, told, one))
        .square()
        .mean()
        for one in passes(calibration, 16)
    ]
    return float(torch.stack(total).mean())


@FAMILIES
@pytest.mark.parametrize("what", ["no iterations", "nothing to learn"])
def test_without_learning_it_is_nearest_rounding(models, sets, family, what):
    model, calibration = models(family), sets(family)
    grids = grids_of(model, calibration, "W4A8")
    phase = Phase(name="w", iterations=0, scales=True)
    if what == "nothing to learn":
        phase = Phase(name="w", iterations=5, weights=False, scales=False)
    heard = []
    found = reconstruct(model, grids, calibration, phase, on_loss=heard.append)
    nearest = quant_layers(assemble(model, grids).denoiser)
    assert set(found.weights) == {n for n, g in grids.items() if g.weight is not None}
    for name, weight in found.weights.items():
        assert torch.equal(weight, nearest[name].weight), name
    for name, grid in grids.items():
        if grid.act is not None:
            assert np.array_equal(found.qparams[name].act.scale, grid.act.scale), name
    assert found.losses == heard == []


@FAMILIES
def test_the_original_is_left_as_it_is(models, sets, family):
    model, calibration = models(family), sets(family)
    before = {k: v.clone() for k, v in model.denoiser.state_dict().items()}
    kinds = [type(m) for m in model.denoiser.modules()]
    state = torch.get_rng_state()
    reconstruct(model, grids_of(model, calibration, "W4A8"), calibration, BOTH)
    after = model.denoiser.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert kinds == [type(m) for m in model.denoiser.modules()]
    assert not any(m._forward_hooks for m in model.denoiser.modules())
    assert not any(p.grad is not None for p in model.denoiser.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@FAMILIES
def test_the_same_seed_gives_the_same_result_and_another_another(models, sets, family):
    model, calibration = models(family), sets(family)
    grids = grids_of(model, calibration, "W3A4")
    one, two, other = (reconstruct(model, grids, calibration, BOTH, seed=s) for s in (0, 0, 1))
    assert all(torch.equal(one.weights[n], two.weights[n]) for n in one.weights)
    assert one.losses == two.losses
    assert one.losses != other.losses

    def scales(found) -> list[float]:
        acts = [g.act for g in found.qparams.values() if g.act is not None]
        return [float(s) for act in acts for s in np.atleast_1d(act.scale)]

    assert scales(one) == scales(two) != scales(other)


@FAMILIES
def test_losses_are_heard_unit_by_unit_in_order(models, sets, family):
    model, calibration = models(family), sets(family)
    heard, seen = [], []
    found = reconstruct(
        model,
        grids_of(model, calibration, "W4A8"),
        calibration,
        BOTH,
        progress=lambda *told: seen.append(told),
        on_loss=heard.append,
    )
    assert found.losses == heard
    expected = [(unit, i) for unit in units(model) for i in range(BOTH.iterations)]
    assert [(p.unit, p.iteration) for p in heard] == expected
    assert {(p.phase, p.iterations) for p in heard} == {("blocks", 3)}
    assert all(np.isfinite(p.loss) and p.loss >= 0 for p in heard)
    assert seen[-1][0] == seen[-1][1]
    shares = [done / total for done, total, _ in seen]
    assert shares == sorted(shares)
    assert any(f"{p.loss:.4g}" in text and p.unit in text for p in heard for _, _, text in seen)


@ddpm_first
def test_learned_roundings_bring_the_output_nearer_to_float(models, sets, family):
    model, calibration = models(family), sets(family, 24)
    grids = grids_of(model, calibration, "W4A32")
    found = reconstruct(model, grids, calibration, ROUND)
    nearest = one_step_error(model, calibration, assemble(model, grids))
    learned = one_step_error(model, calibration, assemble(model, grids, found.weights))
    assert learned < 0.75 * nearest
    layers = quant_layers(assemble(model, grids).denoiser)
    for name, weight in found.weights.items():
        own = model.denoiser.get_submodule(name).weight
        scale, _ = layers[name].weight_grid()
        clipped = (layers[name].weight - own).abs() > scale / 2 + 1e-6
        assert ((weight - own).abs() < scale + 1e-6)[~clipped].all(), name
    changed = [n for n, w in found.weights.items() if not torch.equal(w, layers[n].weight)]
    assert len(changed) > len(found.weights) / 2


@ddpm_first
def test_learned_scales_bring_the_output_nearer_to_float(models, sets, family):
    model, calibration = models(family), sets(family, 24)
    grids = grids_of(model, calibration, "W32A4", softmax_bits=4)
    found = reconstruct(model, grids, calibration, SCALE)
    searched = one_step_error(model, calibration, assemble(model, grids))
    learned = one_step_error(model, calibration, assemble(model, found.qparams))
    assert learned < 0.9 * searched
    for name, grid in grids.items():
        after = found.qparams[name].act
        assert not np.array_equal(after.scale, grid.act.scale), name
        assert np.array_equal(after.zero_point, grid.act.zero_point)
        assert after.scale.shape == grid.act.scale.shape
        assert (after.scale > 0).all()


def test_both_scales_of_a_split_input_learn(ddpm, sets):
    calibration = sets("ddpm")
    grids = grids_of(ddpm, calibration, "W4A4", split=True)
    found = reconstruct(ddpm, grids, calibration, BOTH)
    split = [name for name, grid in grids.items() if grid.act and grid.act.seam is not None]
    assert split == [shortcut.layer for shortcut in ddpm.shortcuts]
    for name in split:
        before, after = grids[name].act.scale, found.qparams[name].act.scale
        assert after.shape == (2,)
        assert (before != after).all()


def test_weights_rounded_earlier_are_kept(ddpm, sets):
    calibration = sets("ddpm")
    grids = grids_of(ddpm, calibration, "W4A8")
    first = reconstruct(ddpm, grids, calibration, BOTH, seed=3)
    brief = replace(SCALE, iterations=2)
    second = reconstruct(ddpm, grids, calibration, brief, first.weights)
    assert all(torch.equal(first.weights[n], second.weights[n]) for n in first.weights)


def test_it_stops_when_asked(ddpm, sets):
    asked = iter([False] * 7)
    heard = []
    with pytest.raises(Cancelled):
        reconstruct(
            ddpm,
            grids_of(ddpm, sets("ddpm"), "W4A32"),
            sets("ddpm"),
            BOTH,
            should_stop=lambda: next(asked, True),
            on_loss=heard.append,
        )
    assert 0 < len({p.unit for p in heard}) < 4
