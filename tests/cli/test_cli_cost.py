"""What commands say before they begin, and what they refuse to begin."""

from __future__ import annotations

import json

import pytest

from analysis.cost.watch import Watch


@pytest.fixture
def words(folders, tmp_path):
    """`capture` of the tiny model into a folder that is not there yet."""
    small = ("--steps", 3, "--samples", 2, "--layers", "conv_in")
    return ("capture", "--model", folders("ddpm"), *small, "--out", tmp_path / "run")


def test_a_dry_run_says_what_it_costs_and_leaves_nothing(cli, words, tmp_path):
    status, out, err = cli(*words, "--dry-run")
    assert (status, err) == (0, "")
    assert out.startswith("about ")
    status, out, _ = cli(*words, "--dry-run", "--json")
    found = json.loads(out)["estimate"]
    assert status == 0
    assert found["seconds"] > 0
    assert found["bytes"] > found["more_bytes"] >= 0
    assert not list(tmp_path.iterdir())


def test_people_read_the_cost_first(cli, words):
    status, out, _ = cli(*words)
    assert status == 0
    assert out.splitlines()[0].startswith("about ")
    assert len(out.splitlines()) > 1


@pytest.mark.parametrize("command", ["calibrate", "quantize", "sweep"])
def test_every_long_command_can_say_its_cost(cli, folders, command):
    small = ("--size", 4, "--steps", 2) if command == "calibrate" else ()
    small = ("--samples", 2, "--steps", 2) if command == "sweep" else small
    status, out, err = cli(command, "--model", folders("ddpm"), *small, "--dry-run", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["estimate"]["seconds"] > 0


def test_what_does_not_fit_is_refused_before_it_begins(cli, words, tmp_path, monkeypatch):
    monkeypatch.setattr(Watch, "free", lambda self: -1)
    status, out, err = cli(*words)
    assert (status, out) == (2, "")
    assert err.startswith("error: This would take about ")
    assert err.endswith("take fewer samples or a smaller batch, or add --force to start anyway.\n")
    assert not list(tmp_path.iterdir())
    status, out, _ = cli(*words, "--dry-run")
    assert status == 0
    assert "It does not fit" in out
    status, _, err = cli(*words, "--force")
    assert (status, err) == (0, "")
    assert (tmp_path / "run" / "capture.safetensors").is_file()
