"""How one tensor is quantized."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.errors import UserError
from analysis.quant.ranges import get_estimator

FLOAT_BITS = 32
GRANULARITIES = ("per_tensor", "per_channel")


def check_bits(bits: int, fine: str | None = None) -> None:
    """Raise `UserError` unless `bits` is 2 to 8, or 32 for float; what `fine` names may have 16."""
    whole = isinstance(bits, int) and not isinstance(bits, bool)
    if whole and (2 <= bits <= 8 or bits == FLOAT_BITS or (fine is not None and bits == 16)):
        return
    known = "2 to 8, 16, or 32 for float" if fine else "2 to 8, or 32 for float"
    raise UserError(f"{fine or 'bits'} must be {known}; got {bits}")


@dataclass(frozen=True)
class QuantScheme:
    """Bits, symmetry, granularity and range estimator of one tensor.

    16 bits are for attention probabilities, which need many levels below 1; 32 means float.

    Raises:
        UserError: for bits, a granularity or an estimator that do not exist.
    """

    bits: int
    symmetric: bool = False
    granularity: str = "per_tensor"
    estimator: str = "minmax"

    def __post_init__(self) -> None:
        if self.bits != 16:
            check_bits(self.bits)
        if self.granularity not in GRANULARITIES:
            raise UserError(
                f"granularity must be per_tensor or per_channel; got {self.granularity!r}"
            )
        get_estimator(self.estimator)

    @property
    def is_float(self) -> bool:
        return self.bits == FLOAT_BITS
