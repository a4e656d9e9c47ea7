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

_lock = threading.Lock()
_loaded = threading.Event()


def load_heavy(progress: Progress | None = None, should_stop: ShouldStop | None = None) -> None:
    """Import what runs models. Diffusers' lazy modules must not be imported by two threads.

    Raises:
        Cancelled: when `should_stop` says so; what is loaded stays.
    """
    if _loaded.is_set():
        return
    with _lock:
        for done, name in enumerate((*THEIRS, *OURS)):
            check_stop(should_stop)
            most = len(THEIRS)
            report(progress, min(done, most), most, "loading torch and diffusers, this once")
            importlib.import_module(name)
    _loaded.set()


def is_loaded() -> bool:
    """Whether what runs models is there already, so that asking for it takes no time."""
    return _loaded.is_set()
