"""The faster of two precisions is taken; what a runtime cannot do is not tried."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from analysis.backends import Backend, BackendOptions, rest_options
from analysis.backends.fastest import compile_fastest
from analysis.errors import UserError

SHAPES = {"sample": (1, 1, 2, 2), "timestep": ()}


class Runtime:
    """A runtime that takes as long as it is told with and without bfloat16."""

    def __init__(self, seconds, has_bfloat16=True, compiles_bfloat16=True):
        self.seconds, self.compiled = seconds, []
        self.compiles = compiles_bfloat16
        self.backend = Backend("slow", "Slow", (), self.compile, bfloat16=has_bfloat16)

    def compile(self, model, shapes, options):
        self.compiled.append(options.bfloat16)
        brief = bool(options.bfloat16) and self.compiles
        notes = () if brief == bool(options.bfloat16) else ("No bfloat16.",)

        def run(inputs):
            assert {name: value.shape for name, value in inputs.items()} == SHAPES
            time.sleep(self.seconds[brief])

        return SimpleNamespace(run=run, bfloat16=brief, notes=notes)


@pytest.mark.parametrize(("seconds", "brief"), [((0.03, 0.001), True), ((0.001, 0.03), False)])
def test_the_faster_one_is_taken_and_both_times_are_said(seconds, brief):
    runtime = Runtime(seconds)
    taken = compile_fastest(runtime.backend, b"", SHAPES, BackendOptions(bfloat16=None))
    assert taken.bfloat16 == brief
    (note,) = taken.notes
    assert ("takes bfloat16" in note) == brief
    assert "ms a step with float32" in note


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_asked_for_is_compiled_alone(asked):
    runtime = Runtime((0, 0))
    taken = compile_fastest(runtime.backend, b"", SHAPES, BackendOptions(bfloat16=asked))
    assert (taken.bfloat16, runtime.compiled) == (asked, [asked])


def test_without_bfloat16_there_is_nothing_to_choose():
    runtime = Runtime((0, 0), has_bfloat16=False)
    compile_fastest(runtime.backend, b"", SHAPES, BackendOptions(bfloat16=None))
    assert runtime.compiled == [False]
    runtime = Runtime((0, 0), compiles_bfloat16=False)
    taken = compile_fastest(runtime.backend, b"", SHAPES, BackendOptions(bfloat16=None))
    assert (taken.bfloat16, taken.notes) == (False, ("No bfloat16.",))


def test_precisions_have_names():
    assert rest_options("fastest").bfloat16 is None
    assert rest_options("bfloat16").bfloat16 is True
    with pytest.raises(UserError, match="can run in fastest, float32, bfloat16; got 'int4'"):
        rest_options("int4")
