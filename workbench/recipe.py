"""The settings of Quantize as the library takes them: method, options, parts left out, plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from glob import escape
from typing import Any

from analysis.commands.text import literal
from analysis.errors import UserError
from analysis.quant.plan import QuantPlan
from workbench.heavy import load_heavy
from workbench.selection import Selection
from workbench.session import Session

PLAIN = ("rtn", "instant", "", "")  # method, preset, without, options


def is_plain(selection: Selection) -> bool:
    """Whether plain rounding is set as it comes; its plan is known without loading torch."""
    return (selection.method, selection.preset, selection.without, selection.options) == PLAIN


def options_of(text: str) -> dict[str, Any]:
    """`a=1;b=none` as a dictionary of values."""
    pairs = (item.partition("=") for item in text.split(";") if item)
    return {name: literal(value) for name, _, value in pairs}


def options_text(options: Mapping[str, Any]) -> str:
    """What `options_of` reads."""
    return ";".join(f"{name}={_written(value)}" for name, value in options.items())


def parts_of(text: str) -> tuple[str, ...]:
    """The parts that are left out."""
    return tuple(part for part in text.split(",") if part)


def method_of(selection: Selection) -> Any:
    """The `Method` that is set; `UserError` if there is none of that name. Loads torch."""
    load_heavy()
    from analysis.methods import METHODS

    return METHODS.get(selection.method)


def config_of(selection: Selection) -> Any:
    """The method's configuration; `UserError` for what it does not take. Loads torch."""
    method = method_of(selection)
    from analysis.methods.method import make_config

    options, without = options_of(selection.options), parts_of(selection.without)
    return make_config(method, selection.preset, options, without)


def usable(selection: Selection) -> tuple[Selection, str]:
    """The selection, with the method as it comes where its settings make no sense; and why."""
    try:
        config_of(selection)
    except UserError as error:
        known = _is_method(selection.method)
        method = selection.method if known else "rtn"
        back = replace(selection, method=method, preset="instant", without="", options="")
        return back, str(error)
    return selection, ""


def plan_of(selection: Selection, overrides: Mapping[str, str] | None = None) -> QuantPlan:
    """The plan that the visitor has set; method, preset, parts and options complete the bits.

    Raises:
        UserError: for options that the method does not take.
    """
    options = {} if is_plain(selection) else config_of(selection).plan_options()
    return QuantPlan.parse(selection.plan, overrides=overrides, **options)


def overrides_of(session: Session) -> dict[str, str]:
    """Bits of single layers as `quantize` takes them; layers of other captures left out."""
    names = set(session.opened.names)
    return {escape(name): text for name, text in session.overrides.items() if name in names}


def title_of(selection: Selection, overrides: int, method_title: str) -> str:
    """A quantized model's settings for people, as short as they allow."""
    parts = [f"{selection.plan} {method_title}"]
    parts += [selection.preset] if selection.preset != "instant" else []
    parts += [f"without {part}" for part in parts_of(selection.without)]
    parts += [item.replace("=", " = ") for item in selection.options.split(";") if item]
    if overrides:
        parts.append(f"{overrides} layer{'s' if overrides > 1 else ''} with own bits")
    return ", ".join(parts)


def _is_method(name: str) -> bool:
    from analysis.methods import METHODS

    return name in METHODS


def _written(value: Any) -> str:
    return {True: "true", False: "false", None: "none"}[value] if _is_word(value) else str(value)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)
