"""Folders that commands write: named, described, written again, never somebody else's."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

import analysis
from analysis.errors import UserError
from analysis.runs import find_capture, find_run, new_run, write_manifest


def quick(folders, out=None) -> tuple[object, ...]:
    place = () if out is None else ("--out", out)
    return (
        *("capture", "--model", folders("ddpm"), "--steps", 2, "--samples", 1),
        *("--layers", "conv_in", *place),
    )


def test_a_manifest_tells_how_a_run_was_made(cli, folders, tmp_path):
    assert cli(*quick(folders, tmp_path / "run"), "--seed", 9)[0] == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["kind"] == "capture"
    assert manifest["arguments"]["seed"] == 9
    assert manifest["arguments"]["layers"] == "conv_in"
    assert manifest["arguments"]["model"] == str(folders("ddpm"))
    assert {"python", "torch", "diffusers", "numpy", "safetensors"} <= set(manifest["versions"])
    content = (tmp_path / "run" / "capture.safetensors").read_bytes()
    assert manifest["digests"] == {"capture.safetensors": hashlib.sha256(content).hexdigest()}
    assert sorted(os.listdir(tmp_path / "run")) == ["capture.safetensors", "manifest.json"]


@pytest.mark.parametrize("command", ["capture", "quantize", "compare", "export"])
def test_the_same_command_may_write_into_its_run_again(cli, folders, runs, tmp_path, command):
    arguments = {
        "capture": quick(folders),
        "quantize": ("quantize", "--model", folders("ddpm"), "--plan", "W4A32"),
        "compare": ("compare", "--quantized", runs / "quantized", "--samples", 1, "--steps", 2),
        "export": ("export", "--quantized", runs / "quantized"),
    }[command]
    names = []
    for _ in range(2):
        status, _, err = cli(*arguments, "--out", tmp_path / "run")
        assert (status, err) == (0, "")
        names.append(sorted(p.name for p in (tmp_path / "run").iterdir()))
    assert names[0] == names[1]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert sorted([*manifest["digests"], "manifest.json"]) == names[0]
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("command", ["capture", "quantize", "compare", "export"])
def test_a_folder_with_something_else_is_left_alone(cli, folders, runs, tmp_path, command):
    (tmp_path / "notes.txt").write_text("mine")
    arguments = {
        "capture": quick(folders),
        "quantize": ("quantize", "--model", folders("ddpm")),
        "compare": ("compare", "--quantized", runs / "quantized"),
        "export": ("export", "--quantized", runs / "quantized"),
    }[command]
    status, out, err = cli(*arguments, "--out", tmp_path)
    assert (status, out) == (2, "")
    assert err == f"error: {tmp_path} holds something else; give --out a new folder.\n"
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize(
    ("command", "kind"), [("capture", "quantize"), ("quantize", "capture"), ("export", "capture")]
)
def test_a_run_of_another_kind_is_left_alone(cli, folders, runs, tmp_path, command, kind):
    """Refused before any work is done: nothing could be written there in the end."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept").write_text("mine")
    write_manifest(tmp_path / "run", kind, {})
    arguments = {
        "capture": quick(folders),
        "quantize": ("quantize", "--model", "no-such-model"),
        "export": ("export", "--quantized", runs / "quantized"),
    }[command]
    status, out, err = cli(*arguments, "--out", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err == f"error: {tmp_path / 'run'} is a run of {kind}; give --out a new folder.\n"
    assert sorted(os.listdir(tmp_path / "run")) == ["kept", "manifest.json"]


@pytest.mark.parametrize("content", ["", "[]", "3", "{}"])
def test_a_manifest_that_is_none_marks_no_run(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="holds something else; give --out a new folder"):
        new_run("capture", tmp_path)


def test_without_out_a_run_gets_a_name_of_its_own(cli, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20250101-120000")
    for _ in range(3):
        assert cli(*quick(folders))[0] == 0
    names = sorted(os.listdir(tmp_path / "runs"))
    assert names == [f"capture-20250101-120000{end}" for end in ("", "-2", "-3")]
    assert find_run(names[1]) == Path("runs") / names[1]
    assert find_capture(names[1]) == Path("runs") / names[1] / "capture.safetensors"


def test_a_run_may_be_named_in_place_of_its_path(cli, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli(*quick(folders, "runs/mine"))[0] == 0
    assert find_run("mine") == Path("runs/mine")
    assert len(analysis.load_capture(find_capture("mine")).timesteps) == 2


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_or_missing_folder_will_do(tmp_path, there):
    if there:
        (tmp_path / "run").mkdir()
    assert new_run("capture", tmp_path / "run") == tmp_path / "run"
    assert (tmp_path / "run").exists() is there


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(UserError) as refused:
        new_run("capture", path)
    assert str(refused.value) == f"{path} is a file; give --out a folder."


def test_no_folder_can_be_made_in_a_file(cli, folders, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    status, _, err = cli(*quick(folders, path / "run"))
    assert (status, err) == (2, f"error: {path} is a file; give --out a folder.\n")


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(UserError) as refused:
        new_run("capture", tmp_path / "new" / "run")
    assert str(refused.value) == (f"{tmp_path} cannot be written to; give --out a folder that can.")


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(UserError) as refused:
        find_run(tmp_path / "none")
    assert str(refused.value) == (
        f"There is no run {tmp_path / 'none'}; give a folder that a command wrote."
    )


def test_a_run_without_a_capture(tmp_path):
    with pytest.raises(UserError) as refused:
        find_capture(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} holds no capture; make one with `capture --out {tmp_path}`."
    )


def test_a_full_disk_leaves_the_old_manifest(tmp_path, monkeypatch):
    write_manifest(tmp_path, "capture", {"seed": 1})
    before = (tmp_path / "manifest.json").read_text()
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        write(self, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        write_manifest(tmp_path, "capture", {"seed": 2})
    assert os.listdir(tmp_path) == ["manifest.json"]
    assert (tmp_path / "manifest.json").read_text() == before
