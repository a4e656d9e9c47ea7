"""What visitors' results weigh, and that nothing stays behind when they leave."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import torch

from analysis.errors import Cancelled
from workbench.captures import OpenCapture
from workbench.jobs import Job, JobQueue
from workbench.memory import give_back, held
from workbench.selection import first_selection
from workbench.session import Session, SessionStore
from workbench.views.shortcuts import reports_at

VISITORS = 20


def test_arrays_tensors_and_texts_are_weighed_once():
    array, tensor = np.zeros(1000), torch.zeros(500)
    values = {
        "a": [array, array[:10], array],
        "b": {"c": (tensor, tensor.view(50, 10))},
        "d": b"123",
    }
    assert held([values]) == 8000 + 2000 + 3
    assert held([values], shared=[array]) == 2000 + 3
    assert held([]) == 0


def test_all_else_is_weighed_while_another_thread_loads_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert held([{"a": np.zeros(1000)}]) == 8000


def test_models_are_weighed_with_parameters_and_buffers():
    layer = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.BatchNorm1d(10))
    own = 4 * (100 + 10 + 10 + 10 + 10) + 8
    assert held([SimpleNamespace(handle=SimpleNamespace(unet=layer))]) == own


def test_a_loop_and_a_function_are_no_trouble():
    loop: list = [np.zeros(1)]
    loop.append(loop)
    assert held([loop, held, np, Session]) == 8


def test_the_largest_that_was_longest_unused_goes(toy):
    store = SessionStore(lambda key: Session(key, toy, first_selection(toy)), most_bytes=50_000)
    store._most_bytes += toy.bytes
    for key in ("old", "new"):
        store.get(key).quantized = np.zeros(4000)  # 32 kB each
    store.sweep()
    assert len(store) == 1
    assert store.get("new").quantized is not None


def test_who_computes_is_not_ended(toy):
    store = SessionStore(lambda key: Session(key, toy, first_selection(toy)), life=0.01)
    store.busy = lambda: {"working"}
    store.get("working")
    time.sleep(0.02)
    store.get("away")
    time.sleep(0.02)
    store.sweep()
    assert [s.key for s in store._sessions.values()] == ["working"]


def test_the_store_looks_after_itself_while_there_are_visitors(toy):
    store = SessionStore(lambda key: Session(key, toy, first_selection(toy)), life=0.02, every=0.02)
    for _ in range(2):  # the second time after everybody has left
        store.get("a")
        keeper = store._keeper
        keeper.join(5)
        assert not keeper.is_alive()
        assert len(store) == 0
        store.sweep()


def test_an_empty_store_can_be_swept(toy):
    store = SessionStore(lambda key: Session(key, toy, first_selection(toy)))
    store.get("a")
    store.drop("a")
    left: list = [None]
    store.swept = left.__init__
    store.sweep()
    assert left == []


def visit(store: SessionStore, queue: JobQueue, number: int, gate: threading.Event) -> Job:
    """Look at something of one's own, and compute something of one's own."""
    session = store.get(f"visitor {number}")
    opened = session.opened
    layer = opened.names[number % len(opened.names)]
    session.selection = replace(session.selection, layer=layer, act_bits=2 + number % 7)
    assert reports_at(opened, number % opened.steps)

    def work(progress, should_stop):
        gate.wait(10)
        if should_stop():
            raise Cancelled("Cancelled.")
        session.quantized = np.full(1000, number)

    return queue.submit(Job(session.key, "Computing", work))


def all_at_once(store: SessionStore, queue: JobQueue, gate: threading.Event) -> list[Job]:
    """Twenty visitors, each in a thread of its own, as the server has them."""
    jobs: list[Job] = []
    threads = [
        threading.Thread(target=lambda i=i: jobs.append(visit(store, queue, i, gate)))
        for i in range(VISITORS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return jobs


def check_places(queue: JobQueue, jobs: list[Job]) -> None:
    """Everybody but the one whose work runs is told another place."""
    said = [job.shown(queue.place(job))["text"] for job in jobs if queue.place(job)]
    assert set(said) == {
        f"Waiting: {n} before you; one computation runs at a time." for n in range(1, VISITORS)
    }


def check_results(store: SessionStore, gone: str) -> list[weakref.ref]:
    """Everybody has the own selection and the own result."""
    for number in range(VISITORS):
        session = store.get(f"visitor {number}")
        if session.key == gone:
            assert session.quantized is None
        else:
            assert session.selection.act_bits == 2 + number % 7
            assert (session.quantized == number).all()
    sessions = store._sessions.values()
    return [weakref.ref(x) for s in sessions for x in (s, s.opened, s.quantized) if x is not None]


def test_twenty_visitors_see_only_their_own_work_and_leave_nothing(toy):
    def start(key):
        opened = OpenCapture("own", replace(toy.capture))
        return Session(key, opened, first_selection(opened))

    store, queue, gate, gone = SessionStore(start), JobQueue(), threading.Event(), "visitor 7"
    jobs = all_at_once(store, queue, gate)
    end = time.monotonic() + 10
    while len([job for job in jobs if queue.place(job)]) == VISITORS and time.monotonic() < end:
        time.sleep(0.005)
    check_places(queue, jobs)
    queue.cancel(gone)
    store.drop(gone)
    gate.set()
    while queue.owners and time.monotonic() < end:
        time.sleep(0.005)
    left = check_results(store, gone)
    assert len(left) > 2 * VISITORS
    jobs.clear()
    for number in range(VISITORS):
        store.drop(f"visitor {number}")
    give_back()
    assert [ref for ref in left if ref() is not None] == []
