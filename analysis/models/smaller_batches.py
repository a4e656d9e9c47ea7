"""Going on with half the batch where a GPU has too little memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from analysis.errors import UserError

T = TypeVar("T")


def with_smaller_batches(run: Callable[[int], T], batch: int) -> T:
    """`run(batch)`; out of memory on a GPU it is begun anew with half the batch, down to one.

    Samples do not depend on their batch, so that the outcome is the same but for rounding.

    Raises:
        UserError: when one sample at a time is too much as well.
    """
    while True:
        try:
            return run(batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise UserError(
                    "The GPU has too little memory for one sample at a time; use --device cpu, "
                    "or end what else holds its memory."
                ) from None
        # Outside the handler: the error holds on to the tensors of the frames that it left.
        batch //= 2
        gc.collect()
        torch.cuda.empty_cache()
