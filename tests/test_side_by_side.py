"""Several quantized models at once: against comparisons of each alone."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.comparison import compare
from analysis.errors import Cancelled, UserError
from analysis.quant.run import quantize
from analysis.side_by_side import FILM_BYTES, MOST_FRAMES, _Camera, side_by_side


@pytest.fixture(scope="module")
def variants(ddpm, ddpm_capture):
    return [quantize(ddpm, plan=p, calibration=ddpm_capture) for p in ("W8A8", "W3A3")]


@pytest.fixture(scope="module")
def done(ddpm, variants):
    return side_by_side(ddpm, variants, samples=5, steps=4, seed=3, batch=3, watched=2)


def test_each_comparison_is_what_the_pair_alone_gives(ddpm, variants, done):
    for each, variant in zip(done.comparisons, variants, strict=True):
        alone = compare(ddpm, variant, samples=5, steps=4, seed=3, batch=3)
        assert np.array_equal(each.reference, alone.reference)
        assert np.array_equal(each.candidate, alone.candidate)
        assert each.spec == alone.spec
        assert set(each.values) == {*alone.values, "fresh", "inherited"}
        for key in set(alone.values) - {"seconds_float", "seconds_quantized"}:
            assert each.values[key] == pytest.approx(alone.values[key]), key
        assert min(each.values["seconds_float"], each.values["seconds_quantized"]) > 0


def test_nothing_is_inherited_at_first_and_all_of_it_is_fresh(done):
    for each in done.comparisons:
        assert each.values["inherited"][0] == 0
        assert each.values["fresh"][0] == pytest.approx(each.values["divergence"][0])
        assert each.values["inherited"][-1] > 0


def test_the_film_shows_the_run_that_was_measured(done):
    film = done.film
    assert film.x.shape == (4, 2, 1, 16, 16)
    assert film.x_q.shape == film.one_step.shape == (2, 4, 2, 1, 16, 16)
    assert film.steps.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(film.fresh + film.inherited, film.x_q - film.x, atol=1e-5)
    for each, x_q in zip(done.comparisons, film.x_q, strict=True):
        pictures = np.clip(x_q[-1] / 2 + 0.5, 0, 1)
        np.testing.assert_allclose(pictures, each.candidate[:2], atol=1e-6)


@pytest.mark.parametrize("steps", [1, 50, 1000])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 512, 512)])
def test_a_film_stays_within_its_limits(shape, steps):
    camera = _Camera(shape, 4, 4, steps)
    frames = len({*range(0, steps, camera.every), steps - 1})
    assert frames <= MOST_FRAMES + 1
    size = frames * camera.samples * int(np.prod(shape)) * 4 * 9
    assert size <= 2 * FILM_BYTES or frames <= 3


def test_nothing_and_another_model_are_refused(ddpm, sd, variants):
    with pytest.raises(UserError, match="nothing to compare"):
        side_by_side(ddpm, [])
    with pytest.raises(UserError, match="was made from another model"):
        side_by_side(sd, variants[:1])


def test_it_reports_and_stops_when_asked(ddpm, variants):
    seen = []
    side_by_side(ddpm, variants[:1], 2, 3, progress=lambda *a: seen.append(a[:2]))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        side_by_side(ddpm, variants[:1], 2, 3, should_stop=lambda: True)
