"""Files that are no captures, or no longer: one sentence each, never half a capture."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from analysis.capture.run import capture
from analysis.capture.store import load_capture, save_capture
from analysis.errors import UserError
from analysis.shortcuts import shortcut_report


@pytest.fixture(scope="module")
def good(ddpm, tmp_path_factory) -> Path:
    """A small capture with one shortcut."""
    done = capture(ddpm, steps=2, samples=1, layers="conv_in,up_blocks.0.resnets.0.*", bins=64)
    assert len(done.shortcuts) == 1
    return save_capture(done, tmp_path_factory.mktemp("good") / "c.safetensors")


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        load_capture(path)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    assert sentence.endswith((".", "capture again."))
    return sentence


def forge(good: Path, path: Path, change) -> Path:
    """A capture whose contents were changed by someone who also set its digest right."""
    with safe_open(good, framework="numpy") as file:
        header = json.loads(file.metadata()["header"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert header["deflated"] == {}
    change(header, tensors)
    text = json.dumps(header)
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        sha.update(tensors[name].tobytes())
    metadata = {"header": text, "digest": sha.hexdigest()}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    return path


def test_the_forger_of_these_tests_knows_the_trade(good, tmp_path):
    same = load_capture(forge(good, tmp_path / "f", lambda header, tensors: None))
    assert same.timesteps.tolist() == load_capture(good).timesteps.tolist()


def test_a_missing_file(tmp_path):
    path = tmp_path / "none.safetensors"
    assert refusal(path) == f"There is no capture at {path}; make one with `capture`."


def test_a_folder(tmp_path):
    assert refusal(tmp_path).startswith(f"{tmp_path.name} is no capture")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_file_cut_short(good, tmp_path, share):
    content = good.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[: int(share * len(content))])
    assert refusal(path).startswith("cut.safetensors is no capture, or is cut short (")


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100])
def test_the_first_few_bytes_alone(good, tmp_path, length):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(good.read_bytes()[:length])
    refusal(path)


def test_a_file_with_something_behind_it(good, tmp_path):
    path = tmp_path / "long.safetensors"
    path.write_bytes(good.read_bytes() + b"more")
    refusal(path)


def words(content: bytes) -> Any:
    """What the header says; its bytes where they are no JSON."""
    length = int.from_bytes(content[:8], "little")
    try:
        return json.loads(bytes(content[8 : 8 + length])), length
    except ValueError:
        return bytes(content), length


@given(st.data())
def test_a_changed_byte_anywhere(good, tmp_path_factory, data):
    content = bytearray(good.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    # Most bytes are numbers; as many tries go to the header, where more can go wrong.
    at = data.draw(st.integers(0, header - 1) | st.integers(header, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("flipped") / "c.safetensors"
    path.write_bytes(content)
    if at < header and words(content) == words(good.read_bytes()):
        load_capture(path)  # a blank for a blank between the words of JSON changes nothing
    else:
        refusal(path)


@pytest.mark.parametrize(
    "metadata", [None, {}, {"header": "{}"}, {"header": "[]"}, {"header": "3"}]
)
def test_a_foreign_safetensors_file(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.ones(3)}, metadata))
    assert refusal(path) == ("model.safetensors is no capture; give a file that `capture` wrote.")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04.", b"\xff" * 100, b"{}"])
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    refusal(path)


def test_a_header_that_is_no_json(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.ones(3)}, {"header": "{"}))
    assert refusal(path).startswith("The capture c.safetensors is damaged (")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version(good, tmp_path, version):
    path = forge(good, tmp_path / "c", lambda h, t: h.update(format_version=version))
    assert refusal(path) == f"c has format version {version}, but only 1 is known; capture again."


def changed_tensor(name: str, change):
    def edit(header, tensors) -> None:
        tensors[name] = np.ascontiguousarray(change(tensors[name]))

    return edit


def changed_header(**entries):
    return lambda header, tensors: header.update(entries)


def dropped(name: str):
    def edit(header, tensors) -> None:
        (tensors if name in tensors else header).pop(name)

    return edit


def renamed_layer(name: str):
    def edit(header, tensors) -> None:
        header["layers"][0]["name"] = name

    return edit


FORGERIES = {
    "no means": dropped("mean"),
    "no counts": dropped("counts"),
    "no edges": dropped("edges"),
    "no layers": dropped("layers"),
    "no spec": dropped("spec"),
    "no list of the deflated": dropped("deflated"),
    "means of fewer steps": changed_tensor("mean", lambda x: x[:, :1]),
    "counts of fewer steps": changed_tensor("counts", lambda x: x[:, :1]),
    "counts of fewer layers": changed_tensor("counts", lambda x: x[:1]),
    "fewer channels": changed_tensor("channel_min", lambda x: x[:, :2]),
    "fewer of all channels": changed_tensor("channels", lambda x: x + 100),
    "negative channels": changed_tensor("channels", lambda x: -x),
    "channels in fractions": changed_tensor("channels", lambda x: x + 0.5),
    "edges of one number": changed_tensor("edges", lambda x: x[:, :1]),
    "bins without width": changed_tensor("edges", lambda x: x * [[1, 0]]),
    "edges that are no numbers": changed_tensor("edges", lambda x: x * np.nan),
    "a mean that is no number": changed_tensor("mean", lambda x: x * np.nan),
    "an infinite maximum": changed_tensor("max", lambda x: x + np.inf),
    "negative counts": changed_tensor("counts", lambda x: -x.astype(np.int64)),
    "a count of nothing": changed_tensor("count", lambda x: x * 0),
    "timesteps in two dimensions": changed_tensor("timesteps", lambda x: x[None]),
    "no timesteps": changed_tensor("timesteps", lambda x: x[:0]),
    "more timesteps": changed_tensor("timesteps", lambda x: np.append(x, 0)),
    "layers that are a number": changed_header(layers=3),
    "a layer without a name": changed_header(layers=[{"kind": "conv"}]),
    "no layers at all": changed_header(layers=[], members=[]),
    "members beyond the end": lambda h, t: h.update(members=[10**6] * len(h["members"])),
    "negative members": lambda h, t: h.update(members=[-1] * len(h["members"])),
    "members in words": lambda h, t: h.update(members=["0"] * len(h["members"])),
    "a specification of other words": changed_header(spec={"what": 1}),
    "a shortcut of other words": changed_header(shortcuts=[{"what": 1}]),
    "a shortcut that is not there": changed_header(
        shortcuts=[{"layer": "conv_in", "channels_h": 1, "channels_skip": 1}]
    ),
    "a tensor that does not unpack": changed_header(deflated={"mean": ["float64", [2, 2]]}),
    "a type that does not exist": changed_header(deflated={"mean": ["nonsense", [2, 2]]}),
    "a type that runs code": changed_header(deflated={"mean": ["object", [2, 2]]}),
    "markup in a name": renamed_layer("<img src=x onerror=alert(1)>"),
    "a line break in a name": renamed_layer("conv\nin"),
    "no text in a name": renamed_layer(""),
    "a number for a name": renamed_layer(7),
    "two layers of one name": lambda h, t: h["layers"].__setitem__(1, h["layers"][0]),
}


@pytest.mark.parametrize("forgery", list(FORGERIES))
def test_a_forged_capture(good, tmp_path, forgery):
    path = forge(good, tmp_path / "c.safetensors", FORGERIES[forgery])
    assert refusal(path).startswith("The capture c.safetensors is damaged (")


@pytest.mark.parametrize("size", [2**16, 2**40])
def test_a_packed_tensor_that_promises_too_much(good, tmp_path, size):
    """A few bytes that claim to be terabytes are refused without making room for them."""
    import zlib

    def edit(header, tensors) -> None:
        tensors["mean"] = np.frombuffer(zlib.compress(b"\0" * 64), dtype=np.uint8)
        header["deflated"] = {"mean": ["float64", [size]]}

    path = forge(good, tmp_path / "c.safetensors", edit)
    assert refusal(path).startswith("The capture c.safetensors is damaged (")


def test_what_is_loaded_can_be_used(good):
    done = load_capture(good)
    assert len(shortcut_report(done)) == 1
    assert done["conv_in"].total.count > 0
