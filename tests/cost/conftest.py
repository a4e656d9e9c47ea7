"""A clock that only the denoiser moves, so that what work costs is known exactly."""

from __future__ import annotations

from collections import Counter

import pytest

from analysis.cost.watch import Watch

FIXED, A_ROW = 0.5, 0.25  # seconds of a pass, and of each sample in it
EMPTY, EACH = 1_000_000, 10_000  # bytes held, and more while a sample is in the denoiser


class FakeWatch(Watch):
    """Moved by hand."""

    def __init__(self):
        self.now, self.most, self.left = 0.0, EMPTY, 10**12
        self.passes = Counter()

    def seconds(self):
        return self.now

    def begin(self):
        self.most = EMPTY

    def held(self):
        return EMPTY

    def peak(self):
        return self.most

    def free(self):
        return self.left

    def pass_of(self, rows):
        """What a pass does to the clock and to the memory."""
        self.now += FIXED + A_ROW * rows
        self.most = max(self.most, EMPTY + EACH * rows)
        self.passes[rows] += 1


@pytest.fixture
def watched(ddpm):
    """The tiny DDPM's passes move the watch; rows of a guided batch would count twice."""
    assert ddpm.trace.layers  # found by a pass of its own, once
    watch = FakeWatch()
    hook = ddpm.denoiser.register_forward_pre_hook(
        lambda module, args, kwargs: watch.pass_of(len(kwargs.get("sample", args and args[0]))),
        with_kwargs=True,
    )
    yield watch
    hook.remove()


@pytest.fixture
def spent(watched):
    """Seconds of the fake clock, and passes, that some work takes."""

    def run(work):
        before, passes = watched.now, watched.passes.copy()
        work()
        return watched.now - before, watched.passes - passes

    return run
