"""Out of memory on a GPU: half the batch, the same numbers, and a clear end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import analysis
from analysis.calibration.run import calibrate
from analysis.calibration.statistics import calibration_statistics
from analysis.errors import UserError
from analysis.layer_errors import layer_errors
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import sample, sampling_spec
from analysis.side_by_side import side_by_side


@pytest.fixture
def room(ddpm):
    """A denoiser with room for so many samples; more are refused as by a GPU."""
    assert ddpm.trace.layers  # found by a pass of its own, once
    most, seen = [10**9], []

    def refuse(module, args, kwargs):
        rows = len(args[0])
        seen.append(rows)
        if rows > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = ddpm.denoiser.register_forward_pre_hook(refuse, with_kwargs=True)
    yield lambda rows: most.__setitem__(0, rows) or seen
    hook.remove()


def test_a_capture_is_the_same_with_the_batch_that_fits(ddpm, room):
    whole = analysis.capture(ddpm, steps=2, samples=6)
    seen = room(2)
    seen.clear()
    small = analysis.capture(ddpm, steps=2, samples=6)
    assert seen == [6, 6, 4, 2, 2, 2, 2, 2, 2]  # halves of 16 until two fit; two steps each
    for layer in whole.layers:
        assert whole[layer.name].count.tolist() == small[layer.name].count.tolist()
        np.testing.assert_allclose(whole[layer.name].max, small[layer.name].max, rtol=1e-4)


def test_pictures_and_comparisons_are_the_same(ddpm, room):
    spec, quantized = sampling_spec(ddpm, steps=2, samples=5), analysis.quantize(ddpm, plan="W8A32")
    pictures, compared = sample(ddpm, spec), analysis.compare(ddpm, quantized, samples=5, steps=2)
    room(1)
    torch.testing.assert_close(sample(ddpm, spec), pictures, rtol=1e-4, atol=1e-4)
    again = analysis.compare(ddpm, quantized, samples=5, steps=2)
    assert again.values["psnr_db"] == pytest.approx(compared.values["psnr_db"], abs=0.1)
    assert len(again.values["divergence"]) == 2


@pytest.mark.parametrize("sampler", ["tdac", "ndtc", "forward"])
def test_calibration_sets_are_the_same(ddpm, room, sampler):
    whole = calibrate(ddpm, sampler, size=6, steps=4)
    ranges = calibration_statistics(ddpm, whole)
    room(2)
    small = calibrate(ddpm, sampler, size=6, steps=4)
    assert np.array_equal(small.t, whole.t)
    np.testing.assert_allclose(small.x_t, whole.x_t, rtol=1e-4, atol=1e-4)
    assert small.report.coverage == pytest.approx(whole.report.coverage)
    for name, found in calibration_statistics(ddpm, small).items():
        np.testing.assert_allclose(found.max, ranges[name].max, rtol=1e-3, atol=1e-4)


def test_views_on_several_models_are_the_same(ddpm, room):
    quantized = analysis.quantize(ddpm, plan="W8A32")
    errors = layer_errors(ddpm, quantized, samples=4, steps=2)
    beside = side_by_side(ddpm, [quantized], samples=4, steps=2)
    room(1)
    for name, one in layer_errors(ddpm, quantized, samples=4, steps=2).items():
        assert one.output_db == pytest.approx(errors[name].output_db, abs=0.1)
    again = side_by_side(ddpm, [quantized], samples=4, steps=2)
    psnr = [side.comparisons[0].values["psnr_db"] for side in (beside, again)]
    assert psnr[0] == pytest.approx(psnr[1], abs=0.1)


def test_learning_that_does_not_fit_ends_in_a_sentence(ddpm, room):
    drawn = calibrate(ddpm, "random", size=4, steps=4, with_report=False)
    room(4)  # the walk takes all samples through both models at once
    with pytest.raises(UserError, match="too little memory for q-diffusion with these settings"):
        analysis.quantize(ddpm, "q-diffusion", "W4A32", drawn, weight_iterations=2)


def test_where_one_sample_is_too_much_it_ends_in_a_sentence(ddpm, room):
    room(0)
    with pytest.raises(UserError, match="too little memory for one sample at a time"):
        analysis.capture(ddpm, steps=2, samples=3)


def test_halves_are_tried_down_to_one_and_other_faults_pass():
    tried = []

    def run(batch):
        tried.append(batch)
        if batch > 1:
            raise torch.OutOfMemoryError
        return "done"

    assert with_smaller_batches(run, 13) == "done"
    assert tried == [13, 6, 3, 1]
    with pytest.raises(ZeroDivisionError):
        with_smaller_batches(lambda batch: 1 // 0, 4)
