"""The bundle of plotly.js knows what the figures need, and is the version they are checked by."""

from __future__ import annotations

import re
from pathlib import Path

import plotly
import pytest

import analysis
from analysis.plotly_js import PLOTLY_JS

WHEEL = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ROOT = Path(analysis.__file__).parents[1]


def version(path: Path) -> str:
    """What a file of plotly.js says in its head."""
    (found,) = re.findall(r"^\* plotly\.js.* v(\d+\.\d+\.\d+)$", path.read_text()[:500], re.M)
    return found


def knows(kind: str) -> bool:
    """Whether the bundle can draw a kind of trace."""
    return f'moduleType:"trace",name:"{kind}"' in PLOTLY_JS.read_text()


def test_it_is_the_version_that_figures_are_validated_by():
    assert version(PLOTLY_JS) == version(WHEEL)


def test_it_draws_every_kind_of_trace():
    folders = (ROOT / "workbench" / "figures", ROOT / "analysis" / "report")
    source = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    kinds = set(re.findall(r'"type": "(\w+)"', source)) - {
        "line",
        "rect",
        "linear",
        "log",
    }  # shapes, axes
    assert {"scatter", "heatmap"} < kinds
    assert all(knows(kind) for kind in kinds), kinds


@pytest.mark.parametrize("kind", ["scatter3d", "sankey"])
def test_the_check_can_fail(kind):
    assert not knows(kind)


def test_its_licence_lies_beside_it():
    assert "Permission is hereby granted" in (PLOTLY_JS.parent / "LICENSE").read_text()
