"""The calibration lab behind the page: sets, the edited histogram, the long work."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from analysis.calibration import SAMPLERS
from analysis.errors import Cancelled, UserError
from workbench import samplers
from workbench.captures import OpenCapture
from workbench.heavy import load_heavy
from workbench.lab import MOST_SETS, Lab, Wish
from workbench.page import NothingToDo, Settings
from workbench.selection import READERS, first_selection
from workbench.session import Session
from workbench.views import calibration as view
from workbench.views import calibration_plots as plots
from workbench.views import calibration_says as words
from workbench.views import calibration_work as work
from workbench.views.calibration_bars import edit, editor, fill

STEPS = 3


@pytest.fixture
def page(monkeypatch, ddpm):
    monkeypatch.setattr(work, "model_of", lambda session, models: ddpm)
    return SimpleNamespace(settings=Settings(most_samples=40, most_steps=20), models={})


@pytest.fixture
def session(ddpm_capture):
    opened = OpenCapture("tiny", ddpm_capture)
    made = Session("visitor", opened, first_selection(opened))
    made.selection = set_fields(made, cal_steps=STEPS, cal_size=6)
    return made


def set_fields(session, **changes):
    return replace(session.selection, **changes)


def run(prepared):
    seen = []
    prepared(lambda done, total, text: seen.append(done / total), lambda: False)
    return seen


def draw(page, session, *names, size=6, seed=0):
    return run(work.draw_work(page, session, list(names), size, STEPS, seed))


def test_titles_are_of_samplers_that_exist_and_new_ones_are_offered(monkeypatch):
    assert set(samplers.TITLES) <= set(SAMPLERS)
    assert {name for _, name in samplers.choices()} == set(SAMPLERS)
    monkeypatch.setitem(SAMPLERS._items, "brand-new", SAMPLERS.get("random"))
    assert samplers.choices()[-1] == ("brand-new", "brand-new")
    assert samplers.read_samplers("brand-new.tdac") == "tdac.brand-new"
    half_loaded = ModuleType("analysis.calibration.samplers")
    monkeypatch.setitem(sys.modules, half_loaded.__name__, half_loaded)
    assert samplers.known() == list(samplers.TITLES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("samplers", "tdac.nope"),
        ("samplers", "<script>"),
        ("custom", "1--2"),
        ("custom", "1-2-x"),
        ("custom", "9999"),
        ("custom", "-".join(["1"] * 101)),
        ("custom", "²"),
        ("cal_size", "0"),
        ("cal_steps", "1e9"),
        ("cal_seed", "-1"),
        ("repeats", "1"),
        ("projection", "isomap"),
        ("counts_as", "pie"),
    ],
)
def test_nonsense_in_the_address_is_none_of_the_lab(name, text):
    with pytest.raises((ValueError, StopIteration)):
        READERS[name](text)


def test_the_address_holds_the_histogram_and_the_samplers():
    assert READERS["custom"]("08-0-12") == "8-0-12"
    assert READERS["custom"]("") == ""
    assert READERS["samplers"]("tdac..ndtc.tdac") == "ndtc.tdac"


@pytest.mark.parametrize(("steps", "size"), [(1, 1), (3, 64), (10, 64), (7, 3), (50, 1024)])
def test_fills_hold_exactly_the_samples(steps, size):
    for counts in (samplers.even(steps, size), samplers.ramp(steps, size, True)):
        assert sum(counts) == size
        assert len(counts) == steps
    assert max(samplers.even(steps, size)) - min(samplers.even(steps, size)) <= 1
    assert samplers.ramp(10, 55, True) == list(range(1, 11))
    assert samplers.ramp(10, 55, False) == list(range(10, 0, -1))


def test_the_histogram_falls_back_where_it_has_other_steps():
    assert samplers.counts_of("1-2-3", 3, 64) == [1, 2, 3]
    assert samplers.counts_of("1-2-3", 4, 8) == [2, 2, 2, 2]
    with pytest.raises(UserError, match="The histogram is empty; raise one of its bars"):
        samplers.checked_counts([0, 0])


def test_editing_chooses_the_sampler_custom(session):
    edit(session, {"counts": [4, 0, 1]}, 0)
    assert session.selection.custom == "4-0-1"
    assert "custom" in session.selection.samplers.split(".")
    assert editor(session)["counts"] == [4, 0, 1]
    for nonsense in (None, {}, {"counts": [1.5]}, {"counts": [-1]}, {"counts": [True]}):
        with pytest.raises(NothingToDo):
            edit(session, nonsense, 0)
    fill(session, "picture")
    assert session.selection.custom == "1-2-3"
    with pytest.raises(UserError, match="There are no sets yet"):
        fill(session, "set")


def test_the_editor_names_timesteps_where_it_knows_them(session, ddpm_capture):
    assert editor(session)["names"] == ["1", "2", "3"]
    session.selection = set_fields(session, cal_steps=4)
    assert editor(session)["names"] == [f"{t:g}" for t in ddpm_capture.timesteps]
    session.selection = set_fields(session, cal_steps=101)
    assert "up to 100 steps" in editor(session)["empty"]


def test_sets_are_drawn_once_each_and_kept_apart(page, session):
    load_heavy()  # its progress is another
    seen = draw(page, session, "timestep-uniform", "custom")
    assert seen == sorted(seen)
    lab = session.lab
    assert [kept.wish.sampler for kept in lab.kept] == ["timestep-uniform", "custom"]
    assert lab.kept[1].drawn.calibration.counts.tolist() == [2, 2, 2]
    assert len({kept.slot for kept in lab.kept}) == 2
    with pytest.raises(UserError, match="These sets are drawn already"):
        draw(page, session, "timestep-uniform", "custom")
    draw(page, session, "timestep-uniform", "ndtc")
    assert [kept.label for kept in lab.kept][-1] == "3. ndtc, 6"
    for method in ("pca", "tsne"):
        placed = lab.placed[method]
        assert placed.points("").shape == (16 * STEPS, 2)
        assert all(placed.points(kept.key).shape == (6, 2) for kept in lab.kept)


def test_the_page_says_and_draws_what_the_sets_hold(page, session):
    assert words.sets_say(session)["title"] == "Nothing drawn yet"
    assert words.set_table(session) is None
    assert plots.counts(session)["data"] == []
    draw(page, session, "timestep-uniform")
    kept = session.lab.selected
    drawn = kept.drawn.calibration
    (row,) = words.set_table(session)["rows"]
    assert row[:4] == ["1. timestep-uniform, 6", STEPS, 0, drawn.report.coverage]
    assert row[4:] == [None, None, None, None, "no"]
    steps = words.step_table(session.lab)["rows"]
    assert [r[0] for r in steps] == drawn.timesteps.tolist()
    assert [r[1] for r in steps] == drawn.counts.tolist()
    assert [r[-2] for r in steps] == session.lab.land.density.tolist()
    assert len(plots.counts(session)["data"]) == 3
    assert "coverage" in plots.scatter(session)["data"][1]["name"]


def test_measuring_compares_with_the_capture_under_the_plan(page, session):
    with pytest.raises(UserError, match="There are no sets yet; choose samplers and press Draw"):
        work.effect_work(page, session)
    draw(page, session, "timestep-uniform")
    session.selection = set_fields(session, act_bits=4)
    seen = run(work.effect_work(page, session))
    assert seen == sorted(seen)
    kept, reference = session.lab.kept[0], session.lab.reference
    ratio = kept.effect.scales / reference.scales
    middle, worst = words.errors_of(session.lab, kept)
    assert worst == pytest.approx(np.maximum(ratio, 1 / ratio).max())
    assert middle == pytest.approx(100 * (2 ** np.median(np.abs(np.log2(ratio))) - 1))
    gains = kept.effect.sqnr_db_per_step - reference.sqnr_db_per_step
    assert words.least_gain(session.lab, kept) == (gains.min(), gains_at(kept, gains))
    assert words.set_table(session)["rows"][0][7] == gains.min()
    rows = words.effect_table(session.lab, "")["rows"]
    assert [row[2] for row in rows] == pytest.approx(ratio.tolist())
    assert plots.measured(session) == ("W4A4", True)
    assert plots.errors(session)["data"]
    coarse = kept.effect.sqnr_db
    session.selection = set_fields(session, act_bits=6)
    assert plots.measured(session) == ("W4A6", False)
    assert plots.errors(session)["data"] == plots.scales(session)["data"] == []
    run(work.effect_work(page, session))
    assert session.lab.kept[0].effect.sqnr_db > coarse
    assert session.lab.measured.plan.text == "W4A6"


def test_a_float_plan_and_another_models_capture_are_one_sentence(page, session, toy):
    draw(page, session, "timestep-uniform")
    session.selection = set_fields(session, act_bits=32)
    with pytest.raises(UserError, match="leaves activations float"):
        run(work.effect_work(page, session))
    session.opened, session.selection = toy, first_selection(toy)
    with pytest.raises(UserError, match="The capture was taken of another model"):
        run(work.effect_work(page, session))


def test_repeating_shows_the_spread(page, session):
    draw(page, session, "timestep-uniform")
    with pytest.raises(UserError, match="Repeats must be a whole number from 2 to 10; got 1"):
        work.stability_work(page, session, 1)
    run(work.stability_work(page, session, 2))
    title, found = session.lab.stability
    assert title == "timestep-uniform, 6 samples, 3 steps, W4A8"
    tiles = {item["name"]: item["value"] for item in words.stability_says(session.lab)["items"]}
    assert float(tiles["One-step SQNR"]) == pytest.approx(found.sqnr_db.mean(), abs=0.01)
    rows = words.stability_table(session.lab, "")["rows"]
    assert [row[1] for row in rows] == pytest.approx(found.scales.mean(axis=0).tolist())
    assert len(plots.spread(session)["data"]) == 1


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (([], 6, 3, 0), "No sampler is chosen; tick at least one."),
        ((["tdac"], 0, 3, 0), "Samples must be a whole number from 1 to 40; got 0."),
        ((["tdac"], None, 3, 0), "Samples must be a whole number from 1 to 40; got nothing."),
        ((["tdac"], 41, 3, 0), "Samples must be a whole number from 1 to 40; got 41."),
        ((["tdac"], 6, 21, 0), "Steps must be a whole number from 1 to 20; got 21."),
        ((["tdac"], 6, 3, -1), "Seed must be a whole number from 0 to 999999; got -1."),
    ],
)
def test_a_form_that_makes_no_sense_is_one_sentence(page, session, form, sentence):
    with pytest.raises(UserError) as raised:
        work.draw_work(page, session, *form)
    assert str(raised.value) == sentence


def test_a_size_below_the_steps_is_refused_before_anything_runs(page, session):
    prepared = work.draw_work(page, session, ["ndtc", "timestep-uniform"], 2, STEPS, 0)
    with pytest.raises(UserError, match="needs one sample at each of 3 steps, but size is 2"):
        run(prepared)
    assert session.lab.kept == []


def test_cancel_keeps_the_sets_that_are_finished(page, session):
    def stop() -> bool:
        return len(session.lab.kept) == 1

    prepared = work.draw_work(page, session, ["timestep-uniform", "ndtc"], 6, STEPS, 0)
    with pytest.raises(Cancelled):
        prepared(lambda *told: None, stop)
    assert len(session.lab.kept) == 1
    assert session.lab.placed["pca"].points("set-1").shape == (6, 2)
    assert "was not made" in words_of_plane(session, "tsne")


def gains_at(kept, gains):
    return dict(zip(gains, kept.effect.timesteps, strict=True))[gains.min()]


def words_of_plane(session, name):
    session.selection = set_fields(session, projection=name)
    return plots.placed_says(session)["text"]


def test_a_set_can_be_used_by_apply_and_taken_back(page, session):
    draw(page, session, "timestep-uniform", "ndtc")
    view._choose_set(session, "set-1", 0)
    view._use(session)
    assert session.calibration is session.lab.find("set-1").drawn.calibration
    assert [row[-1] for row in words.set_table(session)["rows"]] == ["yes", "no"]
    view._remove(session)
    assert session.calibration is None
    assert [kept.key for kept in session.lab.kept] == ["set-2"]
    view._use(session)
    view._use(session)
    assert session.calibration is None
    view._use(session)
    view._clear(session)
    assert (session.calibration, session.lab.kept, session.lab.placed) == (None, [], {})
    with pytest.raises(UserError, match="There are no sets yet"):
        view._remove(session)
    with pytest.raises(NothingToDo):
        view._choose_set(session, "set-9", 0)


def test_the_number_of_sets_is_bounded_and_colours_come_back():
    lab, drawn = Lab(), SimpleNamespace(calibration=SimpleNamespace(x_t=np.zeros(4)))
    wanted = [Wish("random", 8, 5, seed) for seed in range(MOST_SETS)]
    for wish in lab.missing(wanted):
        lab.add(wish, drawn)
    assert lab.missing(wanted) == []
    with pytest.raises(UserError, match="64 sets fit side by side, and this would make 65"):
        lab.missing([Wish("tdac", 8, 5, 0)])
    lab.remove("set-3")
    assert lab.add(Wish("tdac", 8, 5, 0), drawn).slot == 2


def test_memory_of_sets_is_bounded(monkeypatch):
    monkeypatch.setattr("workbench.lab.MOST_BYTES", 100)
    lab, drawn = Lab(), SimpleNamespace(calibration=SimpleNamespace(x_t=np.zeros(8)))
    lab.add(Wish("random", 8, 5, 0), drawn)
    with pytest.raises(UserError, match="take too much memory together"):
        lab.add(Wish("random", 8, 5, 1), drawn)


def test_another_model_begins_anew(page, session, monkeypatch, ddpm):
    draw(page, session, "timestep-uniform")
    other = SimpleNamespace(digest="another")
    monkeypatch.setattr(work, "model_of", lambda session, models: other)
    with pytest.raises(UserError, match="drawn for another model; remove them and draw again"):
        run(work.effect_work(page, session))
    work._keep_one_model(session, "another")
    assert session.lab.kept == []
