"""What may import what, checked in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_by(statement: str, names: set[str]) -> set[str]:
    """Which of `names` a fresh interpreter has loaded after the statement."""
    code = f"import sys\n{statement}\nprint(' '.join(set({sorted(names)}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


FIGURES = "\n".join(
    f"import workbench.figures.{name}"
    for name in (
        "calibration",
        "calibration_effect",
        "channels",
        "heatmap",
        "histogram",
        "learning",
        "over_time",
        "pareto",
        "results",
        "sensitivity",
        "shortcuts",
        "style",
    )
)


def test_figures_import_neither_gradio_nor_torch():
    assert loaded_by(FIGURES, {"gradio", "torch", "diffusers"}) == set()


def test_every_figure_module_is_checked():
    from pathlib import Path

    import workbench.figures

    folder = Path(workbench.figures.__file__).parent
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert all(f"workbench.figures.{name}" in FIGURES for name in names)


def test_opening_the_page_loads_no_torch():
    built = (
        "from workbench.page import Settings\nfrom workbench.shell import build_page\n"
        "build_page(Settings())"
    )
    assert loaded_by(built, {"torch", "diffusers", "scipy", "gradio"}) == {"gradio"}


@pytest.mark.parametrize("name", ["gradio", "torch"])
def test_the_check_can_fail(name):
    assert loaded_by(f"import {name}", {"gradio", "torch"}) >= {name}


def test_no_hooks_in_the_workbench():
    from pathlib import Path

    import workbench

    for path in Path(workbench.__file__).parent.rglob("*.py"):
        assert "register_forward" not in path.read_text(), path


def test_only_work_that_is_run_goes_through_gradios_queue():
    """Its stream of answers closes after the last one: a click at that moment would be lost."""
    from workbench.page import Settings
    from workbench.shell import build_page

    blocks = build_page(Settings())
    queued = [
        (blocks.blocks[component].elem_id, event)
        for call in blocks.fns.values()
        for component, event in call.targets
        if call.queue and component is not None
    ]
    starts = {"draw", "measure", "repeat", "apply"}
    assert ("run-capture", "click") in queued
    assert all(
        event == "click" and (name in starts or name.startswith(("run-", "apply-")))
        for name, event in queued
    )
