"""What all peers share: the runs, and the jobs."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "ours"  # this project's row, beside which losses are told
PLANS = ("W8A8", "W4A8")
PLAIN = "float"  # the job that draws the float model's pictures
JOBS = ("memory-plain", "memory", "time", *PLANS)
NOISE_SEED = 1000  # everybody collects from the noise of seed 0, and is measured on other noise


@dataclass(frozen=True)
class Settings:
    """Of collecting: steps, samples, pairs of runs. Of the pictures: how many, in how many steps.

    One batch is what torchao's graph is made for, so both have the same batch size.
    """

    steps: int = 50
    samples: int = 16
    rounds: int = 5
    quality_steps: int = 50
    quality_samples: int = 128

    @property
    def slug(self) -> str:
        """A name for the folder of these settings."""
        pictures = f"{self.quality_samples}x{self.quality_steps}"
        return f"{self.samples}x{self.steps}-{self.rounds}-{pictures}"
