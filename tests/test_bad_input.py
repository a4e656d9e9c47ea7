"""A person's mistakes: the library raises one sentence, the command line prints the same.

Every case is tried both ways: `UserError` from Python; status 2, one line `error: ...` on stderr,
nothing on stdout and nothing on disk from the command line.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import analysis
from analysis.errors import Cancelled, UserError
from analysis.progress import check_stop
from analysis.runs import CAPTURE_FILE, find_capture, find_run


@dataclass
class Desk:
    """What the cases work on."""

    folder: Path  # of the tiny DDPM
    model: Any
    capture: Path
    quantized: Path
    tmp: Path
    loaded: Any = field(default=None)


@pytest.fixture(scope="module")
def desk(folders, ddpm, tmp_path_factory) -> Desk:
    tmp = tmp_path_factory.mktemp("desk")
    analysis.save_capture(analysis.capture(ddpm, steps=2, samples=1), tmp / "c" / CAPTURE_FILE)
    quantized = analysis.quantize(ddpm, plan="W4A32")
    analysis.save_quantized(quantized, tmp / "q")
    (tmp / "cut.safetensors").write_bytes((tmp / "c" / CAPTURE_FILE).read_bytes()[:5000])
    (tmp / "notes.txt").write_text("mine")
    return Desk(folders("ddpm"), ddpm, tmp / "c", tmp / "q", tmp, quantized)


Case = tuple[str, Callable[[Desk], Any], Callable[[Desk], list[Any]]]


def sampling(said: str, **options: Any) -> list[Case]:
    """The same wrong option of sampling, given to capture and to compare."""
    flags = [
        part
        for name, value in options.items()
        for part in (f"--{name.removesuffix('_scale')}", value)
    ]
    small = {"steps": 2, "samples": 1, **options}
    rest = [x for name in ("steps", "samples") if name not in options for x in (f"--{name}", 1)]
    return [
        (
            said,
            lambda desk: analysis.capture(desk.model, **small),
            lambda desk: ["capture", "--model", desk.folder, *flags, *rest],
        ),
        (
            said,
            lambda desk: analysis.compare(desk.model, desk.loaded, **small),
            lambda desk: ["compare", "--quantized", desk.quantized, *flags, *rest],
        ),
    ]


def quantizing(said: str, plan: str = "W4A32", flags: tuple[str, ...] = (), **options: Any) -> Case:
    return (
        said,
        lambda desk: analysis.quantize(desk.model, plan=plan, **options),
        lambda desk: ["quantize", "--model", desk.folder, "--plan", plan, *flags],
    )


def bits(plan: str, number: int) -> Case:
    return quantizing(f"bits must be 2 to 8, or 32 for float; got {number}", plan)


CASES: list[Case] = [
    *sampling("steps must be a whole number from 1 to 100", steps=0),
    *sampling("got 10000.", steps=10_000),
    *sampling("steps must be a whole number", steps=-5),
    *sampling("samples must be a whole number of 1 or more; got 0.", samples=0),
    *sampling("samples must be a whole number of 1 or more; got -3.", samples=-3),
    *sampling("seed must be a whole number of 0 or more; got -1.", seed=-1),
    *sampling("There is no scheduler named 'nonsense'; choose one of: ddim,", scheduler="nonsense"),
    *sampling("another kind of model", scheduler="FlowMatchEulerDiscreteScheduler"),
    *sampling("PNDMScheduler cannot run 2 steps", scheduler="pndm", steps=2),
    *sampling("takes no prompt; leave it out.", prompt="a cat"),
    *sampling("guidance_scale must be a finite number; got nan.", guidance_scale=float("nan")),
    *sampling("guidance_scale must be a finite number; got inf.", guidance_scale=float("inf")),
    (
        "The layer pattern 'zzz*' matches none of the",
        lambda desk: analysis.capture(desk.model, steps=2, samples=1, layers="zzz*"),
        lambda desk: ["capture", "--model", desk.folder, "--steps", 2, "--layers", "zzz*"],
    ),
    bits("W0A8", 0),
    bits("W1A8", 1),
    bits("W33A8", 33),
    bits("W8A0", 0),
    bits("W8A1", 1),
    bits("W8A33", 33),
    bits("W16A8", 16),
    quantizing("Cannot read the plan 'four bits'; write bits", "four bits"),
    quantizing("Cannot read the plan ''", ""),
    quantizing("Cannot read the plan 'W-4A8'", "W-4A8"),
    quantizing("There is no method named 'magic'", flags=("--method", "magic"), method="magic"),
    quantizing("There is no preset 'slow'", flags=("--preset", "slow"), preset="slow"),
    quantizing("has no option 'colour'", flags=("--set", "colour=red"), colour="red"),
    quantizing(
        "The override 'zzz*' matches none",
        flags=("--override", "zzz*=W8A8"),
        overrides={"zzz*": "W8A8"},
    ),
    quantizing("softmax_bits must be", flags=("--set", "softmax_bits=33"), softmax_bits=33),
    quantizing("edge_bits must be", flags=("--set", "edge_bits=1"), edge_bits=1),
    quantizing("seed must be", "W8A8", ("--seed", "-1"), seed=-1),
    (
        "neither bundled (",
        lambda desk: analysis.load_model("nonsense"),
        lambda desk: ["info", "--model", "nonsense"],
    ),
    (
        "it has no model_index.json",
        lambda desk: analysis.load_model(desk.tmp),
        lambda desk: ["capture", "--model", desk.tmp],
    ),
    (
        "is a file; give the folder that save_pretrained wrote.",
        lambda desk: analysis.load_model(desk.tmp / "notes.txt"),
        lambda desk: ["quantize", "--model", desk.tmp / "notes.txt"],
    ),
    (
        "device must be auto, cpu or cuda; got 'gpu'.",
        lambda desk: analysis.load_model(desk.folder, "gpu"),
        lambda desk: ["info", "--model", desk.folder, "--device", "gpu"],
    ),
    (
        "Timestep 3 was not visited; the run went from",
        lambda desk: analysis.shortcut_report(analysis.load_capture(find_capture(desk.capture)), 3),
        lambda desk: ["shortcuts", desk.capture, "--timestep", 3],
    ),
    (
        "There is no run nowhere; give a folder that a command wrote.",
        lambda desk: find_capture("nowhere"),
        lambda desk: ["shortcuts", "nowhere"],
    ),
    (
        "is no capture, or is cut short (",
        lambda desk: analysis.load_capture(desk.tmp / "cut.safetensors"),
        lambda desk: ["shortcuts", desk.tmp / "cut.safetensors"],
    ),
    (
        "is no capture, or is cut short (",
        lambda desk: analysis.load_capture(desk.tmp / "notes.txt"),
        lambda desk: ["shortcuts", desk.tmp / "notes.txt"],
    ),
    (
        "weights.safetensors is no capture; give a file that `capture` wrote.",
        lambda desk: analysis.load_capture(desk.quantized / "weights.safetensors"),
        lambda desk: ["shortcuts", desk.quantized / "weights.safetensors"],
    ),
    (
        "holds no capture; make one with",
        lambda desk: find_capture(desk.quantized),
        lambda desk: ["shortcuts", desk.quantized],
    ),
    (
        "There is no run nowhere; give a folder",
        lambda desk: find_run("nowhere"),
        lambda desk: ["compare", "--quantized", "nowhere"],
    ),
    (
        "is no quantized model: recipe.json cannot be read",
        lambda desk: analysis.load_quantized(desk.capture),
        lambda desk: ["compare", "--quantized", desk.capture],
    ),
    (
        "is no quantized model: recipe.json cannot be read",
        lambda desk: analysis.load_quantized(desk.capture),
        lambda desk: ["export", "--quantized", desk.capture],
    ),
]


@pytest.mark.parametrize(("said", "call", "command"), CASES, ids=[case[0][:40] for case in CASES])
def test_a_mistake_is_one_sentence_everywhere(desk, cli, tmp_path, said, call, command):
    with pytest.raises(UserError) as refused:
        call(desk)
    sentence = str(refused.value)
    assert said in sentence
    assert sentence == " ".join(sentence.split())
    arguments = command(desk)
    place = [] if arguments[0] in ("info", "shortcuts") else ["--out", tmp_path / "run"]
    status, out, err = cli(*arguments, *place, "--json")
    assert status == 2
    assert out == ""
    assert err == f"error: {sentence}\n"
    assert not list(tmp_path.iterdir())


TYPED_WRONG = [
    ["capture", "--steps", "many"],
    ["capture", "--samples", "2.5"],
    ["capture", "--seed", "x"],
    ["capture", "--nonsense"],
    ["capture", "--steps"],
    ["capture", "stray"],
    ["nonsense"],
    ["quantize", "--set", "x"],
    ["quantize", "--set", "=3"],
    ["quantize", "--override", "conv_in"],
    ["shortcuts"],
    ["shortcuts", "a", "b"],
    ["compare"],
    ["export", "--format", "pickle", "--quantized", "x"],
    [],
]


@pytest.mark.parametrize("arguments", TYPED_WRONG, ids=lambda words: " ".join(words) or "nothing")
def test_a_slip_on_the_command_line_is_one_line(cli, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    status, out, err = cli(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert len(err) > len("error: \n")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_mistake_of_the_file_system_is_one_line_too(cli, desk, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "/somewhere/else")

    monkeypatch.setattr("analysis.capture.run.trajectory", broken)
    status, out, err = cli("capture", "--model", desk.folder, "--steps", 2, "--out", tmp_path / "r")
    assert (status, out, err) == (2, "", "error: /somewhere/else: Permission denied.\n")


def test_a_mistake_of_ours_is_not_hidden(cli, desk, monkeypatch):
    """A bug must come up as what it is: only people's mistakes are put in one line."""

    def bug(*args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("analysis.capture.run.trajectory", bug)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli("capture", "--model", desk.folder, "--steps", 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Cancelled])
