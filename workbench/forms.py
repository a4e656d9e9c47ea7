"""A form for any registered method, made from the fields of its configuration.

Nothing here knows a method by name: what a field takes is in its metadata, and whether a value
will do is for `make_config` to say.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields, replace
from typing import Any

from analysis.errors import UserError
from workbench.page import NothingToDo
from workbench.recipe import config_of, method_of, options_of, options_text, parts_of
from workbench.selection import Selection

MOST_TEXT = 40  # characters of a value
LOADING = {"loading": True}


@dataclass(frozen=True)
class FormField:
    """One field of a method's configuration as a form shows it."""

    name: str
    label: str
    help: str
    kind: str  # "switch", "choice", "text" with suggestions, "whole", "number"
    group: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False  # may be left empty, which means none


def form_of(method: Any) -> tuple[FormField, ...]:
    """The fields of a `Method`'s configuration, in the order of their groups."""
    made = [_field(method, field) for field in fields(method.config)]
    groups = list(dict.fromkeys(field.group for field in reversed(made)))
    return tuple(sorted(made, key=lambda field: groups.index(field.group)))


def _field(method: Any, field: Field[Any]) -> FormField:
    given = field.metadata
    choices, bounds = given.get("choices") or (), given.get("range")
    low, high = bounds or (None, None)
    return FormField(
        name=field.name,
        label=_label(field.name),
        help=given.get("help", ""),
        kind=_kind(field, choices),
        group=_group(method, field.name),
        choices=choices,
        low=low,
        high=high,
        optional=field.default is None and not choices,
    )


def _kind(field: Field[Any], choices: tuple[Any, ...]) -> str:
    from analysis.quant.ranges import ESTIMATORS

    if isinstance(field.default, bool):
        return "switch"
    if choices:  # estimators also take a setting, such as percentile:99.9
        return "text" if choices == tuple(ESTIMATORS) else "choice"
    return "whole" if "int" in str(field.type) else "number"


def _label(name: str) -> str:
    words = name.replace("_", " ").replace("act ", "activation ").replace("lr", "learning rate")
    return words[0].upper() + words[1:]


def _group(method: Any, name: str) -> str:
    """Where a field is declared first: with the plan, with the set, or by the method itself."""
    from analysis.methods.calibrated import SetOptions
    from analysis.methods.method import PlanOptions

    if name in PlanOptions.__dataclass_fields__:
        return "Grids"
    if issubclass(method.config, SetOptions) and name in SetOptions.__dataclass_fields__:
        return "Calibration set"
    return f"Learning in {method.title}"


def form_value(selection: Selection, wrong: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """What the form component shows: fields, their values, and parts that can be left out.

    Args:
        wrong: field -> what was typed there, and the sentence that says why it will not do.
    """
    method = method_of(selection)
    config = config_of(selection)
    base = config_of(replace(selection, options=""))
    out = parts_of(selection.without)
    return {
        "method": method.name,
        "summary": method.summary,
        "fields": [
            _shown(field, getattr(config, field.name), getattr(base, field.name), wrong)
            for field in form_of(method)
        ],
        "parts": [
            {
                "name": name,
                "help": part.help,
                "out": name in out,
                "does": ", ".join(f"{key} = {_text(value)}" for key, value in part.off.items()),
            }
            for name, part in method.parts.items()
        ],
    }


def _shown(
    field: FormField, value: Any, base: Any, wrong: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    typed, sentence = wrong.get(field.name, (None, ""))
    return {
        "name": field.name,
        "label": field.label,
        "help": field.help,
        "kind": field.kind,
        "group": field.group,
        "choices": [_text(choice) for choice in field.choices],
        "limits": _limits(field),
        "optional": field.optional,
        "value": typed if typed is not None else value if field.kind == "switch" else _text(value),
        "base": base if field.kind == "switch" else _text(base),
        "changed": value != base,
        "error": sentence,
    }


def with_value(selection: Selection, name: str, raw: Any) -> Selection:
    """The selection with one option set to what a visitor typed.

    An option that is as the preset has it is none of the visitor's: it is left out.

    Raises:
        UserError: for a value that the method does not take.
        NothingToDo: for a name that is no field of the method.
    """
    field = next((f for f in form_of(method_of(selection)) if f.name == name), None)
    if field is None:
        raise NothingToDo
    options = options_of(selection.options)
    options[name] = read(field, raw)
    changed = replace(selection, options=options_text(options))
    base = config_of(replace(selection, options=""))
    if getattr(config_of(changed), name) == getattr(base, name):
        del options[name]
    return replace(selection, options=options_text(options))


def read(field: FormField, raw: Any) -> Any:
    """What was typed or chosen, as the configuration holds it; nonsense is given on as text."""
    if field.kind == "switch":
        return raw is True
    text = str("" if raw is None else raw).strip()[:MOST_TEXT]
    if ";" in text or "=" in text:
        raise UserError(f"{field.name} takes no ; or =; got {text!r}.")
    if field.kind == "choice":
        return next((choice for choice in field.choices if _text(choice) == text), text)
    if field.kind == "text":
        return text
    return None if text in ("", "none") and field.optional else _number(text, field.kind == "whole")


def _number(text: str, whole: bool) -> Any:
    for kind in (int,) if whole else (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def with_part(selection: Selection, name: str, out: bool) -> Selection:
    """The selection with a part of the method left out, or taken in again.

    What the visitor had set of the options that the part decides is dropped.
    """
    parts = method_of(selection).parts
    if name not in parts:
        raise NothingToDo
    chosen = (
        {*parts_of(selection.without), name} if out else {*parts_of(selection.without)} - {name}
    )
    options = options_of(selection.options)
    kept = {key: value for key, value in options.items() if key not in parts[name].off}
    without = ",".join(part for part in parts if part in chosen)
    return replace(selection, without=without, options=options_text(kept))


def with_preset(selection: Selection, preset: str) -> Selection:
    """The selection with a preset that fills the whole form; parts stay left out."""
    return replace(selection, preset=preset, options="")


def with_method(selection: Selection, method: str) -> Selection:
    """The selection with another method as it comes: options and parts are each method's own."""
    return replace(selection, method=method, without="", options="")


def _limits(field: FormField) -> str:
    if field.low is None or field.high is None:
        return ""
    return " to ".join(f"{v:,.0f}" if v == int(v) else f"{v:g}" for v in (field.low, field.high))


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
