"""An estimate in words, its stages added up, and the watch on real memory."""

from __future__ import annotations

import mmap

import pytest

from analysis.cost import watch as watching
from analysis.cost.record import Estimate, duration, size, total
from analysis.cost.steps import StepCost
from analysis.cost.watch import Watch


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (12.4, "12 s"), (120, "2 min"), (5400, "1.5 h"), (864000, "10 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(5.6e8, "560 MB"), (1.1e9, "1.1 GB")])
def test_sizes(count, words):
    assert size(count) == words


def test_stages_add_up_and_the_hungriest_tells_the_memory():
    stages = [
        Estimate(10, 500, 100, 1000, (("a", 10.0),)),
        Estimate(50, 900, 500, 400, (("b", 50.0),)),
    ]
    whole = total(stages)
    assert (whole.seconds, whole.bytes, whole.more) == (60, 900, 500)
    assert dict(whole.parts) == {"a": 10.0, "b": 50.0}
    assert (stages[0].fits, whole.fits) == (True, False)
    assert Estimate(1, 1, 10**15, None).fits  # nobody knows what is free
    assert whole.text == "about 60 s, 0 MB"


def test_passes_between_and_beyond_the_probed_sizes():
    cost = StepCost((1, 9), (1.0, 5.0), (10, 90), 1000)
    assert cost.of({1: 2, 5: 1, 17: 1}) == pytest.approx(2 * 1 + 3 + 9)
    assert (cost.bytes(5), cost.bytes(9), cost.bytes(17)) == (1000, 1000, 1080)


def test_the_watch_sees_memory_come_and_go():
    watch, chunk = Watch(), 64 * 2**20
    watch.begin()
    before = watch.held()
    block = mmap.mmap(-1, chunk)  # new pages, whatever memory this process has kept
    block.write(b"x" * chunk)
    assert watch.held() - before > 0.9 * chunk
    block.close()
    assert watch.peak() - before > 0.9 * chunk
    assert watch.held() - before < 0.5 * chunk
    watch.begin()
    if watch.peak() - before > 0.5 * chunk:
        pytest.skip("this system does not let a process forget its peak")


def test_a_container_may_have_less_than_its_machine(tmp_path, monkeypatch):
    machine = Watch().free()
    for name, text in {
        "memory.max": "5000000\n",
        "memory.current": "3000000\n",
        "memory.stat": "anon 7\ninactive_file 400000\n",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(watching, "GROUP", tmp_path)
    assert Watch().free() == 2_400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert Watch().free() == pytest.approx(machine, rel=0.5)


def test_a_system_without_these_files_knows_no_free_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "PROCESS", tmp_path)
    monkeypatch.setattr(watching, "GROUP", tmp_path)
    monkeypatch.setattr(watching, "_available", lambda: None)
    assert Watch().free() is None
    assert Watch().peak() > 10**6
