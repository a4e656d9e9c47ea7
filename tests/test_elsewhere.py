"""Whatever the library does with a model it does on the device that the model is on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _disable_current_modes

import analysis
from analysis.calibration import SAMPLERS
from analysis.int8 import PLAN, int8_options
from analysis.layer_errors import layer_errors
from analysis.methods import METHODS
from analysis.models.trajectory import sample, sampling_spec
from analysis.quant import half_conv
from analysis.sensitivity import sensitivity
from analysis.side_by_side import side_by_side
from tests.elsewhere import CUDA, Device, Remote, elsewhere
from tests.quant.conftest import ddpm_first

RUN = {"steps": 3, "samples": 2}
DRAW = {"size": 4, "steps": 3}
SET = {"calibration_size": 4, "calibration_steps": 3}
# Adam's first steps are as large as its rate, however small and noisy the gradient is.
LEARNING = {"last_iterations": 2, "batch": 4, "weight_lr": 1e-3, "scale_lr": 1e-5}
OPTIONS = {
    "q-diffusion": SET | LEARNING | {"weight_iterations": 4, "act_iterations": 3},
    "eda-dm": SET | LEARNING | {"iterations": 4},
    "ptq4dm": SET,
    "rtn": {},
}


@pytest.fixture
def model(family, models):
    """Loaded before the device is entered, for loaders use torch's meta device themselves."""
    return models(family)


@pytest.fixture
def device():
    with Device() as entered:
        yield entered


@pytest.fixture
def there(device, ddpm):
    return elsewhere(ddpm)


@pytest.fixture(scope="module")
def rounded(ddpm, ddpm_capture):
    return analysis.quantize(ddpm, plan="W8A8", calibration=ddpm_capture)


@pytest.fixture
def rounded_there(there, ddpm_capture):
    return analysis.quantize(there, plan="W8A8", calibration=ddpm_capture)


def near(found, expected) -> None:
    """Numbers that a rare tie, rounded to the other side, may move a little."""
    np.testing.assert_allclose(found, expected, rtol=0.02)


def mostly_equal(found, expected) -> None:
    """Numbers of which a few hang on a search, whose candidates are a percent apart."""
    apart = np.abs(np.divide(found, expected) - 1)
    np.testing.assert_array_less([np.median(apart), apart.max()], [1e-3, 0.1])


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_models_are_loaded_there(folders, device, name):
    assert analysis.load_model(folders("ddpm"), name).device == CUDA
    assert analysis.load_model(folders("ddpm"), "cpu").device.type == "cpu"


@pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
def test_pictures(model, device):
    spec = sampling_spec(model, **RUN)
    pictures = sample(elsewhere(model), spec)
    assert pictures.device == torch.device("cpu")
    assert torch.allclose(pictures, sample(model, spec), atol=1e-4)


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"custom"}))  # it is told its counts
def test_calibration_sets(ddpm, there, sampler):
    found, here = (analysis.calibrate(model, sampler, **DRAW) for model in (there, ddpm))
    np.testing.assert_array_equal(found.t, here.t)
    np.testing.assert_allclose(found.x_t, here.x_t, atol=1e-4)
    np.testing.assert_allclose(found.report.diversity, here.report.diversity, rtol=1e-3)


@pytest.mark.parametrize("method", list(METHODS))
def test_methods(ddpm, there, method, monkeypatch):
    monkeypatch.setattr(half_conv, "fast_on", lambda device: False)  # convolutions in bfloat16
    torch.manual_seed(0)
    found = analysis.quantize(there, method, "W4A8", **OPTIONS[method])
    assert found.handle.device == there.device
    torch.manual_seed(0)
    here = analysis.quantize(ddpm, method, "W4A8", **OPTIONS[method])
    assert [row.name for row in found.layers] == [row.name for row in here.layers]
    names = [name for name, grids in here.qparams.items() if grids.act]
    found_scales, scales = (
        [np.mean(model.qparams[name].act.scale) for name in names] for model in (found, here)
    )
    mostly_equal(found_scales, scales)
    mostly_equal([row.sqnr_db for row in found.layers], [row.sqnr_db for row in here.layers])


def test_comparisons(ddpm, there, rounded, rounded_there):
    found = analysis.compare(there, rounded_there, **RUN).values
    here = analysis.compare(ddpm, rounded, **RUN).values
    near(found["psnr_db"], here["psnr_db"])
    near(found["divergence"], here["divergence"])


def test_films(ddpm, there, rounded, rounded_there):
    found = side_by_side(there, [rounded_there], **RUN)
    here = side_by_side(ddpm, [rounded], **RUN)
    near(found.comparisons[0].values["inherited"], here.comparisons[0].values["inherited"])


def test_errors_of_layers(ddpm, there, rounded, rounded_there):
    found = layer_errors(there, rounded_there, **RUN)
    for name, error in layer_errors(ddpm, rounded, **RUN).items():
        near(found[name].output_db, error.output_db)


@pytest.mark.slow
def test_sensitivity(ddpm, there, ddpm_capture):
    told = {"calibration": ddpm_capture, "moments": 2, "finalists": 1, **RUN}
    found, here = sensitivity(there, **told), sensitivity(ddpm, **told)
    near([row.sqnr_db for row in found.rows], [row.sqnr_db for row in here.rows])


def test_sweeps(ddpm, there):
    told = {"methods": ["rtn", "ptq4dm"], "plans": ["W8A8"], "calibrations": ["tdac"], **RUN}
    found, here = analysis.sweep.sweep(there, **told), analysis.sweep.sweep(ddpm, **told)
    near([row.psnr_db for row in found.rows], [row.psnr_db for row in here.rows])


def test_stored_models(there, rounded_there, tmp_path):
    analysis.save_quantized(rounded_there, tmp_path / "model")
    loaded = analysis.load_quantized(tmp_path / "model", there)
    assert loaded.handle.device == there.device
    spec = sampling_spec(there, **RUN)
    assert torch.equal(sample(loaded.handle, spec), sample(rounded_there.handle, spec))


@pytest.mark.parametrize("work", ["sample", "capture", "calibrate", "quantize"])
def test_estimates(device, there, work):
    told = {"calibrate": {"sampler": "tdac", **DRAW}, "quantize": {"method": "q-diffusion"}}
    assert analysis.estimate(there, work, **told.get(work, RUN)).seconds > 0
    assert device.waits["synchronize"]  # a clock that did not wait would tell of nothing


@pytest.mark.parametrize(
    "backend", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)]
)
@ddpm_first
def test_integers_on_the_processor(model, device, backend, monkeypatch):
    for package in ("onnx", backend):
        pytest.importorskip(package)
    from analysis.backends.compare import compare_real
    from analysis.export import qdq_graph

    exported = qdq_graph._exported

    def traced(flat, inputs):
        """All is on the host by now; the tracer would see each of this device's operations."""
        held = [*flat.parameters(), *flat.buffers(), *inputs.values()]
        assert not any(isinstance(tensor, Remote) for tensor in held)
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            return exported(flat, inputs)

    monkeypatch.setattr(qdq_graph, "_exported", traced)
    there = elsewhere(model)
    model = analysis.quantize(there, plan=PLAN, **int8_options())
    done = compare_real(there, model, backend, **RUN)
    assert done.values["psnr_simulated_db"] > 35
    assert any("on the processor" in note for note in done.values["notes"])
