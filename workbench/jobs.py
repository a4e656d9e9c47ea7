"""Long work, one piece at a time: progress, place in the queue, and a Cancel that works."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from analysis.errors import Cancelled, UserError
from analysis.progress import Progress, ShouldStop, check_stop

Result = TypeVar("Result")
Work = Callable[[Progress, ShouldStop], Any]
MOST_WAITING = 20
LOOK = 0.1  # seconds between looks at work that cannot be stopped


class Job:
    """One piece of work of one visitor."""

    def __init__(self, owner: str, name: str, work: Work) -> None:
        self.owner, self.name, self.work = owner, name, work
        self.state = "queued"  # queued, running, done, cancelled, failed
        self.result: Any = None
        self.error = ""
        self.done, self.total, self.text = 0, 0, ""
        self.started = 0.0
        self.limit: float | None = None  # seconds that it may run
        self._stop = threading.Event()
        self._phase = (0.0, 0)  # when the present phase began, and what was done then
        self._ends: float | None = None  # when it is expected to end

    @property
    def over(self) -> bool:
        return self.state in ("done", "cancelled", "failed")

    def cancel(self) -> None:
        """Ask the work to end; it does at its next step."""
        self._stop.set()

    @property
    def late(self) -> bool:
        """Whether it has run for longer than it may."""
        return self.limit is not None and time.monotonic() - self.started > self.limit

    def run(self) -> None:
        """Do the work in this thread."""
        self.state, self.started = "running", time.monotonic()
        try:
            self.result = self.work(self._report, self._should_stop)
            self.state = "done"
        except Cancelled:
            if self._stop.is_set() or not self.late:
                self.state = "cancelled"
            else:
                self._fail(
                    f"{self.name} was stopped after {self.limit:g} s, the most that one visitor "
                    "may compute here; choose fewer samples or steps."
                )
        except UserError as error:
            self._fail(str(error))
        except MemoryError:
            self._fail("There is not enough memory for this; choose fewer samples.")
        except Exception as error:  # a defect: the server's log gets all of it, the page a sentence
            traceback.print_exc()
            self._fail(f"{self.name} failed unexpectedly ({type(error).__name__}); see the log.")

    def shown(self, place: int = 0) -> dict[str, Any]:
        """What the progress component shows."""
        if self.state == "queued" and place == 0:
            return {"state": "running", "percent": None, "text": f"{self.name}: starting"}
        if self.state == "queued":
            text = f"Waiting: {place} before you; one computation runs at a time."
            return {"state": "queued", "percent": None, "text": text}
        if self.state == "running":
            return {"state": "running", "percent": self.percent, "text": self._running_text()}
        text = {"done": f"{self.name}: done", "cancelled": f"{self.name}: cancelled"}
        return {"state": self.state, "percent": None, "text": text.get(self.state, self.error)}

    @property
    def percent(self) -> float | None:
        """How far the work is; `None` before it has said so."""
        return 100 * self.done / self.total if self.total else None

    def _should_stop(self) -> bool:
        return self._stop.is_set() or self.late

    def _running_text(self) -> str:
        if self._should_stop():
            return f"{self.name}: stopping after the current step"
        if not self.total:
            return f"{self.name}: starting"
        parts = [f"{self.name}: {self.percent:.0f} %", self._remaining(), self.text]
        return ", ".join(part for part in parts if part)

    def _remaining(self) -> str:
        if self._ends is None or self.done >= self.total:
            return ""
        return f"about {_duration(self._ends - time.monotonic())} left"

    def _report(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if self.total != total or done < self.done:  # another phase has begun
            self._phase = (now, done)
        self.done, self.total, self.text = done, total, text
        since, before = self._phase
        enough = done - before >= 2 and now - since > 0.5
        self._ends = now + (now - since) * (total - done) / (done - before) if enough else None

    def _fail(self, sentence: str) -> None:
        self.state, self.error = "failed", sentence


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def unless_stopped(work: Callable[[], Result], should_stop: ShouldStop) -> Result:
    """The result of a few seconds' work that cannot be stopped itself.

    After a stop it ends by itself in a thread of its own, and nobody asks for its result.

    Raises:
        Cancelled: when `should_stop` says so before it has ended.
    """
    made: Future[Result] = Future()

    def run() -> None:
        try:
            made.set_result(work())
        except BaseException as error:
            made.set_exception(error)

    threading.Thread(target=run, name="cannot be stopped", daemon=True).start()
    while not made.done():
        check_stop(should_stop)
        wait([made], LOOK)
    return made.result()


class JobQueue:
    """Runs jobs in the order they came, in one thread that lives while there is work.

    `most_seconds` is how long each may run; `None` sets no limit.
    """

    def __init__(self, most_seconds: float | None = None) -> None:
        self._most_seconds = most_seconds
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, job: Job) -> Job:
        """Add a job at the end; `UserError` if its owner has one already, or too many wait."""
        with self._lock:
            present = [*self._waiting, *([self._running] if self._running else [])]
            if any(other.owner == job.owner for other in present):
                raise UserError("One computation of yours is still running; cancel it first.")
            if len(self._waiting) >= MOST_WAITING:
                raise UserError("Too many visitors are waiting; try again in a few minutes.")
            job.limit = self._most_seconds
            self._waiting.append(job)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="jobs", daemon=True)
                self._worker.start()
        return job

    def place(self, job: Job) -> int:
        """How many are before a waiting job, the running one included; 0 for any other."""
        with self._lock:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    @property
    def owners(self) -> set[str]:
        """Visitors whose work runs or waits."""
        with self._lock:
            present = [*self._waiting, *([self._running] if self._running else [])]
            return {job.owner for job in present}

    def cancel(self, owner: str) -> None:
        """Take the owner's waiting job out of the queue, or stop the running one."""
        with self._lock:
            for job in [job for job in self._waiting if job.owner == owner]:
                self._waiting.remove(job)
                job.state = "cancelled"
            if self._running is not None and self._running.owner == owner:
                self._running.cancel()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._worker = None
                    return
                self._running = self._waiting.popleft()
            self._running.run()
            with self._lock:
                self._running = None
