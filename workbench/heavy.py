"""Loading torch and diffusers: late, because it takes seconds, and once at a time."""

from __future__ import annotations

import threading

_lock = threading.Lock()


def load_heavy() -> None:
    """Import what runs models. Diffusers' lazy modules must not be imported by two threads."""
    with _lock:
        import analysis.capture.run
        import analysis.comparison
        import analysis.methods
        import analysis.models.load
        import analysis.quant.run  # noqa: F401
