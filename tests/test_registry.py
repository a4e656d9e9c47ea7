"""Registries: names, duplicates, unknown names, and finding every file of a package."""

from __future__ import annotations

import sys

import pytest

from analysis.errors import UserError
from analysis.registry import Registry, discover


@pytest.fixture
def fruit():
    registry: Registry[str] = Registry("fruit")
    for name in ("pear", "apple", "apricot"):
        registry.register(name)(name.upper())
    return registry


def test_what_is_registered_is_found(fruit):
    assert fruit.get("apple") == "APPLE"
    assert "apple" in fruit
    assert "plum" not in fruit
    assert 3 not in fruit


def test_names_keep_the_order_of_registration(fruit):
    assert fruit.names() == list(fruit) == ["pear", "apple", "apricot"]


def test_registering_returns_the_thing_itself(fruit):
    @fruit.register("fig")
    def fig() -> str:
        return "FIG"

    assert fig() == "FIG"
    assert fruit.get("fig") is fig


def test_a_name_is_taken_once(fruit):
    with pytest.raises(ValueError, match="fruit 'apple' is registered twice"):
        fruit.register("apple")
    assert fruit.get("apple") == "APPLE"


def test_an_unknown_name_lists_the_known_ones(fruit):
    with pytest.raises(UserError) as refused:
        fruit.get("banana")
    assert str(refused.value) == (
        "There is no fruit named 'banana'; choose one of: pear, apple, apricot."
    )


@pytest.mark.parametrize(("typed", "meant"), [("aple", "apple"), ("apricots", "apricot")])
def test_a_slip_is_met_with_a_guess(fruit, typed, meant):
    with pytest.raises(UserError, match=f"Did you mean '{meant}'\\?$"):
        fruit.get(typed)


@pytest.mark.parametrize("name", [None, 3, ""])
def test_what_is_no_name_is_refused_too(fruit, name):
    with pytest.raises(UserError, match="There is no fruit named"):
        fruit.get(name)


def test_every_module_of_a_package_is_imported(tmp_path, monkeypatch):
    package = tmp_path / "grove"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from analysis.registry import Registry\nTREES = Registry('tree')\n"
    )
    for name in ("oak", "elm"):
        (package / f"{name}.py").write_text(
            f"from grove import TREES\n\nTREES.register({name!r})(len)\n"
        )
    (package / "notes.txt").write_text("not a module")
    monkeypatch.syspath_prepend(tmp_path)
    discover("grove")
    try:
        assert sorted(sys.modules["grove"].TREES) == ["elm", "oak"]
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] == "grove"]:
            del sys.modules[name]


def test_a_module_that_fails_is_not_passed_over(tmp_path, monkeypatch):
    package = tmp_path / "thicket"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "broken.py").write_text("raise RuntimeError('thorns')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="thorns"):
        discover("thicket")
    sys.modules.pop("thicket", None)
