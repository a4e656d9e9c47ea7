"""Growth: what is counted, what is fitted, and a run that goes on where it was stopped."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.scaling import command
from benchmarks.scaling.features import Features, features
from benchmarks.scaling.fit import fitted, held_out, memory_terms, time_terms
from benchmarks.scaling.models import SD15, Shape, unet
from benchmarks.scaling.points import Folder, Point, points, size_of
from benchmarks.scaling.render import document

SPEED = (0.2, 1e-4, 8.0, 0.5, 0.3)  # seconds for each of `TIME`
SMALL = Features(parameters=10**6, layers=50, flops=10**9, values=10**6, largest=10**5)


def synthetic(point):
    """A machine whose seconds and memory are known."""
    grown = Features(
        parameters=point.shape.width**2 * 1000,
        layers=90 * point.shape.per,
        flops=point.shape.width**2 * point.shape.size**2 * 1000,
        values=point.shape.width * point.shape.size**2 * 50,
        largest=point.shape.width * point.shape.size**2,
    )
    seconds = float(np.dot(SPEED, time_terms(point, grown)))
    peak = float(np.dot((400.0, 1.5, 3.0, 6.0), memory_terms(point, grown)))
    return grown, {"seconds": seconds, "peak_mb": peak, "held_mb": 300.0}


def test_stable_diffusion_has_its_published_size():
    counted = features(lambda: unet(SD15))
    assert counted.parameters == 859_520_964  # of runwayml/stable-diffusion-v1-5


def test_flops_of_a_convolution_are_counted_as_they_are():
    import torch
    from torch import nn

    class Net(nn.Module):
        config = SimpleNamespace(cross_attention_dim=8, in_channels=4, sample_size=16)

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 6, 3, padding=1)

        def forward(self, x, t, encoder_hidden_states):
            assert x.is_meta
            assert not torch.is_grad_enabled()
            return self.conv(x)

    counted = features(Net)
    assert counted == Features(4 * 6 * 9 + 6, 1, 2 * 16 * 16 * 6 * 4 * 9, 4 * 256, 4 * 256)


def test_points_reach_stable_diffusion_and_small_ones_come_first():
    every = points()
    assert {point.shape for point in every[-3:]} == {SD15}
    assert [size_of(point) for point in every] == sorted(size_of(point) for point in every)
    assert len({point.key for point in every}) == len(every)


def test_the_fit_finds_the_factors_of_a_known_machine():
    mine = [point for point in points() if point.work == "capture"]
    rows = [time_terms(point, synthetic(point)[0]) for point in mine]
    seconds = [synthetic(point)[1]["seconds"] for point in mine]
    fit = fitted(rows, seconds)
    assert fit.factors == pytest.approx(SPEED, rel=1e-6)
    assert fit.worst < 1e-9
    assert held_out(rows, seconds) == pytest.approx(1.0)
    assert held_out(rows, [*seconds[:-1], 2 * seconds[-1]]) == pytest.approx(2.0)


def test_factors_are_never_negative():
    rows = [[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]
    fit = fitted(rows, [3.0, 2.0, 1.0])
    assert min(fit.factors) >= 0
    assert fit.worst > 0.3


def test_the_page_foretells_what_was_put_in():
    counted = {point.shape: synthetic(point)[0] for point in points()}
    measured = [(point, synthetic(point)[1]) for point in points()]
    page = document(measured, [], counted, SMALL, "made")
    capture = Point("capture", Shape(0, 0, 128), 16, 50)
    hours = np.dot(SPEED, time_terms(capture, SMALL)) / 3600
    peak = np.dot((400.0, 1.5, 3.0, 6.0), memory_terms(capture, SMALL)) / 1e3
    assert f"| capture | 16 | 50 | {hours:.1f} | {peak:.1f} GB |" in page
    assert page.count("took 1.00 times the seconds and 1.00 times the memory") == 3
    assert "Not measured yet" not in page


def test_too_few_points_are_not_fitted():
    few = points()[:3]
    counted = {point.shape: synthetic(point)[0] for point in points()}
    page = document([(p, synthetic(p)[1]) for p in few], points()[3:], counted, SMALL, "made")
    assert "too few to fit" in page
    assert "SDXL, foretold" not in page
    assert f"{len(points()) - 3} of {len(points())} points" in page


def test_a_run_goes_on_where_it_was_stopped_and_a_failure_leaves_a_gap(tmp_path, monkeypatch):
    asked = []

    def run(words, **kwargs):
        asked.append(words[3:])
        if len(asked) == 2:
            return SimpleNamespace(returncode=1, stdout="", stderr="Killed")
        return SimpleNamespace(
            returncode=0, stdout=json.dumps({"seconds": 1.0, "peak_mb": 2.0}), stderr=""
        )

    monkeypatch.setattr(command.subprocess, "run", run)
    folder = Folder(tmp_path)
    command._measure(folder, 1e9, most=2)
    command._measure(folder, 1e9, most=2)
    first, second, third = points()[:3]
    assert asked[0] == [first.work, "32", "1", "16", "2", "2"]
    assert asked[1] == asked[2]  # the one that failed is tried again
    assert [folder.get(point) is not None for point in (first, second, third)] == [True] * 3
    command._measure(folder, -1.0, most=None)
    assert len(asked) == 4
