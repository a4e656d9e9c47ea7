"""The settings of Quantize as the library takes them: method, options, parts left out, plan."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from glob import escape
from typing import Any

from analysis.commands.text import literal
from analysis.errors import UserError
from analysis.quant.plan import QuantPlan
from workbench.heavy import load_heavy
from workbench.selection import PLAN_BITS, Selection
from workbench.session import Session

MOST_ADDRESS = 20_000  # characters of an address that single layers may take
PLAIN = ("rtn", "instant", "", "")  # method, preset, without, options
ONE_LAYER = frozenset(f"W{weight}A{act}" for weight in PLAN_BITS for act in PLAN_BITS)


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


def overrides_text(overrides: Mapping[str, str], layers: Collection[str]) -> str:
    """Bits of these layers as an address holds them; nothing where they would not fit into one."""
    by_plan: dict[str, list[str]] = {}
    for name, plan in overrides.items():
        if name in layers:
            by_plan.setdefault(plan, []).append(name)
    text = json.dumps(by_plan, separators=(",", ":"), ensure_ascii=False) if by_plan else ""
    return text if len(text) <= MOST_ADDRESS else ""


def read_overrides(text: str, layers: Collection[str]) -> dict[str, str]:
    """What `overrides_text` wrote.

    Raises:
        ValueError: when it is something else, or names a layer that is not among `layers`.
    """
    try:
        by_plan = json.loads(text or "{}")
        pairs = [(name, plan) for plan, names in by_plan.items() for name in names]
        wrong = [name for name, plan in pairs if name not in layers or plan not in ONE_LAYER]
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if wrong or len(dict(pairs)) < len(pairs):
        raise ValueError("a layer or a plan that is none, or a layer twice")
    return dict(pairs)


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
