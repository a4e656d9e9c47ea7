"""What each visitor has open, on the server: bounded in number and in time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.captures import OpenCapture
from workbench.lab import Lab
from workbench.memory import give_back, held
from workbench.selection import Selection
from workbench.swept import Swept

MOST_SESSIONS = 64
MOST_BYTES = 2 * 2**30  # of captures that visitors brought, and of their results
LIFE = 3600.0  # seconds after the last visit
EVERY = 20.0  # seconds between looks at all sessions
_NOTHING = object()  # equal to no state


@dataclass
class Session:
    """One visitor's capture, selection and results."""

    key: str
    opened: OpenCapture
    selection: Selection
    model: Any = None  # a ModelHandle once one was needed
    model_name: str = "fashion"
    quantized: Any = None  # a QuantizedModel
    comparison: Any = None
    variants: list[Any] = field(default_factory=list)  # quantized models, see workbench.variants
    side: Any = None  # variants beside the float model, from the same noise
    real: dict[Any, Any] = field(default_factory=dict)  # runs in integers, see workbench.real
    losses: list[Any] = field(default_factory=list)  # of the blocks of the last Apply
    kept: Any = None  # a temporary folder of finished blocks, see workbench.kept
    overrides: dict[str, str] = field(default_factory=dict)  # layer -> plan text such as W8A8
    calibration: Any = None  # a CalibrationSet of the lab that Apply shall use
    lab: Lab = field(default_factory=Lab)
    swept: Swept = field(default_factory=Swept)
    drawn: dict[str, Any] = field(default_factory=dict)  # what views remember between events
    shown: dict[int, Any] = field(default_factory=dict)  # see `shows`
    lock: Any = field(default_factory=threading.RLock)  # held while an event changes and paints
    turn: int = 0  # how often the bar was painted
    born: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    weight: int = 0  # bytes of results, when they were last weighed

    def shows(self, part: Any, state: Any) -> bool:
        """Whether the page shows a part in this state already; from now on it does.

        `Page.changed` takes that back where the part is none of what the event repaints.
        """
        shown, self.shown[id(part)] = self.shown.get(id(part), _NOTHING), state
        return bool(shown == state)

    def weigh(self) -> None:
        """Measure what the visitor holds beside the capture and the float model, both shared."""
        own = {k: v for k, v in vars(self).items() if k not in ("opened", "model", "lock")}
        self.weight = held(own.values(), [self.opened, self.model])


class SessionStore:
    """Sessions by the visitor's key; the ones unused for longest go first.

    While there are visitors a thread looks after them: it ends sessions that are too old or take
    too much memory together, and gives memory back after the ones that have ended.
    """

    def __init__(
        self,
        start: Callable[[str], Session],
        most: int = MOST_SESSIONS,
        most_bytes: int = MOST_BYTES,
        life: float = LIFE,
        every: float = EVERY,
    ) -> None:
        self._start = start
        self._most, self._most_bytes, self._life = most, most_bytes, life
        self._every = every
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None
        self._ended = False  # some session, since memory was last given back
        self.busy: Callable[[], set[str]] = set  # keys of visitors whose work is not done
        self.swept: Callable[[list[Session]], None] = lambda sessions: None  # told who is left

    def get(self, key: str) -> Session:
        """The visitor's session; a fresh one for a new visitor or one who was long away."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = self._sessions[key] = self._start(key)
            session.used = time.monotonic()
            self._sessions.move_to_end(key)
            self._evict({key, *self.busy()})
            if self._keeper is None or not self._keeper.is_alive():
                self._keeper = threading.Thread(target=self._keep, name="sessions", daemon=True)
                self._keeper.start()
            return session

    def drop(self, key: str) -> None:
        """Forget a visitor who has left."""
        with self._lock:
            self._ended |= self._sessions.pop(key, None) is not None

    def sweep(self) -> None:
        """Weigh what everybody holds, end what is too much or too old, give memory back."""
        busy = self.busy()
        with self._lock:
            sessions = list(self._sessions.values())
        session = None  # there may be nobody
        for session in sessions:
            if session.key not in busy:
                session.weigh()
        with self._lock:
            self._evict(busy)
            left, ended = list(self._sessions.values()), self._ended
            self._ended = False
        self.swept(left)
        del session, sessions
        if ended:
            give_back()

    def __len__(self) -> int:
        return len(self._sessions)

    def _keep(self) -> None:
        while True:
            time.sleep(self._every)
            self.sweep()
            with self._lock:
                if not self._sessions:
                    self._keeper = None
                    return

    def _evict(self, keep: set[str]) -> None:
        oldest_use = time.monotonic() - self._life
        for key, session in list(self._sessions.items()):
            crowded = len(self._sessions) > self._most or self._bytes() > self._most_bytes
            if key not in keep and (crowded or session.used < oldest_use):
                del self._sessions[key]
                self._ended = True

    def _bytes(self) -> int:
        opened = {id(s.opened): s.opened.bytes for s in self._sessions.values()}
        return sum(opened.values()) + sum(s.weight for s in self._sessions.values())
