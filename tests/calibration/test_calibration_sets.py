"""Calibration sets: what is in them, that they come again, and back from disk."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline, EulerDiscreteScheduler
from PIL import Image

import analysis
from analysis.calibration import SAMPLERS, calibrate, calibration_digest, calibration_statistics
from analysis.calibration.own_runs import step_features
from analysis.calibration.passes import conditioning_of, set_features
from analysis.capture.features import middle
from analysis.errors import Cancelled, UserError
from analysis.models.load import from_pipeline
from analysis.models.trajectory import sampling_spec, trajectory
from tests.conftest import PLAIN_BLOCKS, tiny_unet


def drawn(model, sampler="random", size=6, seed=0, steps=5, **options):
    return calibrate(model, sampler, size, seed, steps, with_report=False, **options)


def hooks(denoiser) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in denoiser.modules())


def test_every_sample_is_x_t_of_a_run_of_its_own(ddpm):
    found = drawn(ddpm, size=7, batch=3)
    spec = sampling_spec(ddpm, steps=5, samples=1, seed=0)
    for i, (x, t) in enumerate(zip(found.x_t, found.t, strict=True)):
        step = next(s for s in trajectory(ddpm, spec, i, 1) if s.timestep == t)
        np.testing.assert_allclose(x, step.x_t[0], atol=1e-5)


def test_shared_runs_take_the_same_run_at_every_step(ddpm):
    found = drawn(ddpm, "timestep-uniform", size=10, shared_runs=True)
    spec = sampling_spec(ddpm, steps=5, samples=2, seed=0)
    wanted = [step.x_t[run] for step in trajectory(ddpm, spec, 0, 2) for run in range(2)]
    np.testing.assert_allclose(found.x_t, torch.stack(wanted), atol=1e-5)
    assert found.counts.tolist() == [2] * 5


def test_forward_follows_the_closed_form(ddpm):
    """One image of all 0.5: the mean over many samples at t is sqrt(abar_t) / 2."""
    image = torch.full((1, *ddpm.sample_shape), 0.5)
    found = drawn(ddpm, "forward", size=60, steps=3, images=image)
    abar = ddpm.pipeline.scheduler.alphas_cumprod.numpy()
    for t in found.timesteps:
        at = found.x_t[found.t == t]
        assert at.mean() == pytest.approx(0.5 * np.sqrt(abar[int(t)]), abs=0.05)
        assert at.std() == pytest.approx(np.sqrt(1 - abar[int(t)]), abs=0.05)


def test_forward_starts_from_own_samples_where_there_are_no_images(ddpm, monkeypatch):
    import analysis.calibration.samplers.forward as module

    asked = []
    own = module.final_samples
    monkeypatch.setattr(module, "OWN_SAMPLES", 3)
    monkeypatch.setattr(module, "final_samples", lambda s, n: asked.append(n) or own(s, n))
    assert drawn(ddpm, "forward", size=5, steps=2).size == 5
    assert asked == [3]


def test_forward_reads_a_folder(ddpm, tmp_path):
    for name, value in (("a.png", 0), ("b.png", 255)):
        Image.new("RGB", (40, 30), (value,) * 3).save(tmp_path / name)
    found = drawn(ddpm, "forward", size=8, images=str(tmp_path))
    clean = found.x_t[found.t == found.timesteps[-1]]
    assert set(np.rint(clean.mean(axis=(1, 2, 3)))) <= {-1.0, 1.0}
    assert found.options["images"] == str(tmp_path)


def test_forward_encodes_images_for_latent_models(sd):
    picture = torch.zeros(1, 3, 16, 16)
    found = drawn(sd, "forward", size=2, steps=2, images=picture, guidance_scale=1.0)
    assert found.x_t.shape == (2, *sd.sample_shape)
    assert found.options["images"] == "[1, 3, 16, 16] given"


def test_forward_names_what_it_cannot_read(ddpm, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    for images, message in (
        (str(tmp_path / "none"), "no folder of images"),
        (str(tmp_path / "empty"), "holds no images"),
        (str(tmp_path), "broken.png cannot be read as an image"),
        (torch.zeros(2, 3, 16, 16), r"makes pictures of shape \[1, 16, 16\]; .* \[3, 16, 16\]"),
        (torch.full((1, 1, 16, 16), torch.nan), "images must be finite"),
    ):
        with pytest.raises(UserError, match=message):
            drawn(ddpm, "forward", images=images)


def test_samples_are_what_the_denoiser_is_given(new_pipeline):
    """Euler's x_t grows with sigma; the denoiser is given x_t / sqrt(sigma^2 + 1)."""
    pipeline = new_pipeline("ddpm")
    model = from_pipeline(pipeline, "tiny")
    found = drawn(model, size=5, steps=3, scheduler="euler")
    euler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    euler.set_timesteps(3)
    spec = sampling_spec(model, steps=3, samples=1, seed=0, scheduler="euler")
    for i, (x, t) in enumerate(zip(found.x_t, found.t, strict=True)):
        step = next(s for s in trajectory(model, spec, i, 1) if s.timestep == t)
        scaled = step.x_t[0] / (euler.sigmas[step.index] ** 2 + 1) ** 0.5
        np.testing.assert_allclose(x, scaled, atol=1e-5)


