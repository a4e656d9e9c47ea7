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
from workbench.selection import Selection

MOST_SESSIONS = 64
MOST_BYTES = 2**30  # of captures that visitors brought
LIFE = 3600.0  # seconds after the last visit


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
    losses: list[Any] = field(default_factory=list)  # of the blocks of the last Apply
    kept: Any = None  # a temporary folder of finished blocks, see workbench.kept
    overrides: dict[str, str] = field(default_factory=dict)  # layer -> plan text such as W8A8
    calibration: Any = None  # a CalibrationSet of the lab that Apply shall use
    lab: Lab = field(default_factory=Lab)
    drawn: dict[str, Any] = field(default_factory=dict)  # what the page shows already
    born: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)


class SessionStore:
    """Sessions by the visitor's key; the ones unused for longest go first."""

    def __init__(
        self,
        start: Callable[[str], Session],
        most: int = MOST_SESSIONS,
        most_bytes: int = MOST_BYTES,
        life: float = LIFE,
    ) -> None:
        self._start = start
        self._most, self._most_bytes, self._life = most, most_bytes, life
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Session:
        """The visitor's session; a fresh one for a new visitor or one who was long away."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = self._sessions[key] = self._start(key)
            session.used = time.monotonic()
            self._sessions.move_to_end(key)
            self._evict(key)
            return session

    def drop(self, key: str) -> None:
        """Forget a visitor who has left."""
        with self._lock:
            self._sessions.pop(key, None)

    def __len__(self) -> int:
        return len(self._sessions)

    def _evict(self, keep: str) -> None:
        oldest_use = time.monotonic() - self._life
        for key, session in list(self._sessions.items()):
            crowded = len(self._sessions) > self._most or self._bytes() > self._most_bytes
            if key != keep and (crowded or session.used < oldest_use):
                del self._sessions[key]

    def _bytes(self) -> int:
        opened = {id(s.opened): s.opened.bytes for s in self._sessions.values()}
        return sum(opened.values())
