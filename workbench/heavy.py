"""Loading torch and diffusers: late, because it takes seconds, and once at a time."""

from __future__ import annotations

import threading

_lock = threading.Lock()
_loaded = threading.Event()


def load_heavy() -> None:
    """Import what runs models. Diffusers' lazy modules must not be imported by two threads."""
    with _lock:
        import analysis.capture.run
        import analysis.comparison
        import analysis.methods
        import analysis.models.load
        import analysis.quant.run  # noqa: F401
    _loaded.set()


def is_loaded() -> bool:
    """Whether what runs models is there already, so that asking for it takes no time."""
    return _loaded.is_set()