def test_features_come_from_the_middle(ddpm, sd, new_pipeline):
    assert middle(ddpm.denoiser) == "mid_block.attentions.0"
    assert middle(sd.denoiser) == "mid_block.attentions.0"
    pipeline = new_pipeline("ddpm")
    pipeline.unet.mid_block.attentions[0] = None
    assert middle(pipeline.unet) == "mid_block"
    pipeline.unet.mid_block = None
    assert middle(pipeline.unet) == "down_blocks.2"
    with pytest.raises(UserError, match="neither a mid block nor down blocks"):
        middle(torch.nn.Linear(1, 1))


@pytest.mark.parametrize("with_mid", [True, False])
def test_tdac_works_without_attention_or_a_mid_block(new_pipeline, with_mid):
    pipeline = new_pipeline("ddpm")
    more = {} if with_mid else {"mid_block_type": None}
    unet = tiny_unet(block_out_channels=(8, 8), **PLAIN_BLOCKS, add_attention=False, **more)
    model = from_pipeline(DDPMPipeline(unet, pipeline.scheduler), "plain")
    found = calibrate(model, "tdac", size=6, steps=3)
    assert found.size == 6
    assert np.isfinite(found.report.diversity).all()


def test_features_that_are_not_finite_are_an_error(new_pipeline):
    pipeline = new_pipeline("ddpm")
    model = from_pipeline(pipeline, "tiny")
    torch.nn.init.constant_(pipeline.unet.mid_block.resnets[1].conv1.weight, torch.nan)
    with pytest.raises(UserError, match="NaN or infinite"):
        calibrate(model, "tdac", size=4, steps=2)
    with pytest.raises(UserError, match="NaN or infinite"):
        drawn(model, "random", size=4, steps=3)
    assert hooks(pipeline.unet) == 0


def test_the_report_tells_close_samples_from_far_ones(ddpm, tdac_set):
    report = tdac_set.report
    assert report.density.shape == report.diversity.shape == report.coverage_per_step.shape == (5,)
    assert 0 <= report.coverage <= 1
    from analysis.calibration.geometry import coverage
    from analysis.calibration.own_runs import Source
    from analysis.models.conditioning import condition

    spec = sampling_spec(ddpm, steps=5, samples=1, seed=0)
    source = Source(ddpm, spec, tdac_set.timesteps, condition(ddpm), 16)
    features = step_features(source, 10, 16)
    near, far = (
        coverage(features, set_features(ddpm, replace(tdac_set, x_t=x), 16)).mean()
        for x in (tdac_set.x_t, tdac_set.x_t * 20)
    )
    assert near == pytest.approx(report.coverage)
    assert far < near


def test_statistics_are_those_of_the_samples(ddpm, tdac_set):
    stats = calibration_statistics(ddpm, tdac_set, exact=True)
    first = stats[ddpm.first_layer]
    steps = sorted(set(tdac_set.t.tolist()), reverse=True)
    for i, t in enumerate(steps):
        own = tdac_set.x_t[tdac_set.t == t]
        assert first.count[i] == own.size
        assert first.min[i] == own.min()
        assert first.max[i] == own.max()
        assert first.mean[i] == pytest.approx(own.mean(), abs=1e-6)
        assert first.histogram.counts[i].sum() == own.size
    assert set(stats) >= {layer.name for layer in ddpm.layers}
    assert hooks(ddpm.denoiser) == 0


