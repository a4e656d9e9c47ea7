"""Long work: in turn, with progress, and with a Cancel that ends it."""

from __future__ import annotations

import threading
import time

import pytest

from analysis.errors import Cancelled, UserError
from analysis.progress import check_stop
from workbench.jobs import MOST_WAITING, Job, JobQueue, unless_stopped


def wait(job: Job, seconds: float = 5.0) -> Job:
    end = time.monotonic() + seconds
    while not job.over and time.monotonic() < end:
        time.sleep(0.005)
    assert job.over
    return job


class Gate:
    """Work that goes on until it is let through or stopped."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, progress, should_stop):
        self.begun.set()
        while not self.open.wait(0.005):
            check_stop(should_stop)
        return "through"


@pytest.fixture
def queue():
    return JobQueue()


def test_work_gives_its_result(queue):
    job = wait(queue.submit(Job("a", "Adding", lambda progress, should_stop: 1 + 1)))
    assert (job.state, job.result) == ("done", 2)


def test_one_at_a_time_in_the_order_they_came(queue):
    gates = [Gate() for _ in range(3)]
    jobs = [queue.submit(Job(str(i), "Waiting", gate)) for i, gate in enumerate(gates)]
    assert gates[0].begun.wait(5)
    assert [queue.place(job) for job in jobs] == [0, 1, 2]
    assert jobs[2].shown(2)["text"] == "Waiting: 2 before you; one computation runs at a time."
    assert not gates[1].begun.is_set()
    gates[0].open.set()
    assert gates[1].begun.wait(5)
    assert not gates[2].begun.is_set()
    for gate in gates:
        gate.open.set()
    assert [wait(job).result for job in jobs] == ["through"] * 3


def test_cancel_stops_running_work_and_only_the_owners(queue):
    mine, other = Gate(), Gate()
    job, following = queue.submit(Job("a", "A", mine)), queue.submit(Job("b", "B", other))
    assert mine.begun.wait(5)
    queue.cancel("a")
    assert wait(job).state == "cancelled"
    assert other.begun.wait(5)
    other.open.set()
    assert wait(following).state == "done"


def test_cancel_takes_waiting_work_out_of_the_queue(queue):
    gate, never = Gate(), Gate()
    running, waiting = queue.submit(Job("a", "A", gate)), queue.submit(Job("b", "B", never))
    assert gate.begun.wait(5)
    queue.cancel("b")
    assert waiting.state == "cancelled"
    gate.open.set()
    wait(running)
    assert not never.begun.is_set()


def test_a_visitor_has_one_computation(queue):
    gate = Gate()
    job = queue.submit(Job("a", "A", gate))
    with pytest.raises(UserError, match=r"^One computation of yours is still running"):
        queue.submit(Job("a", "A", gate))
    gate.open.set()
    wait(job)


def test_the_queue_is_bounded(queue):
    gate = Gate()
    first = queue.submit(Job("first", "A", gate))
    assert gate.begun.wait(5)
    for i in range(MOST_WAITING):
        queue.submit(Job(str(i), "A", lambda progress, should_stop: None))
    with pytest.raises(UserError, match="Too many visitors are waiting"):
        queue.submit(Job("late", "A", gate))
    gate.open.set()
    wait(first)


def test_a_mistake_is_one_sentence(queue):
    def work(progress, should_stop):
        raise UserError("bits must be 2 to 8; got 9")

    job = wait(queue.submit(Job("a", "A", work)))
    assert job.shown()["text"] == "bits must be 2 to 8; got 9"


def test_a_defect_is_one_sentence_and_the_queue_goes_on(queue, capsys):
    def work(progress, should_stop):
        raise ZeroDivisionError("secret /path")

    job = wait(queue.submit(Job("a", "Quantizing", work)))
    assert job.error == "Quantizing failed unexpectedly (ZeroDivisionError); see the log."
    assert wait(queue.submit(Job("a", "A", lambda p, s: 5))).result == 5
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_progress_says_percent_and_remaining_time():
    job = Job("a", "Sampling", lambda progress, should_stop: None)
    job.state = "running"
    job._report(0, 10, "start")
    job._phase = (time.monotonic() - 4, 0)
    job._report(4, 10, "timestep 600")
    assert job.shown()["text"] == "Sampling: 40 %, about 6 s left, timestep 600"
    assert job.shown()["percent"] == 40


def test_work_that_cannot_be_stopped_is_left_alone():
    assert unless_stopped(lambda: 1 + 1, lambda: False) == 2
    with pytest.raises(ZeroDivisionError):
        unless_stopped(lambda: 1 / 0, lambda: False)
    begun, end = threading.Event(), threading.Event()
    try:
        with pytest.raises(Cancelled):  # while the work still waits
            unless_stopped(lambda: begun.set() or end.wait(60), begun.is_set)
        assert begun.is_set()
    finally:
        end.set()


def test_work_that_raises_cancelled_counts_as_cancelled(queue):
    def work(progress, should_stop):
        raise Cancelled("Cancelled.")

    assert wait(queue.submit(Job("a", "A", work))).state == "cancelled"


def test_work_ends_when_its_seconds_are_over():
    queue = JobQueue(most_seconds=0.02)
    job = wait(queue.submit(Job("a", "Sampling", Gate())))
    assert job.state == "failed"
    assert job.error == (
        "Sampling was stopped after 0.02 s, the most that one visitor may compute here; choose "
        "fewer samples or steps."
    )
    assert queue.owners == set()


def test_seconds_count_from_the_start_not_from_the_waiting():
    queue, gate = JobQueue(), Gate()
    first = queue.submit(Job("a", "A", gate))
    second = queue.submit(Job("b", "B", lambda progress, should_stop: should_stop()))
    second.limit = 0.5
    time.sleep(0.02)
    assert queue.owners == {"a", "b"}
    gate.open.set()
    wait(first)
    assert wait(second).result is False


def test_cancel_is_no_lack_of_time():
    queue, gate = JobQueue(most_seconds=30), Gate()
    job = queue.submit(Job("a", "A", gate))
    assert gate.begun.wait(5)
    queue.cancel("a")
    assert wait(job).state == "cancelled"
