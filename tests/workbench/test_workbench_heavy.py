"""Loading what runs models: told on the way, cancelled in between, done once."""

from __future__ import annotations

import threading

import pytest

from analysis.errors import Cancelled
from workbench import heavy


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(heavy, "_loaded", threading.Event())


def test_loading_says_how_far_it_is_and_that_it_is_done():
    told = []
    heavy.load_heavy(lambda *words: told.append(words))
    assert heavy.is_loaded()
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert (told[0][0], told[-1][0]) == (0, told[-1][1])
    assert {text for _, _, text in told} == {"loading torch and diffusers, this once"}
    told.clear()
    heavy.load_heavy(lambda *words: told.append(words))
    assert told == []


def test_who_waits_for_anothers_loading_hears_how_far_it_is(monkeypatch):
    told, holding = [], threading.Event()
    monkeypatch.setattr(heavy, "LOOK", 0.01)
    monkeypatch.setattr(heavy, "_begun", 1)
    heavy._lock.acquire()

    def hear(*words):
        told.append(words)
        holding.set()

    waiting = threading.Thread(target=heavy.load_heavy, args=(hear,))
    waiting.start()
    assert holding.wait(10)
    assert told[0][:2] == (1, 3)
    heavy._lock.release()
    waiting.join(60)
    assert heavy.is_loaded()


def test_loading_can_be_cancelled_and_begun_again():
    with pytest.raises(Cancelled):
        heavy.load_heavy(should_stop=lambda: True)
    assert not heavy.is_loaded()
    heavy.load_heavy()
    assert heavy.is_loaded()