def test_statistics_do_not_depend_on_the_order_or_the_batch(ddpm, tdac_set):
    shuffled = np.random.default_rng(0).permutation(tdac_set.size)
    other = replace(tdac_set, x_t=tdac_set.x_t[shuffled], t=tdac_set.t[shuffled])
    one = calibration_statistics(ddpm, tdac_set, layers="conv_out")["conv_out"]
    two = calibration_statistics(ddpm, other, layers="conv_out", batch=1)["conv_out"]
    np.testing.assert_allclose(one.std, two.std, rtol=1e-4)
    np.testing.assert_allclose(one.max, two.max, rtol=1e-4)


def test_statistics_under_guidance_see_both_rows(sd):
    found = drawn(sd, size=3, steps=2, guidance_scale=5.0)
    assert {len(rows) for rows in found.cond.values()} == {2}
    assert conditioning_of(found, sd).guided
    stats = calibration_statistics(sd, found, layers="conv_in", exact=True)["conv_in"]
    assert stats.count.sum() == 2 * found.x_t.size


def test_plain_rounding_takes_a_set(ddpm, tdac_set):
    quantized = analysis.quantize(ddpm, "rtn", "W8A8", calibration=tdac_set)
    stats = calibration_statistics(ddpm, tdac_set)
    grid, total = quantized.qparams["conv_out"].act, stats["conv_out"].total
    assert float(grid.scale) == pytest.approx((max(total.max, 0) - min(total.min, 0)) / 255)
    assert quantized.calibration == calibration_digest(tdac_set)
    with pytest.raises(UserError, match=r"drawn for another model .*; calibrate this one"):
        analysis.quantize(ddpm, calibration=replace(tdac_set, model_digest="other"))


def test_a_set_comes_back_from_disk(tdac_set, tmp_path):
    path = analysis.save_calibration(tdac_set, tmp_path / "folder" / "set.safetensors")
    found = analysis.load_calibration(path)
    assert calibration_digest(found) == calibration_digest(tdac_set)
    assert (found.sampler, found.seed, found.spec) == ("tdac", 0, tdac_set.spec)
    assert found.options == tdac_set.options
    assert np.array_equal(found.counts, tdac_set.counts)
    assert np.array_equal(found.report.diversity, tdac_set.report.diversity)
    assert found.report.radius == tdac_set.report.radius
    assert list(path.parent.iterdir()) == [path]


def test_conditioning_comes_back_from_disk(models, tmp_path):
    for family in ("sd", "sdxl"):
        model = models(family)
        found = drawn(model, size=2, steps=2)
        loaded = analysis.load_calibration(analysis.save_calibration(found, tmp_path / family))
        assert loaded.report is None
        one, two = (conditioning_of(c, model).for_batch(2) for c in (found, loaded))
        assert one.keys() == two.keys()
        assert torch.equal(one["encoder_hidden_states"], two["encoder_hidden_states"])
        assert np.isfinite(set_features(model, loaded, 16)).all()


def test_the_digest_follows_the_samples(tdac_set):
    other = replace(tdac_set, x_t=tdac_set.x_t + np.float32(1e-3))
    assert calibration_digest(other) != calibration_digest(tdac_set)
    assert calibration_digest(replace(tdac_set, report=None)) == calibration_digest(tdac_set)


