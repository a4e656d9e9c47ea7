"""`quantize`: parts left out, losses, and going on after Ctrl-C."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

import analysis
from analysis.methods import METHODS
from analysis.quant.blocks import units
from analysis.quant.finished import Finished
from tests.cli.conftest import with_ctrl_c

COST = re.compile(r"about \d+ \w+, [\d.]+ [MG]B\n")
QUICK = (
    *("--set", "calibration_size=4", "--set", "calibration_steps=2", "--set", "batch=2"),
    *("--set", "weight_iterations=2", "--set", "act_iterations=2"),
)

# Stops once two blocks have finished, says so, and waits for a signal.
INTERRUPTED = """
import signal, sys
from analysis.quant.finished import Finished

save, saved = Finished.save, []

def wait(self, phase, unit, twin, losses):
    save(self, phase, unit, twin, losses)
    saved.append(unit)
    if len(saved) == 2:
        print("in the middle", file=sys.stderr, flush=True)
        signal.pause()

Finished.save = wait
from analysis.cli import main
main()
"""


@pytest.fixture
def words(folders):
    """`quantize` by Q-Diffusion, in a few iterations."""

    def made(out=None, *more: object) -> tuple[object, ...]:
        place = () if out is None else ("--out", out)
        model = ("--model", folders("ddpm"), "--plan", "W4A8", "--method", "q-diffusion")
        return ("quantize", *model, *QUICK, *place, *more)

    return made


@pytest.fixture
def stops(monkeypatch):
    """Ctrl-C as soon as a number of blocks have finished."""
    save = Finished.save

    def after(count: int) -> None:
        saved = []

        def stop(self, phase, unit, twin, losses) -> None:
            save(self, phase, unit, twin, losses)
            saved.append(unit)
            if len(saved) == count:
                raise KeyboardInterrupt

        monkeypatch.setattr(Finished, "save", stop)

    return after


def weights(run: Path, model) -> list[torch.Tensor]:
    return list(analysis.load_quantized(run, model).handle.denoiser.parameters())


def test_losses_and_parts_are_told(said, words, ddpm, tmp_path):
    told = said(*words(tmp_path / "run", "--without", "split", "--without", "calibration"))
    assert told["without"] == ["split", "calibration"]
    loaded = analysis.load_quantized(tmp_path / "run", ddpm)
    assert (loaded.config["split"], loaded.config["sampler"]) == (False, "single")
    walks = [(phase, unit) for phase in ("weights", "scales") for unit in units(ddpm)]
    walks.remove(("scales", "conv_in"))  # x_t has 16 bits: its scale is not learned
    assert [(row["phase"], row["unit"]) for row in told["losses"]] == walks
    for row in told["losses"]:
        mine = [p.loss for p in loaded.losses if (p.phase, p.unit) == (row["phase"], row["unit"])]
        assert (row["first"], row["last"]) == (mine[0], mine[-1])
    assert sorted(os.listdir(tmp_path / "run")) == [
        "manifest.json",
        "recipe.json",
        "weights.safetensors",
    ]


def test_what_learns_nothing_has_no_losses(said, folders, tmp_path):
    told = said("quantize", "--model", folders("ddpm"), "--plan", "W4A32", "--out", tmp_path / "a")
    assert (told["losses"], told["without"]) == ([], [])


def test_a_part_that_is_not_there_is_one_line(cli, words, tmp_path):
    status, out, err = cli(*words(tmp_path / "run", "--without", "qdrop"))
    assert (status, out) == (2, "")
    assert err == (
        "error: The method 'q-diffusion' has no part 'qdrop' to leave out; choose among: "
        "calibration, split, adaround, act-scales.\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(
    cli, said, words, ddpm, stops, tmp_path, monkeypatch, count
):
    run = tmp_path / "my run"
    with monkeypatch.context():
        stops(count)
        status, out, err = cli(*words(run))
    monkeypatch.undo()
    are = "finished block is" if count == 1 else "finished blocks are"
    assert status == 130
    assert COST.fullmatch(out)
    assert err == (
        f"{count} {are} kept; the same command with --out '{run}' goes on from there\ncancelled\n"
    )
    assert os.listdir(run) == ["finished"]
    assert len(list((run / "finished").iterdir())) == count
    learned = []
    save = Finished.save
    monkeypatch.setattr(Finished, "save", lambda *a: learned.append(a[2]) or save(*a))
    said(*words(run))
    assert len(learned) == 2 * len(units(ddpm)) - 1 - count  # x_t's scale of 16 bits
    said(*words(tmp_path / "whole"))
    assert sorted(os.listdir(run)) == sorted(os.listdir(tmp_path / "whole"))
    one, two = weights(run, ddpm), weights(tmp_path / "whole", ddpm)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_without_out_the_message_names_the_new_folder(cli, words, stops, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20250101-120000")
    stops(2)
    status, _, err = cli(*words())
    name = "runs/q-diffusion-W4A8-20250101-120000"
    assert status == 130
    assert err.startswith(f"2 finished blocks are kept; the same command with --out {name} goes on")
    assert os.listdir(name) == ["finished"]


def test_an_earlier_model_stays_until_the_new_one_is_whole(
    cli, said, words, ddpm, stops, tmp_path, monkeypatch
):
    said(*words(tmp_path / "run", "--seed", 1))
    before = weights(tmp_path / "run", ddpm)
    with monkeypatch.context():
        stops(1)
        assert cli(*words(tmp_path / "run"))[0] == 130
    monkeypatch.undo()
    same = weights(tmp_path / "run", ddpm)
    assert all(torch.equal(a, b) for a, b in zip(before, same, strict=True))
    said(*words(tmp_path / "run"))
    assert "finished" not in os.listdir(tmp_path / "run")
    after = weights(tmp_path / "run", ddpm)
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_ctrl_c_before_anything_is_finished_leaves_nothing(cli, words, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.quant.reconstruct.learn", stop)
    code, out, err = cli(*words(tmp_path / "run"))
    assert (code, err) == (130, "cancelled\n")
    assert out.startswith("about ")
    assert out.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["beside", "within", "instead"])
def test_a_folder_that_only_looks_like_a_stopped_run_is_left_alone(
    cli, words, stops, tmp_path, monkeypatch, where
):
    with monkeypatch.context():
        stops(1)
        cli(*words(tmp_path / "run"))
    monkeypatch.undo()
    run = tmp_path / "run"
    mine = {
        "beside": run / "notes.txt",
        "within": run / "finished" / "mine.safetensors",
        "instead": run / "finished",
    }[where]
    if where == "instead":
        for path in (run / "finished").iterdir():
            path.unlink()
        mine.rmdir()
    mine.write_text("mine")
    status, out, err = cli(*words(run))
    assert (status, out) == (2, "")
    assert err == f"error: {run} holds something else; give --out a new folder.\n"
    assert mine.read_text() == "mine"


def test_other_commands_do_not_take_a_stopped_run_over(cli, folders, words, stops, tmp_path):
    stops(1)
    cli(*words(tmp_path / "run"))
    status, _, err = cli("capture", "--model", folders("ddpm"), "--out", tmp_path / "run")
    assert status == 2
    assert "holds something else" in err


def test_a_block_that_was_being_written_is_no_hindrance(said, words, tmp_path):
    kept = tmp_path / "run" / "finished"
    kept.mkdir(parents=True)
    (kept / ".weights.conv_in.safetensors.123.part").write_bytes(b"half")
    said(*words(tmp_path / "run"))
    assert "finished" not in os.listdir(tmp_path / "run")


def test_a_real_ctrl_c(said, words, ddpm, tmp_path):
    arguments = [str(word) for word in words(tmp_path / "run", "--json")]
    status, out, err = with_ctrl_c(INTERRUPTED, arguments)
    assert (status, out) == (130, "")
    assert err.splitlines() == [
        f"2 finished blocks are kept; the same command with --out {tmp_path / 'run'} goes on "
        "from there",
        "cancelled",
    ]
    told = said(*words(tmp_path / "run"))
    whole = said(*words(tmp_path / "whole"))
    assert told["losses"] == whole["losses"]
    one, two = weights(tmp_path / "run", ddpm), weights(tmp_path / "whole", ddpm)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", ["rtn", "ptq4dm", "q-diffusion", "eda-dm"])
def test_help_names_methods_parts_and_presets(cli, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "500")
    _, out, _ = cli("quantize", "--help")
    for word in (name, *METHODS.get(name).parts, *METHODS.get(name).presets):
        assert word in out
