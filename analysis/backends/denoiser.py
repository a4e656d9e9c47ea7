"""A compiled model in the place of a denoiser: whatever samples a `ModelHandle` samples it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.backends import Backend, BackendOptions, Compiled, Shapes
from analysis.backends.fastest import compile_fastest
from analysis.export.onnx import onnx_bytes
from analysis.extra import need
from analysis.models.handle import ModelHandle
from analysis.quant.model import QuantizedModel
from analysis.records import Array


class CompiledDenoiser(nn.Module):
    """Answers as a diffusers UNet does; compiles once for each batch size that it meets.

    The runtime computes on the processor. Answers come to the device that the sample is on, as
    from the model in whose place it stands, which may run on a GPU.

    `seconds` and `compile_seconds` say what it has spent on answering and on compiling.
    """

    def __init__(
        self,
        config: Any,
        model: bytes,
        build: Callable[[Shapes], Compiled],
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.config, self.model = config, model
        place = torch.zeros(1, device=device)  # tells device and dtype
        self.place = nn.Parameter(place, requires_grad=False)
        self.seconds = self.compile_seconds = 0.0
        self._build = build
        self._compiled: dict[tuple[Any, ...], Compiled] = {}
        self.last_inputs: dict[str, Array] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the runtime could not do as asked."""
        found = (note for compiled in self._compiled.values() for note in compiled.notes)
        return tuple(dict.fromkeys(found))

    def forward(self, sample: Tensor, timestep: Any, return_dict: bool = True, **told: Any) -> Any:
        told |= told.pop("added_cond_kwargs", None) or {}
        inputs = {"sample": _array(sample), "timestep": np.asarray(float(timestep), np.float32)}
        inputs |= {name: _array(value) for name, value in told.items() if value is not None}
        compiled = self.compiled_for({name: value.shape for name, value in inputs.items()})
        self.last_inputs = inputs
        started = time.perf_counter()
        out = torch.from_numpy(np.array(compiled.run(inputs)[0]))
        self.seconds += time.perf_counter() - started
        out = out.to(sample.device)
        return SimpleNamespace(sample=out) if return_dict else (out,)

    def compiled_for(self, shapes: Shapes) -> Compiled:
        """The model for inputs of these shapes."""
        key = tuple(sorted(shapes.items()))
        if key not in self._compiled:
            started = time.perf_counter()
            self._compiled[key] = self._build(shapes)
            self.compile_seconds += time.perf_counter() - started
        return self._compiled[key]

    def any_compiled(self) -> Compiled:
        """What was compiled last; the kernels are the same for all sizes."""
        return next(reversed(self._compiled.values()))


def compiled_handle(
    model: QuantizedModel, backend: Backend, options: BackendOptions | None = None
) -> ModelHandle:
    """A handle on the exported model; its denoiser is a `CompiledDenoiser`.

    Raises:
        UserError: when a package is not installed, and as for `export_onnx`.
    """
    need(backend.title, *backend.packages)
    content, chosen = onnx_bytes(model), options or BackendOptions()
    denoiser = CompiledDenoiser(
        model.handle.denoiser.config,
        content,
        lambda shapes: compile_fastest(backend, content, shapes, chosen),
        model.handle.device,
    )
    return model.handle.with_denoiser(denoiser)


def _array(value: Tensor) -> Array:
    return np.ascontiguousarray(value.detach().cpu().numpy())
