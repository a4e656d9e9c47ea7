"""Integers of 2 to 8 bits, back to back in bytes, the lowest bit first."""

from __future__ import annotations

import numpy as np

from analysis.errors import UserError
from analysis.records import Array


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` integers take."""
    return -(-count * bits // 8)


def pack(levels: Array, bits: int) -> Array:
    """Pack integers 0 .. 2^bits - 1 of any shape into bytes [ceil(count * bits / 8)].

    >>> pack(np.array([1, 2, 3, 0], dtype=np.uint8), bits=2)
    array([57], dtype=uint8)
    """
    flat = np.ascontiguousarray(levels, dtype=np.uint8).reshape(-1)
    if flat.size and int(flat.max()) >= 2**bits:
        raise ValueError(f"{int(flat.max())} does not fit {bits} bits")
    if bits == 8:
        return flat
    each = np.unpackbits(flat[:, None], axis=1, count=bits, bitorder="little")  # [N, bits]
    return np.packbits(each.reshape(-1), bitorder="little")


def unpack(packed: Array, bits: int, count: int) -> Array:
    """The `count` integers [count] uint8 that `pack` put away.

    >>> unpack(np.array([57], dtype=np.uint8), bits=2, count=4)
    array([1, 2, 3, 0], dtype=uint8)

    Raises:
        UserError: when the bytes are not as many as they must be.
    """
    if packed.size != packed_size(count, bits):
        raise UserError(
            f"{count} weights of {bits} bits take {packed_size(count, bits)} bytes, not "
            f"{packed.size}; the file is damaged, quantize again."
        )
    each = np.unpackbits(packed, count=count * bits, bitorder="little")  # [N * bits]
    return np.packbits(each.reshape(count, bits), axis=1, bitorder="little").reshape(-1)
