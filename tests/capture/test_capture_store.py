"""Captures on disk: they come back exactly, and a full disk costs nothing that was there."""

from __future__ import annotations

import errno
import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from analysis.capture.run import capture
from analysis.capture.store import capture_digest, load_capture, save_capture
from analysis.errors import UserError
from analysis.records import Capture, LayerStats


def assert_equal(a: Capture, b: Capture) -> None:
    """Every field, and every array to the last bit."""
    for field in fields(Capture):
        if field.name not in ("stats", "timesteps"):
            assert getattr(a, field.name) == getattr(b, field.name), field.name
    assert np.array_equal(a.timesteps, b.timesteps)
    for one, other in zip(a.stats, b.stats, strict=True):
        for field in fields(LayerStats):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if field.name == "histogram":
                assert np.array_equal(left.counts, right.counts)
                assert np.array_equal(left.edges, right.edges)
            else:
                assert np.array_equal(left, right), field.name
                assert left.dtype == right.dtype, field.name


def test_a_capture_saves_itself(ddpm_capture, tmp_path):
    path = ddpm_capture.save(tmp_path / "own.safetensors")
    assert_equal(load_capture(path), ddpm_capture)


@pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
@pytest.mark.parametrize("exact", [False, True])
def test_a_capture_comes_back_exactly(models, family, exact, tmp_path):
    options = {} if family == "ddpm" else {"prompt": 'a "quoted" <b>cat</b> ☃', "guidance_scale": 2}
    done = capture(models(family), steps=3, samples=2, seed=3, exact=exact, **options)
    done = replace(done, meta={**done.meta, "note": ["ä", 1.5, None]})
    path = save_capture(done, tmp_path / "new" / "folder" / "a capture.safetensors")
    assert_equal(load_capture(path), done)
    assert os.listdir(path.parent) == [path.name]
    assert capture_digest(load_capture(path)) == capture_digest(done)


def test_a_path_may_be_text(ddpm_capture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert save_capture(ddpm_capture, "here.safetensors") == Path("here.safetensors")
    assert_equal(load_capture("here.safetensors"), ddpm_capture)


def test_nothing_is_pickled_and_others_can_read_it(ddpm_capture, tmp_path):
    path = save_capture(ddpm_capture, tmp_path / "c.safetensors")
    with safe_open(path, framework="numpy") as file:
        timesteps = file.get_tensor("timesteps")
        assert "header" in file.metadata()
    assert timesteps.tolist() == ddpm_capture.timesteps.tolist()


def test_equal_statistics_are_kept_once(ddpm, ddpm_capture, tmp_path):
    """The time embedding feeds every block: its statistics are the same in each."""
    exact = capture(ddpm, steps=3, samples=2, layers="*time_emb_proj", exact=True)
    assert len(exact.layers) > 3
    path = save_capture(exact, tmp_path / "c.safetensors")
    with safe_open(path, framework="numpy") as file:
        assert len(file.get_tensor("mean")) == 1
    assert_equal(load_capture(path), exact)


def test_the_digest_is_of_what_was_measured(ddpm, ddpm_capture):
    moved = replace(ddpm_capture, seconds=1e9, peak_mb=0.0, meta={})
    assert capture_digest(moved) == capture_digest(ddpm_capture)
    other = capture(ddpm, steps=4, samples=3, seed=1)
    assert capture_digest(other) != capture_digest(ddpm_capture)


@pytest.mark.parametrize("there_before", [False, True])
def test_a_full_disk_leaves_no_part_and_keeps_what_was_there(
    ddpm, ddpm_capture, tmp_path, monkeypatch, there_before
):
    path = tmp_path / "c.safetensors"
    if there_before:
        save_capture(ddpm_capture, path)
    other = capture(ddpm, steps=2, samples=1, layers="conv_in")
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        write(self, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError) as refused:
        save_capture(other, path)
    assert str(refused.value) == (
        f"{path} could not be written (No space left on device); make room or choose another place."
    )
    assert os.listdir(tmp_path) == (["c.safetensors"] if there_before else [])
    if there_before:
        assert_equal(load_capture(path), ddpm_capture)


def test_a_break_between_writing_and_renaming_keeps_what_was_there(
    ddpm, ddpm_capture, tmp_path, monkeypatch
):
    path = save_capture(ddpm_capture, tmp_path / "c.safetensors")

    def refuse(source, target) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"could not be written \(Permission denied\)"):
        save_capture(capture(ddpm, steps=2, samples=1, layers="conv_in"), path)
    assert os.listdir(tmp_path) == ["c.safetensors"]
    assert_equal(load_capture(path), ddpm_capture)


@pytest.mark.parametrize("where", ["folder", "below a file"])
def test_a_place_that_cannot_be_written_is_refused(ddpm_capture, tmp_path, where):
    path = tmp_path / "taken"
    if where == "folder":
        path.mkdir()
        (path / "mine").write_text("mine")
    else:
        path.write_text("mine")
        path = path / "c.safetensors"
    with pytest.raises(UserError, match="could not be written"):
        save_capture(ddpm_capture, path)
    assert os.listdir(tmp_path) == ["taken"]
