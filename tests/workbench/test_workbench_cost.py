"""What a button's work will cost: said before it begins, refused once where it does not fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from analysis.cost import Estimate
from analysis.errors import Cancelled, UserError
from workbench.cost import careful, cost_of, looking
from workbench.foretelling import capture_cost, quantize_cost, sweep_cost
from workbench.page import Settings
from workbench.selection import first_selection
from workbench.session import Session

SMALL = Estimate(120.0, 1_100_000_000, 10, 1000)
LARGE = Estimate(120.0, 1_100_000_000, 2000, 1000)

PROBES = SimpleNamespace(should_stop=None)


def never() -> bool:
    return False


def unheard(*words) -> None:
    pass


@pytest.fixture
def session(toy):
    return Session("me", toy, first_selection(toy))


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """A page, and what the library was asked to estimate."""
    calls = []

    def estimate(model, work, probes=None, on_probe=None, **arguments):
        calls.append((model.name, work, arguments))
        return SMALL

    def loaded(name, models):
        return models.setdefault(name, SimpleNamespace(name=name))

    monkeypatch.setattr("analysis.cost.estimate", estimate)
    monkeypatch.setattr("analysis.cost.Probes", lambda model: PROBES)
    monkeypatch.setattr("workbench.foretelling.loaded", loaded)
    monkeypatch.setattr(
        "workbench.foretelling.model_of", lambda session, models: loaded("own", models)
    )
    page = SimpleNamespace(models={}, settings=Settings("fashion", tmp_path))
    return SimpleNamespace(page=page, calls=calls)


def press(work, session):
    return work(lambda *_: None, lambda: False)


def test_the_cost_is_found_before_the_work(session):
    order = []
    work = careful(
        session,
        "Apply",
        lambda progress, stop: order.append("cost") or SMALL,
        lambda *_: order.append("work"),
    )
    press(work, session)
    assert order == ["cost", "work"]
    assert cost_of(session, "Apply") == "About 2 min, 1.1 GB of memory."


def test_what_does_not_fit_starts_at_the_second_press(session):
    done = []
    work = careful(session, "Apply", lambda progress, stop: LARGE, lambda *_: done.append(1))
    with pytest.raises(UserError, match="press the button once more to start anyway"):
        press(work, session)
    assert not done
    assert cost_of(session, "Apply") == "About 2 min, 1.1 GB of memory. That is more than is free."
    press(work, session)
    assert done == [1]
    with pytest.raises(UserError, match="more memory"):
        press(work, session)


def test_asking_alone_starts_nothing(session):
    press(looking(session, "Sweep", lambda progress, stop: SMALL), session)
    assert cost_of(session, "Sweep") == "About 2 min, 1.1 GB of memory."
    assert cost_of(session, "Apply") == ""


def test_capture_is_asked_for_as_it_would_run(session, asked):
    assert capture_cost(asked.page, session, " mine ", 20, 8, 3, "default")(unheard, never) is SMALL
    capture_cost(asked.page, session, "mine", 20, 8, 3, "ddpm")(unheard, never)
    told = {"steps": 20, "samples": 8, "seed": 3}
    assert asked.calls == [
        ("mine", "capture", told | {"scheduler": None}),
        ("mine", "capture", told | {"scheduler": "ddpm"}),
    ]
    assert vars(asked.page.models["mine"])["probes"] is PROBES  # kept with the model


def test_apply_is_asked_for_as_it_would_run(session, asked):
    session.overrides = {"mid.linear": "W8A8"}
    whole = quantize_cost(asked.page, session)(unheard, never)
    assert whole.seconds == 2 * SMALL.seconds
    (name, work, told), measured = asked.calls
    assert measured == ("own", "sample", {"steps": 24, "samples": 4})
    assert (name, work) == ("own", "quantize")
    assert told["calibration"] is session.opened.capture
    assert (told["method"], told["plan"], told["preset"]) == ("rtn", "W4A8", "instant")
    assert told["overrides"] == {"mid.linear": "W8A8"}


def test_a_sweep_knows_finished_rows_and_its_budget(session, asked):
    form = (["rtn"], ["W8A8"], ["own"], 4, 10, 60, False, "fast")
    sweep_cost(asked.page, session, *form)(unheard, never)
    ((_, work, told),) = asked.calls
    assert work == "sweep"
    assert (told["budget"], told["preset"], told["samples"]) == (60.0, "fast", 4)
    assert told["known"].get("0" * 16) is None


def test_cancel_is_heard_while_the_cost_is_found(ddpm):
    from analysis.cost import Probes, estimate

    probes = Probes(ddpm)
    probes.should_stop = lambda: True
    with pytest.raises(Cancelled):
        estimate(ddpm, "sample", probes, steps=2, samples=1)
