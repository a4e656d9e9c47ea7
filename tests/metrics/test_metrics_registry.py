"""What every metric promises."""

import subprocess
import sys

import pytest
import torch

from analysis.metrics import METRICS


@pytest.fixture(params=METRICS.names())
def metric(request):
    return METRICS.get(request.param)


def test_names():
    assert set(METRICS.names()) >= {"psnr", "ssim", "sqnr", "frechet"}
    assert all(METRICS.get(name).name == name for name in METRICS)


def test_units():
    units = {name: METRICS.get(name).unit for name in ("psnr", "sqnr", "ssim", "frechet")}
    assert units == {"psnr": "dB", "sqnr": "dB", "ssim": "", "frechet": ""}


def test_more_noise_is_worse_and_the_value_is_a_float(metric):
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(8, 1, 32, 32, generator=generator)
    noise = torch.randn(reference.shape, generator=generator)
    near, far = (metric(reference, (reference + s * noise).clamp(0, 1)) for s in (0.02, 0.3))
    assert type(near) is float
    assert (near > far) if metric.higher_is_better else (near < far)


def test_inputs_are_left_as_they_were(metric):
    a, b = torch.rand(4, 1, 32, 32), torch.rand(4, 1, 32, 32)
    before = a.clone(), b.clone()
    metric(a, b)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_importing_metrics_loads_neither_gradio_nor_torchmetrics():
    code = (
        "import sys, analysis.metrics; print({'gradio', 'torchmetrics', 'torch'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "{'torch'}"
