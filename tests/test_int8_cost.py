"""What symmetric weights cost: the same plan with both kinds of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import analysis
from analysis.errors import Cancelled
from analysis.int8 import has_symmetric_weights, int8_options
from analysis.int8_cost import SymmetryCost, symmetry_cost, with_weights
from analysis.models.trajectory import sample, sampling_spec


@pytest.fixture(scope="module")
def both(ddpm, ddpm_capture):
    """The model under the profile int8 with symmetric and with asymmetric weights."""
    options = int8_options() | {"split": True}
    return {
        symmetric: analysis.quantize(
            ddpm, calibration=ddpm_capture, **options | {"weight_symmetric": symmetric}
        )
        for symmetric in (True, False)
    }


@pytest.mark.parametrize("symmetric", [True, False])
def test_weights_get_the_grids_that_the_other_plan_would_give_them(ddpm, both, symmetric):
    assert has_symmetric_weights(both[symmetric]) == symmetric
    found = with_weights(ddpm, both[not symmetric], symmetric)
    for name, grids in both[symmetric].qparams.items():
        assert (grids.weight is None) == (found[name].weight is None)
        if grids.weight is not None:
            np.testing.assert_array_equal(found[name].weight.scale, grids.weight.scale)
            np.testing.assert_array_equal(found[name].weight.zero_point, grids.weight.zero_point)
        if grids.act is not None:
            np.testing.assert_array_equal(found[name].act.scale, grids.act.scale)


def test_the_cost_is_the_difference_of_both_distances(ddpm, both):
    spec = sampling_spec(ddpm, 2, 2, 0)
    reference, own, other = (
        sample(each, spec) for each in (ddpm, both[True].handle, both[False].handle)
    )
    errors = [(reference - x).double().square().mean(dim=(1, 2, 3)) for x in (own, other)]
    db = [float((10 * torch.log10(1 / error)).mean()) for error in errors]  # pictures are in [0, 1]
    for known in (None, own):
        cost = symmetry_cost(ddpm, both[True], spec, reference, known)
        assert cost.symmetric_db == pytest.approx(db[0], abs=1e-3)
        assert cost.asymmetric_db == pytest.approx(db[1], abs=1e-3)
        assert cost.cost_db == pytest.approx(db[1] - db[0], abs=1e-3)


def test_where_both_are_equal_to_float_there_is_no_cost():
    assert SymmetryCost(float("inf"), float("inf")).cost_db == 0


def test_it_can_be_stopped_and_says_how_far_it_is(ddpm, both):
    spec, told = sampling_spec(ddpm, 2, 1, 0), []
    reference = torch.zeros(1, *ddpm.sample_shape)
    cost = symmetry_cost(
        ddpm, both[True], spec, reference, progress=lambda *args: told.append(args)
    )
    assert isinstance(cost, SymmetryCost)
    assert told[0] == (1, 2, "simulating symmetric weights")
    assert told[-1] == (2, 2, "simulating asymmetric weights")
    with pytest.raises(Cancelled):
        symmetry_cost(ddpm, both[True], spec, reference, should_stop=lambda: True)
