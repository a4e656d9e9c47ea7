"""Sweep before anything was run, and after everything failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.errors import UserError
from tests.workbench.test_workbench_sweep import measured, row
from workbench.selection import first_selection
from workbench.session import Session
from workbench.views import sweep_says as says
from workbench.views.sweep import layer_plot, row_plot, with_layers
from workbench.views.sweep_work import keep_apart


@pytest.fixture
def session(toy):
    return Session("me", toy, first_selection(toy), swept=measured())


def test_without_results_it_says_what_to_do(toy):
    fresh = Session("me", toy, first_selection(toy))
    assert "Press Measure" in says.layer_says(fresh)["text"]
    assert "press Sweep" in says.row_says(fresh)["text"]
    assert layer_plot(fresh)["layout"]["annotations"][0]["text"] == "Press Measure."
    for empty in (says.layer_table, says.row_table, says.files, says.layer_files):
        assert empty(fresh) is None
    with pytest.raises(UserError, match="No layer is measured yet: press Measure first"):
        keep_apart(fresh)


def test_a_sweep_whose_every_run_fails_says_so_and_why(session):
    broken = row("eda-dm", "W4A4", None, None, error="It broke.")
    session.swept.rows = [broken, replace(broken, method="rtn")]
    told = says.row_says(session)
    assert told["text"].startswith("No row could be run: the table has the reasons.")
    assert [item["value"] for item in told["items"]] == ["0", "2"]
    assert "Every row failed" in row_plot(session)["layout"]["annotations"][0]["text"]
    assert [cells[-1] for cells in says.row_table(session)["rows"]] == ["It broke."] * 2


def test_layers_from_quantize_are_counted_in_words():
    assert [with_layers(n).split("layer")[0] for n in (0, 1, 2)] == [
        "With ",
        "With the 1 ",
        "With the 2 ",
    ]
