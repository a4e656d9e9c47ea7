"""Environments of peers: made once, in order, or refused with pip's own reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.environment import Done, InstallError, environment, last_error, refuse
from benchmarks.peers.peer import REQUIREMENTS
from benchmarks.peers.roster import PEERS

ROOT = Path(__file__).parents[2]
PEER = next(peer for peer in PEERS if peer.name == "quanto")


class Pip:
    """Answers commands as they come, and remembers them."""

    def __init__(self, coming=(), fails_at="", error=""):
        self.coming, self.fails_at, self.error = coming, fails_at, error
        self.commands: list[str] = []

    def __call__(self, command, limit_s):
        text = " ".join(command)
        self.commands.append(text)
        if self.fails_at and self.fails_at in text:
            return Done(1, "", self.error)
        return Done(0, json.dumps(report(*self.coming)) if "--dry-run" in text else "", "")


def report(*names_and_versions):
    return {
        "install": [{"metadata": {"name": n, "version": v}} for n, v in names_and_versions],
    }


def test_torch_comes_first_and_pip_is_asked_before_the_peer(tmp_path):
    pip = Pip([("optimum-quanto", "0.2.7"), ("ninja", "1")])
    python = environment(PEER, tmp_path, run=pip)
    assert python == tmp_path / "quanto" / "bin" / "python"
    made, torch, common, asked, installed = pip.commands
    assert f"-m venv {tmp_path / 'quanto'}" in made
    assert torch.split()[-1].startswith("torch==")
    assert common.endswith("common.txt")
    assert "--dry-run" in asked
    assert asked.endswith("quanto.txt")
    assert "--dry-run" not in installed
    assert installed.endswith("quanto.txt")


def test_a_made_environment_is_kept(tmp_path):
    environment(PEER, tmp_path, run=Pip())
    pip = Pip()
    environment(PEER, tmp_path, run=pip)
    assert not pip.commands


def test_other_requirements_make_it_anew(tmp_path):
    environment(PEER, tmp_path, run=Pip())
    (tmp_path / "quanto" / "made-from.txt").write_text("quanto==0")
    pip = Pip()
    environment(PEER, tmp_path, run=pip)
    assert pip.commands


def test_what_needs_no_environment_has_ours(tmp_path):
    ours = next(peer for peer in PEERS if peer.name == "ours")
    assert environment(ours, tmp_path, run=Pip()) == Path(sys.executable)
    assert not list(tmp_path.iterdir())


def test_another_torch_is_refused_before_it_is_installed(tmp_path):
    pip = Pip([("torch", "2.9.1"), ("optimum-quanto", "1")])
    with pytest.raises(InstallError, match=r"torch 2\.9\.1 in place of the pinned one"):
        environment(PEER, tmp_path, run=pip)
    assert "--dry-run" in pip.commands[-1]
    assert not (tmp_path / "quanto" / "made-from.txt").exists()


def test_wheels_of_cuda_are_named():
    with pytest.raises(InstallError, match="wheels: nvidia-cublas-cu12, triton"):
        refuse(report(("triton", "3"), ("nvidia-cublas-cu12", "12"), ("numpy", "2")))
    refuse(report(("nvidia-ml-py", "13"), ("nvidia-modelopt", "0.47"), ("numpy", "2")))


def test_pip_says_why_not(tmp_path):
    said = "WARNING: old\nERROR: Cannot install a and b\nERROR: ResolutionImpossible: for help\n"
    with pytest.raises(InstallError, match=r"^ResolutionImpossible: for help$"):
        environment(PEER, tmp_path, run=Pip(fails_at="--dry-run", error=said))


def test_pip_may_not_take_for_ever(tmp_path):
    def slow(command, limit_s):
        raise subprocess.TimeoutExpired(command, limit_s)

    with pytest.raises(InstallError, match="pip took longer than 7 s"):
        environment(PEER, tmp_path, limit_s=7, run=slow)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback\n  File x\nValueError: no such bits\n", "ValueError: no such bits"),
        ("a.b.SomeError: first line\n\nFor more see\nthe pages", "a.b.SomeError: first line"),
        ("a.b.UnsupportedError: it has no 3 bits\n", "it has no 3 bits"),
        ("x\nAssertionError\n", "AssertionError"),
        ("Killed\n", "Killed"),
        ("", "no word of an error"),
    ],
)
def test_the_line_that_names_the_error(text, line):
    assert last_error(text) == line


def test_what_is_common_is_pinned_as_for_the_project():
    ours = (ROOT / "requirements.txt").read_text().splitlines()
    common = (REQUIREMENTS / "common.txt").read_text().splitlines()
    pins = [line for line in common if not line.startswith("#")]
    assert pins[0].startswith("torch==")
    assert set(pins) <= set(ours)


@pytest.mark.parametrize("peer", [p for p in PEERS if p.environment], ids=lambda p: p.name)
def test_every_peer_is_pinned(peer):
    common, pin = peer.requirements.read_text().splitlines()
    assert common == "-r common.txt"
    assert pin.startswith(f"{peer.package}==")
