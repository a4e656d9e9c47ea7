"""Jobs of peers on a tiny model: the protocol, and torch.ao's ranges as they should be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.ao.quantization import FakeQuantize

from analysis.models.load import from_pipeline
from analysis.models.trajectory import sample, sampling_spec
from benchmarks.peers.ours import Ours
from benchmarks.peers.peer import Bits, Noise, Peer, Records, Run, plain
from benchmarks.peers.settings import NOISE_SEED, Settings
from benchmarks.peers.torch_ao import TorchAoHistogram, TorchAoMinMax
from benchmarks.peers.worker import do, peak_megabytes

SETTINGS = Settings(steps=2, samples=2, rounds=3, quality_steps=3, quality_samples=4)
ROOT = Path(__file__).parents[2]


class Fake(Peer):
    """Quantizes nothing, and remembers what it was asked."""

    name = "fake"
    package = "torch"
    records = Records(False, False, False, "")
    setting = ""

    def __init__(self):
        self.asked = []

    def prepare(self, run, bits):
        self.asked.append(("prepare", bits, run.steps))
        return plain(run)

    def collect(self, prepared, run):
        self.asked.append(("collect", run.samples, run.seed))
        run(prepared)

    def quantized(self, prepared):
        return prepared


@pytest.fixture(scope="module")
def run(new_pipeline):
    model = from_pipeline(new_pipeline("ddpm"), "tiny")
    return Run(model, SETTINGS.steps, SETTINGS.samples)


def test_bits_are_read_from_a_plan():
    assert Bits.of("W4A8") == Bits(4, 8)
    with pytest.raises(ValueError, match="no plan: 4-8"):
        Bits.of("4-8")


def test_every_pair_is_timed_on_fresh_statistics(run, tmp_path):
    peer = Fake()
    found = do(peer, "time", run, SETTINGS, tmp_path / "p")
    assert [len(found[key]) for key in ("plain_s", "collect_s")] == [3, 3]
    assert min(found["plain_s"] + found["collect_s"]) > 0
    whats = [what for what, *_ in peer.asked]
    assert whats == ["prepare", "collect"] * 4  # the first of two steps warms up
    assert {bits for what, bits, _ in peer.asked if what == "prepare"} == {Bits(8, 8)}


def test_memory_without_collecting_is_of_the_same_set_up(run, tmp_path):
    peer = Fake()
    assert do(peer, "memory-plain", run, SETTINGS, tmp_path / "p")["peak_mb"] > 0
    assert peer.asked == [("prepare", Bits(8, 8), 2)]


def test_the_peak_is_at_least_what_is_held_now():
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    assert peak_megabytes() >= held / 1024


def test_pictures_come_from_noise_that_nobody_collected_from(run, tmp_path):
    path = tmp_path / "pictures.safetensors"
    peer = Fake()
    values = do(peer, "W4A8", run, SETTINGS, path)
    assert peer.asked == [("prepare", Bits(4, 8), 2), ("collect", 2, 0)]
    assert values["quantize_s"] > 0
    spec = sampling_spec(run.model, 3, 4, NOISE_SEED)
    torch.testing.assert_close(
        load_file(path)["pictures"], sample(run.model, spec, 2), rtol=0, atol=0
    )


def test_our_own_row_is_what_the_library_gives(run):
    peer = Ours()
    prepared = peer.prepare(run, Bits(4, 8))
    peer.collect(prepared, run)
    assert prepared.capture[0].spec.samples == 2
    noise = peer.quantized(prepared)
    assert isinstance(noise, Noise)
    assert not torch.equal(run(noise), run(plain(run)))


@pytest.mark.parametrize("peer", [TorchAoMinMax(), TorchAoHistogram()], ids=lambda p: p.name)
def test_torch_ao_collects_without_changing_the_pictures(run, peer):
    prepared = peer.prepare(run, Bits(8, 8))
    torch.testing.assert_close(run(prepared), run(plain(run)), rtol=0, atol=0)


def test_torch_ao_has_the_levels_and_ranges_that_were_asked_for(run):
    peer = TorchAoMinMax()
    prepared = peer.prepare(run, Bits(4, 8))
    seen = []
    first = prepared.unet.conv_in
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    peer.collect(prepared, run)
    hook.remove()
    noise = peer.quantized(prepared)
    activation, layer = noise.unet.conv_in
    low, high = torch.cat(seen).min(), torch.cat(seen).max()
    torch.testing.assert_close(activation.scale[0], (high - low) / 255)
    weight = layer.weight_fake_quant(layer.weight)
    step = layer.weight.detach().abs().amax((1, 2, 3)) / 7.5  # symmetric over -8 .. 7
    levels = weight / step[:, None, None, None]
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    assert levels.min() >= -8.001
    assert levels.max() <= 7.001
    off = (weight - layer.weight).abs().amax((1, 2, 3))
    assert (off <= step * 0.5001).all()
    switched = [m for m in noise.modules() if isinstance(m, FakeQuantize)]
    assert all(m.fake_quant_enabled[0] and not m.observer_enabled[0] for m in switched)


def test_torchvision_of_another_build_can_be_imported(tmp_path):
    """One that is missing its operators when it is imported, as CUDA's wheel is without CUDA."""
    home = tmp_path / "torchvision"
    home.mkdir()
    home.joinpath("__init__.py").write_text(
        "import torch\n"
        "torch._C._dispatch_has_kernel_for_dispatch_key('torchvision::nms', 'Meta')\n"
        "from torchvision import ops\n"
    )
    home.joinpath("ops.py").write_text("WHOLE = True\n")
    code = (
        "from benchmarks.peers.start import declare_operators as declare\n"
        "print(declare(), declare()); import torchvision; print(torchvision.ops.WHOLE)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "False", "True"], done.stderr
