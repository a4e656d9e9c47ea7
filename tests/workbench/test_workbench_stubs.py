"""Gradio is imported without writing stubs, and is whole all the same."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

COUNTED = """
import ast, contextlib
from workbench.stubs import without_stubs
parsed = []
parse = ast.parse
ast.parse = lambda *args, **values: parsed.append(1) or parse(*args, **values)
with {context}:
    from workbench.shell import build_page
from workbench.page import Settings
before = len(parsed)
build_page(Settings())
print(before)
"""


@pytest.mark.parametrize(
    ("context", "many"), [("without_stubs()", False), ("contextlib.nullcontext()", True)]
)
def test_components_are_not_parsed_and_the_page_is_built(context, many):
    code = COUNTED.format(context=context)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 20) is many


def test_only_gradios_classes_are_untold():
    from workbench.stubs import without_stubs

    class Component:
        __module__ = "gradio.components.button"

    told = inspect.getfile
    with without_stubs():
        assert inspect.getfile(pytest.MonkeyPatch) == told(pytest.MonkeyPatch)
        with pytest.raises(OSError, match="Component"):
            inspect.getfile(Component)
    assert inspect.getfile is told


def test_it_ends_with_an_import_that_fails():
    from workbench.stubs import without_stubs

    told = inspect.getfile
    with pytest.raises(ImportError), without_stubs():
        raise ImportError("gradio")
    assert inspect.getfile is told
