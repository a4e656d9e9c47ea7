"""Loading torch and diffusers: late, because it takes seconds, and once at a time."""

from __future__ import annotations

import importlib
import threading

from analysis.progress import Progress, ShouldStop, check_stop, report

THEIRS = ("torch", "torch._dynamo", "diffusers.models.unets.unet_2d")  # about a second each
OURS = (
    "analysis.models.load",
    "analysis.capture.run",
    "analysis.comparison",
    "analysis.methods",
    "analysis.quant.run",
)

LOOK = 0.2  # seconds between looks at somebody else's loading

_lock = threading.Lock()
_loaded = threading.Event()
_begun = 0  # modules, by whoever holds the lock


def load_heavy(progress: Progress | None = None, should_stop: ShouldStop | None = None) -> None:
    """Import what runs models. Diffusers' lazy modules must not be imported by two threads.

    Raises:
        Cancelled: when `should_stop` says so; what is loaded stays.
    """
    if _loaded.is_set():
        return
    while not _lock.acquire(timeout=LOOK):
        _tell(progress, should_stop)
    try:
        _import_all(progress, should_stop)
    finally:
        _lock.release()
    _loaded.set()


def _import_all(progress: Progress | None, should_stop: ShouldStop | None) -> None:
    global _begun
    for _begun, name in enumerate((*THEIRS, *OURS)):
        _tell(progress, should_stop)
        importlib.import_module(name)


def _tell(progress: Progress | None, should_stop: ShouldStop | None) -> None:
    check_stop(should_stop)
    done, most = min(_begun, len(THEIRS)), len(THEIRS)
    report(progress, done, most, "loading torch and diffusers, this once")


def is_loaded() -> bool:
    """Whether what runs models is there already, so that asking for it takes no time."""
    return _loaded.is_set()
