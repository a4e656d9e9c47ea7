"""Visitors' sessions: apart from each other, bounded in number, size and time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from workbench.captures import OpenCapture
from workbench.selection import first_selection
from workbench.session import Session, SessionStore


@pytest.fixture
def start(toy):
    return lambda key: Session(key, toy, first_selection(toy))


def test_a_visitor_keeps_the_session(start):
    store = SessionStore(start)
    store.get("a").quantized = "mine"
    assert store.get("a").quantized == "mine"
    assert store.get("b").quantized is None


def test_twenty_visitors_at_once_see_only_their_own_work(start):
    store, together = SessionStore(start), threading.Barrier(20)

    def visit(key: str) -> list[tuple[str, str]]:
        seen = []
        for turn in range(50):
            together.wait(10)
            store.get(key).selection = replace(store.get(key).selection, find=f"{key} {turn}")
            store.get(key).quantized = f"{key} {turn}"
            together.wait(10)
            seen.append((store.get(key).selection.find, store.get(key).quantized))
        return seen

    keys = [str(i) for i in range(20)]
    with ThreadPoolExecutor(20) as pool:
        for key, seen in zip(keys, pool.map(visit, keys), strict=True):
            assert seen == [(f"{key} {turn}",) * 2 for turn in range(50)]
    assert len(store) == 20


def test_the_longest_unused_goes_first(start):
    store = SessionStore(start, most=2)
    for key in ("a", "b", "a", "c"):
        store.get(key).quantized = key
    assert len(store) == 2
    assert store.get("a").quantized == "a"
    assert store.get("b").quantized is None


def test_sessions_end_after_their_life(start):
    store = SessionStore(start, life=0.02)
    store.get("a").quantized = "old"
    time.sleep(0.03)
    store.get("b")
    assert len(store) == 1


def test_captures_that_visitors_brought_are_bounded(toy):
    def start(key):
        return Session(key, OpenCapture(key, toy.capture), first_selection(toy))

    store = SessionStore(start, most_bytes=toy.bytes * 2)
    for key in "abcd":
        store.get(key)
    assert len(store) == 2


def test_one_capture_that_all_look_at_counts_once(start, toy):
    store = SessionStore(start, most_bytes=toy.bytes)
    for key in "abcd":
        store.get(key)
    assert len(store) == 4


def test_a_visitor_who_left_is_forgotten(start):
    store = SessionStore(start)
    store.get("a")
    store.drop("a")
    store.drop("never came")
    assert len(store) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_sessions_are_looked_after_again_after_a_fault(start):
    store, looked = SessionStore(start, every=0.01), []

    def fails_at_first(sessions: list[Session]) -> None:
        looked.append(len(sessions))
        if len(looked) == 1:
            raise RuntimeError("no more of this")

    store.swept = fails_at_first
    end = time.monotonic() + 20
    while len(looked) < 3 and time.monotonic() < end:
        store.get("a")
        time.sleep(0.01)
    assert looked[:3] == [1, 1, 1]


def test_sweeping_when_nobody_is_there_ends_nothing(start):
    store = SessionStore(start)
    store.sweep()
    assert len(store) == 0
