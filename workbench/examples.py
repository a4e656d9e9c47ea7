"""Captures that come with the repository, opened by one click; each may bring a model along."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from analysis.capture.store import BUNDLED_CAPTURE, load_capture
from workbench.captures import BUNDLED, OpenCapture, bundled_capture, find

FOLDER = BUNDLED_CAPTURE.parent


@dataclass(frozen=True)
class Example:
    """What the page offers, and why one would open it."""

    key: str  # of the capture, in links
    title: str
    about: str
    model: str  # that the capture was taken of


EXAMPLES = {
    example.key: example
    for example in (
        Example(
            BUNDLED,
            "Trained, many small steps",
            "Where this page starts: a small model of clothes, from noise to picture in small "
            "steps.",
            "fashion",
        ),
        Example(
            "few-steps",
            "Trained, few large steps",
            "The same model with a faster sampler (DPM-Solver++). Fewer moments have to share a "
            "grid, but each counts for more.",
            "fashion",
        ),
        Example(
            "untrained",
            "Not trained at all",
            "A narrower network of the same kind with random weights. What you still see is the "
            "architecture's doing, not training's.",
            "untrained",
        ),
    )
}


class ExampleCapture(OpenCapture):
    """A capture of the repository, shared by all visitors, that says which model it is of."""

    @property
    def model_name(self) -> str:
        return EXAMPLES[self.key].model

    @property
    def label(self) -> str:
        return super().label.replace("own capture", "example")


@lru_cache(maxsize=len(EXAMPLES))
def example(key: str) -> OpenCapture:
    """An example by its key; the bundled capture is one of them."""
    if key == BUNDLED:
        return bundled_capture()
    return ExampleCapture(key, load_capture(FOLDER / f"{key}.safetensors"))


def example_files() -> list[Path]:
    """The files of all examples."""
    return [
        BUNDLED_CAPTURE if key == BUNDLED else FOLDER / f"{key}.safetensors" for key in EXAMPLES
    ]


def find_any(key: str, runs: Path) -> OpenCapture:
    """The capture that a link names: an example, or one that was kept.

    Raises:
        UserError: when there is none of that name.
    """
    return example(key) if key in EXAMPLES else find(key, runs)