@pytest.mark.parametrize("command", ["capture", "compare"])
def test_an_end_in_the_middle_leaves_nothing(cli, desk, tmp_path, monkeypatch, command, error):
    def stop(teller, text):
        check_stop(teller.should_stop)  # a probe of its cost ends by this
        teller.done += 1
        if teller.progress is not None and teller.done == 2:
            raise error

    monkeypatch.setattr("analysis.progress.Teller.__call__", stop)
    given = ["--model", desk.folder]
    given += ["--quantized", desk.quantized] if command == "compare" else []
    small = ("--steps", 3, "--samples", 1, "--out", tmp_path / "run")
    status, out, err = cli(command, *given, *small)
    assert (status, err) == (130, "cancelled\n")
    assert out == "" or (out.startswith("about ") and out.count("\n") == 1)  # its cost, if found
    assert not list(tmp_path.iterdir())


def test_activations_that_overflow_are_one_line(cli, new_pipeline, tmp_path):
    pipeline = new_pipeline("ddpm")
    with torch.no_grad():  # finite as weights, infinite in a skip tensor
        pipeline.unet.down_blocks[0].resnets[0].conv2.bias.fill_(3e38)
        pipeline.unet.down_blocks[0].downsamplers[0].conv.weight.fill_(1)
    pipeline.save_pretrained(tmp_path / "model")
    given = ("--model", tmp_path / "model", "--steps", 2, "--samples", 1)
    with warnings.catch_warnings():  # which would stand beside the line
        warnings.simplefilter("error")
        status, out, err = cli("capture", *given, "--out", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err.startswith("error: The activations of down_blocks.0.downsamplers.0.conv are not")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
