"""Runtimes that execute an exported model, one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from analysis.errors import UserError
from analysis.records import Array
from analysis.registry import Registry, discover


@dataclass(frozen=True)
class BackendOptions:
    """How a model is compiled."""

    # For what does not run in integers, where the CPU has it; `None` tries both for their speed.
    bfloat16: bool | None = False
    threads: int | None = None  # the runtime's own choice if not given
    watch: bool = False  # keep the seconds of every node; costs a little time itself


RESTS: dict[str, bool | None] = {"fastest": None, "float32": False, "bfloat16": True}


def rest_options(rest: str) -> BackendOptions:
    """How to compile, by the name of the precision of what does not run in integers.

    Raises:
        UserError: for another name than those in `RESTS`.
    """
    if rest not in RESTS:
        raise UserError(f"The rest can run in {', '.join(RESTS)}; got {rest!r}.")
    return BackendOptions(bfloat16=RESTS[rest])


@dataclass(frozen=True)
class RuntimeNode:
    """One operation as the runtime executes it."""

    names: tuple[str, ...]  # of the file's nodes that it stands for
    kind: str
    precision: str  # as the runtime calls it: f32, bf16, u8
    kernel: str  # its implementation
    seconds: float | None = None  # of the last run; `None` where nobody watched

    @property
    def integer(self) -> bool:
        """Whether it multiplies integers: some kernels take integers and compute in float."""
        floating = self.kernel.lower().endswith(("f32", "f16"))  # bf16 included
        return self.precision in ("u8", "i8") and not floating


class Compiled(Protocol):
    """A model compiled for inputs of fixed shapes."""

    notes: tuple[str, ...]  # sentences: what could not be done as asked
    bfloat16: bool  # whether what does not run in integers runs in it

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs of the file, in its order."""

    def nodes(self) -> list[RuntimeNode] | None:
        """What is executed, in order; `None` where the runtime does not tell."""


Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Backend:
    """A runtime: its name, the packages it needs, and how it compiles the bytes of a model."""

    name: str
    title: str
    packages: tuple[str, ...]
    compile: Callable[[bytes, Shapes, BackendOptions], Compiled]
    bfloat16: bool = False  # whether it can compute in bfloat16 at all


BACKENDS: Registry[Backend] = Registry("backend")

discover(__name__)
