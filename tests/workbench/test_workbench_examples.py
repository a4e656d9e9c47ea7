"""Examples, captures that a demo keeps, and what can be taken along."""

from __future__ import annotations

import json
import os
import time
import zipfile
from pathlib import Path

import pytest

import analysis
from analysis.capture.store import load_capture
from analysis.errors import UserError
from workbench.captures import keep_new
from workbench.examples import EXAMPLES, example, example_files, find_any
from workbench.jobs import Job
from workbench.kept_captures import prune
from workbench.page import Page, Settings
from workbench.running import loaded, model_of
from workbench.selection import first_selection, from_query, to_query
from workbench.session import Session, SessionStore
from workbench.views.opening import show
from workbench.views.taking import files_of, report_work

MOST_BYTES = 3 * 10**6


def session_on(opened) -> Session:
    return Session("a", opened, first_selection(opened))


def page_of(settings: Settings) -> Page:
    return Page(settings, SessionStore(lambda key: None), [])


def test_there_are_three_examples_and_the_new_ones_are_small():
    assert len(EXAMPLES) == 3
    small = example_files()[1:]
    assert all(path.stat().st_size < MOST_BYTES for path in small)
    model = Path(analysis.__file__).parents[1] / "assets" / "models" / "untrained"
    assert sum(p.stat().st_size for p in model.rglob("*") if p.is_file()) < MOST_BYTES


@pytest.mark.parametrize("key", list(EXAMPLES))
def test_an_example_is_what_it_says_and_a_link_finds_it(key, tmp_path):
    opened = example(key)
    assert opened.key == key
    assert opened.capture.model == EXAMPLES[key].model
    assert find_any(key, tmp_path) is opened
    selection = first_selection(opened)
    assert from_query({}, opened) == (selection, [])
    assert ("capture=" in to_query(selection, opened)) == (key != "bundled")
    assert opened.names


def test_a_name_that_is_no_example_is_sought_among_the_runs(tmp_path):
    with pytest.raises(UserError, match="names a capture that is not here"):
        find_any("fashion", tmp_path)


def test_an_example_brings_its_model(monkeypatch):
    models = {"fashion": "trained", "untrained": "not trained"}
    session = session_on(example("bundled"))
    assert model_of(session, models) == "trained"
    show(session, example("untrained"))
    assert session.selection.layer in session.opened.names
    assert model_of(session, models) == "not trained"
    show(session, example("bundled"))
    assert model_of(session, models) == "trained"


def test_the_untrained_model_is_the_one_that_was_captured():
    capture = load_capture(example_files()[2])
    assert loaded("untrained", {}).digest == capture.model_digest


def test_a_demo_keeps_captures_for_a_while_and_within_limits(toy, tmp_path):
    names = [keep_new(toy.capture, tmp_path) for _ in range(4)]
    for age, name in enumerate(reversed(names)):
        os.utime(tmp_path / name, (time.time() - 100 * age,) * 2)
    (tmp_path / "capture-mine").mkdir()
    (tmp_path / "capture-mine" / "manifest.json").write_text('{"arguments": {}}')
    assert prune(tmp_path, [names[0]], life=150) == [names[1]]
    size = sum(p.stat().st_size for p in (tmp_path / names[3]).iterdir())
    assert prune(tmp_path, [], most=int(1.5 * size)) == [names[0], names[2]]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["capture-mine", names[3]])


def test_nothing_can_be_taken_along_before_there_is_a_model(toy):
    with pytest.raises(UserError, match=r"open Quantize and press Apply first\.$"):
        report_work(page_of(Settings()), session_on(toy))


def test_report_and_recipe_go_with_the_session(ddpm, ddpm_capture, toy):
    session = session_on(toy)
    session.model = ddpm
    session.quantized = analysis.quantize(ddpm, plan="W4A8", calibration=ddpm_capture)
    session.comparison = analysis.compare(ddpm, session.quantized, samples=1, steps=2)
    assert files_of(session) == []
    job = Job("a", "Writing", report_work(page_of(Settings()), session))
    job.run()
    assert job.state == "done", job.error
    report, recipe = (Path(path) for path in files_of(session))
    assert report.read_text().startswith("<!DOCTYPE html>")
    with zipfile.ZipFile(recipe) as archive:
        archive.extractall(recipe.parent / "run")
    again = analysis.load_quantized(recipe.parent / "run", ddpm)
    assert again.plan == session.quantized.plan
    assert json.loads((recipe.parent / "run" / "manifest.json").read_text())["kind"] == "quantize"
    session.drawn.clear()
    assert not report.exists()


def test_models_that_nobody_uses_are_let_go(toy):
    page = page_of(Settings())
    here, gone = object(), object()
    page.models |= {"here": here, "gone": gone}
    session = session_on(toy)
    session.model = here
    page._tidy([session])
    assert page.models == {"here": here}
    page._tidy([])
    assert page.models == {}


def test_a_demo_has_limits_on_steps_samples_and_seconds(tmp_path):
    settings = Settings.for_demo("fashion", tmp_path)
    assert (settings.most_steps, settings.most_samples, settings.most_seconds) == (100, 64, 120)
    job = page_of(settings).jobs.submit(Job("a", "A", lambda progress, should_stop: None))
    assert job.limit == 120
    assert Settings().most_seconds is None
