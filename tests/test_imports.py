"""Who may import what, and where hooks may be attached."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOOK_OWNERS = ("analysis/capture/", "analysis/quant/watch.py")
HEAVY = ("torch", "diffusers", "transformers", "gradio", "plotly")


def loaded_after(code: str) -> set[str]:
    """Top-level packages that are loaded in a fresh interpreter after some code."""
    script = f"{code}\nimport sys\nprint(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_by(path: Path) -> set[str]:
    """Top-level packages named by any import statement of a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def hook_users(root: Path) -> list[str]:
    """Files below `analysis/` that attach hooks, but may not."""
    users = [
        path.relative_to(root).as_posix()
        for path in sorted((root / "analysis").rglob("*.py"))
        if "register_forward_" in path.read_text()
    ]
    return [user for user in users if not user.startswith(HOOK_OWNERS)]


def test_the_library_loads_nothing_heavy_before_it_is_used():
    names = loaded_after("import analysis; analysis.UserError; dir(analysis)")
    assert "analysis" in names
    assert not names & set(HEAVY)


def test_that_check_can_fail():
    assert "plotly" in loaded_after("import analysis, plotly")


def test_help_needs_no_torch():
    code = "import sys; sys.argv[1:] = ['--help']\nimport analysis.cli"
    assert not loaded_after(code) & set(HEAVY)


def test_using_the_library_loads_no_page():
    code = "import analysis, analysis.comparison, analysis.quant.run, analysis.capture.run"
    names = loaded_after(code)
    assert "torch" in names
    assert not names & {"gradio", "workbench", "plotly"}


@pytest.mark.parametrize("path", sources("analysis"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_file_of_the_library_names_the_page(path):
    assert not imported_by(path) & {"gradio", "workbench", "app", "tests", "benchmarks"}


def test_that_check_can_fail_too(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from workbench.shell import build\n    import gradio as gr\n")
    assert imported_by(bad) == {"workbench", "gradio"}


def test_hooks_have_two_homes():
    assert hook_users(ROOT) == []
    for home in ("analysis/capture/trace.py", "analysis/quant/watch.py"):
        assert "register_forward_" in (ROOT / home).read_text()


def test_a_hook_elsewhere_would_be_found(tmp_path):
    for name in ("capture/trace.py", "quant/watch.py", "quant/other.py", "shortcuts.py"):
        path = tmp_path / "analysis" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("module.register_forward_pre_hook(f)\n")
    assert hook_users(tmp_path) == ["analysis/quant/other.py", "analysis/shortcuts.py"]


def test_capture_is_both_a_function_and_a_package(ddpm, ddpm_capture):
    import analysis
    import analysis.capture.run

    done = analysis.capture(ddpm, steps=4, samples=3, seed=0)
    assert done.timesteps.tolist() == ddpm_capture.timesteps.tolist()
    assert analysis.capture.run.capture.__module__ == "analysis.capture.run"
    assert analysis.capture is sys.modules["analysis.capture"]


def test_every_public_name_is_there():
    import analysis

    for name in analysis.__all__:
        assert getattr(analysis, name) is not None, name
    assert set(analysis.__all__) <= set(dir(analysis))
    with pytest.raises(AttributeError, match="module 'analysis' has no attribute 'nonsense'"):
        analysis.nonsense  # noqa: B018


@pytest.mark.parametrize("name", ["choose_qparams", "fake_quantize"])
def test_the_promised_names_of_quantization_are_there(name):
    import analysis

    assert callable(getattr(analysis.quant, name))