def test_tampering_is_noticed(tdac_set, tmp_path):
    path = analysis.save_calibration(tdac_set, tmp_path / "set.safetensors")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[-5] ^= 1
    cut = whole[: len(whole) // 2]
    renamed = whole.replace(b"tdac", b"ndtc", 1)
    for content, message in (
        (bytes(changed), "damaged .*its contents were changed.*calibrate again"),
        (cut, "is no calibration set, or is cut short"),
        (renamed, "its contents were changed"),
        (b"text", "is no calibration set"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            analysis.load_calibration(path)
    with pytest.raises(UserError, match=r"There is no calibration set at .*`calibrate`"):
        analysis.load_calibration(tmp_path / "absent")


def test_a_capture_is_no_calibration_set(ddpm_capture, tmp_path):
    path = analysis.save_capture(ddpm_capture, tmp_path / "capture.safetensors")
    with pytest.raises(UserError, match="is no calibration set; give a file that `calibrate`"):
        analysis.load_calibration(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be a whole number of 1 or more samples; got 0"),
        ({"sampler": "tdca"}, "no calibration sampler named 'tdca'; .* Did you mean 'tdac'"),
        ({"sampler": "random", "lam": 1.0}, "'random' has no option 'lam'; its options are: none"),
        ({"lam": -1}, "lam must be 0 to "),
        ({"radius": True}, "radius must be 0 to "),
        ({"steps": 101}, "steps must be a whole number from 1 to 100"),
        ({"seed": -1}, "seed must be"),
        ({"sampler": "timestep-uniform", "size": 3, "steps": 4}, "at each of 4 steps"),
    ],
)
def test_mistakes_are_named_before_any_work(ddpm, monkeypatch, arguments, message):
    def refuse(*_, **__):
        raise AssertionError("the model ran")

    monkeypatch.setattr(ddpm.denoiser, "forward", refuse)
    with pytest.raises(UserError, match=message):
        calibrate(ddpm, **arguments)


def test_it_stops_when_asked_and_leaves_no_hook(ddpm):
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        drawn(ddpm, should_stop=lambda: next(asked))
    assert hooks(ddpm.denoiser) == 0


def test_the_command_draws_and_quantize_takes_it(cli, folders, tmp_path):
    run = tmp_path / "cal"
    common = ("--model", folders("ddpm"), "--device", "cpu")
    status, out, _ = cli(
        "calibrate", *common, "--sampler", "ndtc", "--size", 6, "--steps", 4, "--set",
        "mode=truncated", "--out", run, "--json",
    )  # fmt: skip
    values = json.loads(out)
    assert status == 0
    assert values["run"] == str(run)
    assert values["size"] == sum(values["counts"]) == 6
    lengths = {len(values[k]) for k in ("timesteps", "counts", "density", "diversity")}
    assert lengths == {4}
    assert 0 <= values["coverage"] <= 1
    assert values["options"]["mode"] == "truncated"
    assert analysis.load_calibration(run / "calibration.safetensors").seed == 0
    status, out, err = cli(
        "quantize",
        *common,
        "--calibration",
        run,
        "--plan",
        "W8A8",
        "--out",
        tmp_path / "q",
        "--json",
    )
    assert (status, err) == (0, "")
    assert json.loads(out)["plan"] == "W8A8"


def test_the_command_names_mistakes_in_one_line(cli, folders, tmp_path):
    common = ("--model", folders("ddpm"), "--device", "cpu", "--out", tmp_path / "run")
    for arguments, message in (
        (("--size", 0), "error: size must be a whole number of 1 or more samples; got 0."),
        (("--set", "lam"), "error: --set takes NAME=VALUE; got 'lam'."),
        (
            ("--sampler", "timestep-uniform", "--size", 5),
            "error: timestep-uniform needs one sample",
        ),
    ):
        status, out, err = cli("calibrate", *common, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith(message)
        assert err.count("\n") == 1
    status, _, err = cli("quantize", *common[:4], "--calibration", tmp_path)
    assert status == 2
    assert "holds neither a calibration set nor a capture" in err


def test_every_sampler_is_registered_under_its_promised_name():
    promised = {"random", "gaussian", "forward", "ndtc", "timestep-uniform", "tdac"}
    assert promised | {"single", "custom"} == set(SAMPLERS)


def test_ddim_and_ddpm_runs_differ_only_in_what_they_are(new_pipeline):
    """A model's own scheduler decides; naming another one changes the samples."""
    pipeline = new_pipeline("ddpm")
    model = from_pipeline(DDIMPipeline(pipeline.unet, pipeline.scheduler), "tiny")
    one, two = (drawn(model, size=4, steps=3, scheduler=s) for s in ("ddim", "ddpm"))
    assert (one.spec.scheduler, two.spec.scheduler) == ("ddim", "ddpm")
    assert np.array_equal(one.t, two.t)
    assert not np.array_equal(one.x_t, two.x_t)
