"""Peers one after the other: what is finished stays, what failed says why, and is not repeated."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from analysis.metrics import frechet_to_data
from benchmarks.peers import command
from benchmarks.peers.environment import InstallError
from benchmarks.peers.loop import (
    Bench,
    ensure_reference,
    measured,
    one_job,
    pictures_path,
    run_peers,
)
from benchmarks.peers.roster import PEERS
from benchmarks.peers.settings import JOBS, Settings
from benchmarks.peers.store import Found, read_all, read_found, source_of, write_all, write_found

SETTINGS = Settings(steps=2, samples=2, rounds=1, quality_steps=2, quality_samples=2)
PEER = next(peer for peer in PEERS if peer.name == "quanto")
ANSWER = json.dumps({"values": {"peak_mb": 5.0}, "made": {"version": "9"}})


@pytest.fixture
def bench(tmp_path):
    """A bench whose peers' Python is a shell script."""

    def make(script: str, limit_s: float = 20.0) -> Bench:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\necho run >> {tmp_path}/calls\n{script}\n")
        python.chmod(0o755)
        return Bench(tmp_path, SETTINGS, limit_s, lambda *_: python)

    return make


def calls(bench: Bench) -> int:
    path = bench.runs / "calls"
    return len(path.read_text().split()) if path.exists() else 0


def outcome(bench: Bench, job: str) -> Found | None:
    return read_found(bench.folder, PEER.name, job, bench.settings, source_of(PEER))


def test_what_a_process_prints_last_is_kept(bench):
    ready = bench(f"echo chatter; echo '{ANSWER}'")
    run_peers(ready, [PEER])
    found = outcome(ready, "memory")
    assert found.values == {"peak_mb": 5.0}
    assert found.made["version"] == "9"
    assert "commit" in found.made
    assert calls(ready) == len(JOBS)


def test_nothing_is_run_twice_unless_it_is_asked_for(bench):
    ready = bench(f"echo '{ANSWER}'")
    run_peers(ready, [PEER])
    run_peers(ready, [PEER])
    assert calls(ready) == len(JOBS)
    run_peers(ready, [PEER], again=[PEER.name])
    assert calls(ready) == 2 * len(JOBS)


def test_other_settings_count_as_not_run(bench):
    ready = bench(f"echo '{ANSWER}'")
    run_peers(ready, [PEER])
    assert outcome(replace(ready, settings=replace(SETTINGS, steps=3)), "memory") is None


def test_a_trial_leaves_the_outcomes_of_others(bench):
    ready = bench(f"echo '{ANSWER}'")
    run_peers(ready, [PEER])
    run_peers(replace(ready, settings=replace(SETTINGS, quality_samples=4)), [PEER])
    assert outcome(ready, "memory") is not None


def test_a_crash_is_an_outcome_and_the_next_job_runs(bench):
    ready = bench("echo 'ValueError: no kernel' >&2; echo 'see the pages' >&2; exit 1")
    run_peers(ready, [PEER])
    assert [outcome(ready, job).error for job in JOBS] == ["ValueError: no kernel"] * len(JOBS)
    run_peers(ready, [PEER])
    assert calls(ready) == len(JOBS)


def test_a_job_that_takes_too_long_is_stopped(bench):
    ready = bench("exec sleep 20", limit_s=0.6)
    ready.folder.mkdir()
    assert one_job(ready, PEER, "time").error == "stopped after 0.01 minutes"


def test_what_cannot_be_installed_is_not_run(bench):
    def refuse(*_):
        raise InstallError("it would bring torch 1")

    ready = replace(bench(f"echo '{ANSWER}'"), place=refuse)
    run_peers(ready, [PEER])
    assert outcome(ready, "install").error == "it would bring torch 1"
    assert outcome(ready, "memory") is None
    assert calls(ready) == 0


def test_a_spoilt_file_counts_as_not_run(tmp_path):
    write_found(tmp_path, Found("quanto", "time"), SETTINGS, "s")
    (tmp_path / "quanto.time.json").write_text("{")
    assert read_found(tmp_path, "quanto", "time", SETTINGS, "s") is None


def test_pictures_are_measured_against_those_of_the_float_model(bench):
    ready = bench("")
    ready.folder.mkdir()
    reference = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.8
    for name, job, shift in (("ours", "float", 0.0), ("quanto", "W8A8", 0.1)):
        path = pictures_path(ready.folder, name, job)
        save_file({"pictures": reference + shift}, path)
    found = measured(ready, Found("quanto", "W8A8", {"quantize_s": 1.0}))
    assert found.values["quantize_s"] == 1.0
    assert math.isclose(found.values["psnr_db"], 20.0, abs_tol=1e-3)  # -20 log10(0.1)
    assert found.values["frechet"] == frechet_to_data(reference + 0.1)
    drawn = measured(ready, Found("ours", "float"))
    assert set(drawn.values) == {"frechet"}
    failed = Found("quanto", "W8A8", error="x")
    assert measured(ready, failed) == failed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--peers", "nobody*"], "No peer matches 'nobody*'"),
        (["--samples", "0"], "must be 1 or more"),
        (["--quality-samples", "20"], "20 pictures are no whole number of batches of 16"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_document_can_be_written_of_nothing(tmp_path):
    out = tmp_path / "benchmarks.md"
    command.main(["--render", "--runs", str(tmp_path / "runs"), "--out", str(out)])
    assert "- nncf: not run yet" in out.read_text()


def test_what_all_are_held_against_is_drawn_once(bench):
    ready = bench(f"touch $6; echo '{ANSWER}'")
    ensure_reference(ready, PEERS)
    ensure_reference(ready, PEERS)
    assert calls(ready) == 1
    assert read_found(ready.folder, "ours", "float", SETTINGS, source_of(PEERS[0])) is not None


def test_outcomes_beside_the_document_serve_where_the_runs_are_gone(tmp_path):
    out = tmp_path / "benchmarks.md"
    sources = {peer.name: source_of(peer) for peer in PEERS}
    made = {"version": "9", "processor": "another machine"}
    kept = Found("quanto", "W8A8", {"psnr_db": 12.345, "ssim": 0.5, "frechet": 2.0}, made)
    write_all(out.with_suffix(".json"), [kept], Settings(), sources)
    command.main(["--render", "--runs", str(tmp_path / "runs"), "--out", str(out)])
    assert "| 12.35 |" in out.read_text() or "| 12.34 |" in out.read_text()
    assert read_all(out.with_suffix(".json"), Settings(), sources) == {("quanto", "W8A8"): kept}


def test_outcomes_of_other_code_or_settings_are_not_shown(tmp_path):
    path = tmp_path / "all.json"
    sources = {"quanto": "a", "nncf": "b"}
    write_all(path, [Found("quanto", "time"), Found("nncf", "time")], SETTINGS, sources)
    assert list(read_all(path, SETTINGS, {"quanto": "a", "nncf": "c"})) == [("quanto", "time")]
    assert read_all(path, Settings(), sources) == {}
    path.write_text("{")
    assert read_all(path, SETTINGS, sources) == {}
    assert read_all(tmp_path / "none.json", SETTINGS, {}) == {}
