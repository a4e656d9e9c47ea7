"""The document on peers: ratios, losses and reasons as the outcomes have them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.peers.render import Report, command_of, render
from benchmarks.peers.roster import PEERS
from benchmarks.peers.settings import Settings
from benchmarks.peers.store import Found

WHERE = (("ours", "a fast one"), ("nncf", "a slow one"))
MADE = {"commit": "abc1234", "python": "3", "torch": "2", "threads": "2", "processor": "2 cores"}


@pytest.fixture
def document():
    def write(*found: Found) -> str:
        return render(Report(Settings(), PEERS, found))

    return write


def job(peer: str, name: str, error: str = "", **values) -> Found:
    return Found(peer, name, values, MADE | {"version": f"{peer}-9"}, error)


def section(text: str, heading: str) -> str:
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def line_of(text: str, peer: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {peer} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_ratio_is_the_median_of_the_pairs_not_the_ratio_of_medians(document):
    found = job("ours", "time", plain_s=[1.0, 2.0, 4.0], collect_s=[2.0, 2.2, 4.8])
    cells = line_of(section(document(found), "Collecting"), "ours")
    assert cells[1:5] == ["ours-9", "2.00", "2.20", "1.20 (1.10 to 2.00)"]
    assert cells[5:] == ["-", "-", "-"]


def test_memory_is_a_ratio_of_two_processes(document):
    text = document(job("nncf", "memory-plain", peak_mb=400.0), job("nncf", "memory", peak_mb=500))
    assert line_of(section(text, "Collecting"), "nncf")[5:] == ["400", "500", "1.25"]


def test_every_peer_says_what_it_records(document):
    text = section(document(), "What is recorded of activations")
    assert line_of(text, "ours")[1:4] == ["yes", "yes", "yes"]
    assert line_of(text, "torch-ao-minmax")[1:4] == ["no", "no", "no"]
    assert all(line_of(text, peer.name)[4] for peer in PEERS)


def test_quality_stands_beside_the_float_model(document):
    text = document(
        job("ours", "float", frechet=1.0, sample_s=3.0),
        job("quanto", "W8A8", psnr_db=30.123, ssim=0.9, frechet=1.5, quantize_s=7.0, sample_s=4.0),
    )
    table = section(text, "W8A8")
    assert line_of(table, "float")[1:] == ["-", "-", "1.0000", "-", "3.0"]
    assert line_of(table, "quanto †")[1:] == ["30.12", "0.900", "1.5000", "7.0", "4.0"]
    assert line_of(section(text, "W4A8"), "quanto †")[1:] == ["-"] * 5
    assert "† quanto: its layers have no quantizer of their inputs" in table


def test_losses_are_left_in_with_who_is_ahead(document):
    text = document(
        job("ours", "W8A8", psnr_db=30.0, frechet=1.2),
        job("quanto", "W8A8", psnr_db=31.0, frechet=1.3),
        job("nncf", "W8A8", psnr_db=32.0, frechet=1.1),
        job("ours", "time", plain_s=[1.0], collect_s=[1.1]),
        job("quanto", "time", plain_s=[1.0], collect_s=[1.4]),
    )
    losses = section(text, "Where another library is ahead")
    assert "- W8A8, PSNR, dB: nncf 32.00, quanto † 31.00; ours 30.00" in losses
    assert "- W8A8, Frechet distance: nncf 1.1000; ours 1.2000" in losses
    assert "time of collecting" not in losses
    assert "- memory of collecting: not known" in losses


def test_our_own_other_settings_are_nobody_else(document):
    text = document(job("ours", "W4A8", psnr_db=30.0), job("ours-by-default", "W4A8", psnr_db=33.0))
    assert line_of(section(text, "W4A8"), "ours-by-default †")[1] == "33.00"
    assert "W4A8, PSNR" not in section(text, "Where another library is ahead")
    assert "| ours-by-default |" not in section(text, "Collecting")
    assert "- ours-by-default: not run yet (W8A8)" in text


def test_being_slower_is_a_loss(document):
    text = document(
        job("ours", "time", plain_s=[1.0], collect_s=[1.5]),
        job("quanto", "time", plain_s=[1.0], collect_s=[1.4]),
    )
    assert "- time of collecting: quanto 1.40; ours 1.50" in text


def test_reasons_and_gaps_are_listed(document):
    text = document(
        job("aimet", "install", error="it would bring torch 1"),
        job("quanto", "W4A8", error="RuntimeError: no kernel"),
    )
    missing = section(text, "What is not there, and why")
    assert "- aimet, install: it would bring torch 1" in missing
    assert "- aimet: not run yet" not in missing
    assert "- quanto, W4A8: RuntimeError: no kernel" in missing
    assert "- quanto: not run yet (memory-plain, memory, time, W8A8)" in missing


def test_the_head_names_command_commit_and_machine(document):
    text = document(job("ours", "memory", peak_mb=1.0))
    assert "`python -m benchmarks peers` writes this page; commit abc1234" in text
    assert "Python 3, torch 2, 2 threads; 2 cores." in text


def test_the_command_has_what_is_not_usual():
    assert (
        command_of(Settings(steps=3, quality_samples=32))
        == "python -m benchmarks peers --steps 3 --quality-samples 32"
    )


def test_several_processors_say_who_ran_where(document):
    here, there = (replace(job(p, "memory"), made=MADE | {"processor": m}) for p, m in WHERE)
    text = document(here, there)
    assert "2 threads; a fast one (ours); a slow one (nncf). Seconds of different" in text
