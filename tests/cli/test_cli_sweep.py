"""`sweep`: the promised keys, files beside them, and going on after Ctrl-C."""

from __future__ import annotations

import csv
import json
import re

import pytest

from analysis.sweep_rows import SHOWN, RowFolder

COST = re.compile(r"about \d+ \w+, [\d.]+ [MG]B\n")


@pytest.fixture
def words(folders):
    """`sweep` of the tiny model, small."""

    def made(*more: object) -> tuple[object, ...]:
        return ("sweep", "--model", folders("ddpm"), "--samples", 2, "--steps", 2, *more)

    return made


def test_rows_have_what_was_promised_and_stand_in_files(said, words, tmp_path):
    run = tmp_path / "run"
    plans = ("--methods", "rtn", "--plans", "W8A32", "W4A32")
    done = said(*words(*plans, "--out", run))
    assert done["run"] == str(run)
    assert [(row["method"], row["plan"], row["calibration"]) for row in done["rows"]] == [
        ("rtn", "W8A32", "none"),
        ("rtn", "W4A32", "none"),
    ]
    assert all(set(SHOWN) <= set(row) for row in done["rows"])
    assert done["not_reached"] == []
    kept = json.loads((run / "sweep.json").read_text())
    assert kept["rows"] == done["rows"]
    lines = list(csv.DictReader((run / "sweep.csv").open()))
    assert [line["plan"] for line in lines] == ["W8A32", "W4A32"]
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["kind"] == "sweep"
    assert manifest["arguments"]["plans"] == ["W8A32", "W4A32"]
    assert {"sweep.csv", "sweep.json"} <= set(manifest["digests"])


@pytest.mark.parametrize(
    "plans",
    [
        ("--plans", "W8A32,W4A32"),
        ("--plans", "W8A32", "--plans", "W4A32"),
        ("--plans", "W8A32", "W4A32"),
        ("--plans=W8A32, W4A32",),
    ],
)
def test_lists_may_be_written_in_any_way(words, plans, monkeypatch, cli, tmp_path):
    asked = []
    monkeypatch.setattr("analysis.sweep.sweep", lambda model, **k: asked.append(k) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli(*words("--methods", "rtn", *plans, "--out", tmp_path / "run"))
    assert asked[0]["plans"] == ["W8A32", "W4A32"]
    assert asked[0]["methods"] == ["rtn"]
    assert asked[0]["calibrations"] == ["own"]


def test_ctrl_c_keeps_rows_and_the_same_command_goes_on(cli, said, words, tmp_path, monkeypatch):
    from analysis.quant.run import quantize

    calls = []

    def interrupted(model, method, plan, *rest, **more):
        calls.append(plan)
        if calls == ["W8A32", "W4A32"]:
            raise KeyboardInterrupt
        return quantize(model, method, plan, *rest, **more)

    monkeypatch.setattr("analysis.sweep_cell.quantize", interrupted)
    run = tmp_path / "run"
    command = words("--plans", "W8A32", "W4A32", "--out", run)
    status, out, err = cli(*command)
    assert status == 130
    assert COST.fullmatch(out)
    assert err == (
        f"1 finished row is kept; the same command with --out {run} goes on from there\ncancelled\n"
    )
    assert len(RowFolder(run / "rows")) == 1
    assert [line["plan"] for line in csv.DictReader((run / "sweep.csv").open())] == ["W8A32"]
    done = said(*command)
    assert calls == ["W8A32", "W4A32", "W4A32"]
    assert len(done["rows"]) == 2
    said(*command)
    assert len(calls) == 3


def test_a_budget_leaves_rows_out_and_says_so(cli, words, tmp_path):
    plans = ("--plans", "W8A32", "W4A32", "--budget", "0.000001", "--out", tmp_path / "run")
    status, out, _ = cli(*words(*plans))
    assert status == 0
    assert out.splitlines()[1].startswith("1 row in ")
    assert out.splitlines()[-1] == "not reached within the budget: rtn W4A32 (none)"


def test_a_capture_calibrates_plain_rounding_and_fails_the_others(cli, words, runs, tmp_path):
    given = ("--methods", "rtn", "ptq4dm", "--calibrations", runs / "capture")
    status, out, _ = cli(*words(*given, "--out", tmp_path / "run"))
    assert status == 0
    assert f"ptq4dm W8A8 ({runs / 'capture'}) failed: PTQ4DM is calibrated on a calibration" in out


def test_when_every_row_fails_it_is_one_line_and_the_rows_are_there(cli, words, runs, tmp_path):
    given = ("--methods", "ptq4dm", "--calibrations", runs / "capture", "--out", tmp_path / "run")
    status, out, err = cli(*words(*given))
    assert status == 2
    assert COST.fullmatch(out)
    assert err.startswith("error: Every run of the sweep failed; the first, ptq4dm W8A8, because:")
    assert err.count("\n") == 1
    (row,) = json.loads((tmp_path / "run" / "sweep.json").read_text())["rows"]
    (line,) = csv.DictReader((tmp_path / "run" / "sweep.csv").open())
    assert line["error"] == row["error"]
    assert line["error"].startswith("PTQ4DM is calibrated on")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--methods", "nonsense"), "There is no method named 'nonsense'"),
        (("--plans", "W1A1"), "bits must be 2 to 8"),
        (("--calibrations", "nowhere"), "There is no calibration 'nowhere'"),
        (("--budget", "0"), "The budget must be a number of seconds above 0"),
        (("extra",), "unexpected extra argument"),
    ],
)
def test_a_mistake_is_one_line(cli, words, tmp_path, more, sentence):
    status, out, err = cli(*words(*more, "--out", tmp_path / "run"))
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_another_kind_of_run_is_left_alone(cli, words, runs):
    status, _, err = cli(*words("--out", runs / "capture"))
    assert status == 2
    assert "is a run of capture; give --out a new folder" in err
