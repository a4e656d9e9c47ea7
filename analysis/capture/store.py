"""Captures on disk: one safetensors file, whole or absent, checked when it is read."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.capture.check import COLUMNS, check_capture
from analysis.files import FileKind, digest, read_tensors, write_tensors
from analysis.records import (
    Array,
    Capture,
    Histogram,
    LayerRef,
    LayerStats,
    SamplingSpec,
    Shortcut,
)

KIND = FileKind("activation-capture", 1, "capture", "capture", "capture again")
BUNDLED_CAPTURE = Path(__file__).parents[2] / "assets" / "captures" / "fashion.safetensors"


def save_capture(capture: Capture, path: str | Path) -> Path:
    """Write a capture to a file, under a temporary name until it is whole.

    Layers whose statistics are equal, such as every consumer of the time embedding, share one
    copy.

    Raises:
        UserError: when the file cannot be written, for want of room say.
    """
    groups, members = _shared(capture.stats)
    tensors, kinds = _deflate(_pack(groups, capture.timesteps))
    header = {
        "model": capture.model,
        "model_digest": capture.model_digest,
        "spec": asdict(capture.spec),
        "layers": [asdict(layer) for layer in capture.layers],
        "members": members,
        "deflated": kinds,
        "shortcuts": [asdict(shortcut) for shortcut in capture.shortcuts],
        "exact": capture.exact,
        "seconds": capture.seconds,
        "peak_mb": capture.peak_mb,
        "meta": capture.meta,
    }
    return write_tensors(path, KIND, header, tensors)


def load_capture(path: str | Path) -> Capture:
    """Read what `save_capture` wrote.

    Raises:
        UserError: when the file is missing, cut short, changed, or something else.
    """
    header, tensors = read_tensors(path, KIND)
    try:
        return _rebuild(header, _inflate(tensors, header["deflated"]))
    except (KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
        raise KIND.damaged(Path(path), error) from None


def capture_digest(capture: Capture) -> str:
    """SHA-256 over what was measured: layers, steps and statistics."""
    groups, members = _shared(capture.stats)
    names = json.dumps([[layer.name for layer in capture.layers], members])
    return digest(names, _pack(groups, capture.timesteps))


def _shared(stats: Sequence[LayerStats]) -> tuple[list[LayerStats], list[int]]:
    """Distinct statistics, and for every layer the position of its own among them."""
    groups: list[LayerStats] = []
    known: dict[bytes, int] = {}
    members = []
    for layer in stats:
        parts = (layer.channel_min, layer.channel_max, layer.std, layer.histogram.counts)
        key = hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).digest()
        if key not in known:
            known[key] = len(groups)
            groups.append(layer)
        members.append(known[key])
    return groups, members


def _pack(groups: Sequence[LayerStats], timesteps: Array) -> dict[str, Array]:
    """Columns of all layers side by side; channels one layer behind the other."""
    tensors = {name: np.stack([getattr(g, name) for g in groups]) for name in COLUMNS}  # [G, T]
    widest = max((g.histogram.counts.dtype for g in groups), key=lambda kind: kind.itemsize)
    tensors["counts"] = np.stack([g.histogram.counts.astype(widest) for g in groups])  # [G, T, B]
    tensors["edges"] = np.array([(g.histogram.edges[0], g.histogram.width) for g in groups])
    tensors["channels"] = np.array([g.channel_min.shape[1] for g in groups], dtype=np.int64)
    for name in ("channel_min", "channel_max"):
        joined = np.concatenate([getattr(g, name) for g in groups], axis=1)  # [T, sum of C]
        tensors[name] = np.ascontiguousarray(joined)
    tensors["timesteps"] = np.asarray(timesteps, dtype=np.float64)
    return tensors


def _deflate(tensors: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Large tensors as compressed bytes, which thirds the file, with their types and shapes."""
    kinds = {
        name: [str(tensor.dtype), list(tensor.shape)]
        for name, tensor in tensors.items()
        if tensor.nbytes >= 2**16
    }
    packed = {
        name: np.frombuffer(zlib.compress(tensors[name].tobytes()), dtype=np.uint8)
        for name in kinds
    }
    return {**tensors, **packed}, kinds


def _inflate(tensors: Mapping[str, Array], kinds: Mapping[str, Any]) -> dict[str, Array]:
    out = dict(tensors)
    for name, (kind, shape) in kinds.items():
        size = int(np.dtype(kind).itemsize * np.prod(shape, dtype=np.int64))
        # One byte more than promised shows a stream that is longer, without unpacking all of it.
        content = zlib.decompressobj().decompress(tensors[name].tobytes(), size + 1)
        out[name] = np.frombuffer(content, dtype=kind).reshape(shape)
    return out


def _unpack(tensors: Mapping[str, Array]) -> list[LayerStats]:
    channels = tensors["channels"]
    if (channels < 1).any() or channels.sum() != tensors["channel_min"].shape[1]:
        raise ValueError("its channels do not add up")
    ends = np.cumsum(channels)
    counts = tensors["counts"]
    bins = np.arange(counts.shape[-1] + 1, dtype=np.float64)
    groups = []
    for i, (start, width) in enumerate(tensors["edges"]):
        part = slice(ends[i] - channels[i], ends[i])
        columns = {name: tensors[name][i] for name in COLUMNS}
        histogram = Histogram(counts[i], start + width * bins)
        low, high = tensors["channel_min"][:, part], tensors["channel_max"][:, part]
        groups.append(LayerStats(**columns, histogram=histogram, channel_min=low, channel_max=high))
    return groups


def _rebuild(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Capture:
    groups = _unpack(tensors)
    layers = tuple(
        LayerRef(row["name"], row["kind"], row["tap"], tuple(row["shape"]))
        for row in header["layers"]
    )
    members = header["members"]
    if len(members) != len(layers) or not all(0 <= i < len(groups) for i in members):
        raise ValueError("its layers and statistics do not match")
    capture = Capture(
        model=header["model"],
        model_digest=header["model_digest"],
        spec=SamplingSpec(**header["spec"]),
        layers=layers,
        timesteps=tensors["timesteps"],
        stats=tuple(groups[i] for i in members),
        shortcuts=tuple(Shortcut(**row) for row in header["shortcuts"]),
        exact=header["exact"],
        seconds=header["seconds"],
        peak_mb=header["peak_mb"],
        meta=header["meta"],
    )
    check_capture(capture)
    return capture
