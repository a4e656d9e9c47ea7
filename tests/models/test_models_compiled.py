"""torch.compile as an option: the same pictures, or a sentence that says why not."""

from __future__ import annotations

import pytest
import torch

import analysis
from analysis.models.compiled import compiled, why_not_compiled
from analysis.models.trajectory import sample, sampling_spec


@pytest.fixture
def backend(monkeypatch):
    """Compile by a backend of the test's own."""
    compile = torch.compile

    def use(made):
        monkeypatch.setattr(torch, "compile", lambda model: compile(model, backend=made))

    yield use
    torch._dynamo.reset()


def test_a_traced_model_makes_the_same_pictures(ddpm, backend):
    seen = []

    def count(graph, inputs):
        seen.append(len(graph.graph.nodes))
        return graph.forward

    backend(count)
    spec = sampling_spec(ddpm, steps=2, samples=2)
    torch.testing.assert_close(sample(ddpm, spec, compile=True), sample(ddpm, spec))
    assert sum(seen) > 100  # the whole model went through the compiler


def test_a_compiler_that_fails_is_told_and_done_without(ddpm, backend):
    def fail(graph, inputs):
        raise RuntimeError("no C++ compiler here\nand more")

    backend(fail)
    quantized = analysis.quantize(ddpm, plan="W8A32")
    plain = analysis.compare(ddpm, quantized, samples=2, steps=2)
    done = analysis.compare(ddpm, quantized, samples=2, steps=2, compile=True)
    assert done.values["psnr_db"] == plain.values["psnr_db"]
    (sentence,) = done.values["not_compiled"]
    assert "torch.compile does not work for this model here" in sentence
    assert "no C++ compiler here" in sentence
    assert sentence.endswith("it is sampled without.")
    assert "not_compiled" not in plain.values


def test_a_fault_of_the_model_itself_is_raised(ddpm, backend):
    backend(lambda graph, inputs: graph.forward)
    model = compiled(ddpm)
    with pytest.raises(RuntimeError, match=r"channels|expected input"):
        model.denoiser(torch.zeros(1, 3, 16, 16), torch.tensor(1))
    assert why_not_compiled([model]) == []


def test_a_quantized_model_is_one_graph_with_the_same_answers(ddpm):
    """A graph cut at every quantizer would be slower than no graph."""
    from analysis.capture.run import capture

    taken = capture(ddpm, steps=2, samples=1)
    quantized = analysis.quantize(ddpm, plan="W4A4", calibration=taken, split=True)
    x, t = torch.randn(2, *ddpm.sample_shape), torch.tensor(500)
    graphs = []

    def keep(graph, inputs):
        graphs.append(graph)
        return graph.forward

    unet = quantized.handle.denoiser
    with torch.no_grad():
        whole = torch.compile(unet.forward, backend=keep, fullgraph=True)(x, t).sample
        torch.testing.assert_close(whole, unet(x, t).sample)
    assert len(graphs) == 1
    torch._dynamo.reset()
