"""What a method is, how its options are declared, and where methods are filed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from analysis.errors import UserError
from analysis.methods.job import Job
from analysis.models.handle import ModelHandle
from analysis.quant.model import QuantizedModel
from analysis.quant.plan import QuantPlan
from analysis.quant.ranges import ESTIMATORS, get_estimator
from analysis.registry import Registry

PRESETS = ("instant", "fast", "paper")


class Run(Protocol):
    """The one function of a method."""

    def __call__(
        self,
        handle: ModelHandle,
        calibration: Any,
        plan: QuantPlan,
        config: Any,
        job: Job,
    ) -> QuantizedModel: ...


@dataclass(frozen=True)
class Part:
    """A part of a method that can be left out: what happens then, in words and in options."""

    help: str
    off: Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """A way to quantize: its words for people, its configuration, its function.

    `presets` maps each of `PRESETS` to the fields that differ from the configuration's
    defaults. `calibrate(handle, config, job)` draws the calibration that `run` wants when the
    caller brings none; with `learns` also where no activation is quantized. `parts` can be left
    out one by one, for ablations.
    """

    name: str
    title: str
    summary: str
    config: type
    run: Run
    calibrate: Callable[[ModelHandle, Any, Job], Any]
    presets: Mapping[str, Mapping[str, Any]]
    parts: Mapping[str, Part] = field(default_factory=dict)
    learns: bool = False


METHODS: Registry[Method] = Registry("method")


def option(
    default: Any,
    help: str,
    choices: tuple[Any, ...] | None = None,
    range: tuple[float, float] | None = None,
) -> Any:
    """A dataclass field that forms and command lines can be made from."""
    metadata = {"help": help, "choices": choices, "range": range}
    return field(default=default, metadata=metadata)


def input_option(default: int) -> Any:
    """The field that sets the bits of x_t."""
    help = "Bits of x_t, which the first layer is given (the papers: 8)"
    return option(default, help, (2, 3, 4, 5, 6, 7, 8, 16, 32))


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Options of every method: what completes a plan such as `W4A8`."""

    weight_estimator: str = option(
        "minmax", "How the range of each weight channel is chosen", tuple(ESTIMATORS)
    )
    act_estimator: str = option(
        "minmax", "How the range of each activation is chosen", tuple(ESTIMATORS)
    )
    weight_symmetric: bool = option(False, "Put zero in the middle of the weights' grids")
    act_symmetric: bool = option(False, "Put zero in the middle of the activations' grids")
    softmax_bits: int = option(8, "Bits of attention probabilities", (2, 3, 4, 5, 6, 7, 8, 16, 32))
    edge_bits: int | None = option(
        8,
        "Bits of the first and the last layer; none treats them as the rest",
        (None, 2, 3, 4, 5, 6, 7, 8, 32),
    )
    input_bits: int = input_option(8)
    split: bool = option(
        False, "Grids of their own for both halves of a concatenated shortcut, input and weight"
    )
    split_norm: bool = option(
        False, "The same where a normalization stands between concatenation and convolution"
    )

    def plan_options(self) -> dict[str, Any]:
        """The arguments that `QuantPlan.parse` takes from here."""
        return {f.name: getattr(self, f.name) for f in fields(PlanOptions)}


def make_config(
    method: Method, preset: str, options: Mapping[str, Any], without: Sequence[str] = ()
) -> Any:
    """A method's configuration: its defaults, the preset, what is left out, single options.

    Raises:
        UserError: for an unknown preset, part or option (the known ones are listed), and for a
            value outside an option's range or choices.
    """
    if preset not in method.presets:
        known = ", ".join(method.presets)
        raise UserError(f"There is no preset {preset!r}; choose one of: {known}.")
    known_fields = {f.name: f for f in fields(method.config)}
    for name, value in options.items():
        if name not in known_fields:
            raise UserError(
                f"The method {method.name!r} has no option {name!r}; its options are: "
                f"{', '.join(known_fields)}."
            )
        _check(name, value, known_fields[name].default, known_fields[name].metadata)
    chosen = dict(method.presets[preset])
    for name in without:
        chosen.update(_part(method, name).off)
    return method.config(**chosen | dict(options))


def _part(method: Method, name: str) -> Part:
    if name in method.parts:
        return method.parts[name]
    known = f"choose among: {', '.join(method.parts)}" if method.parts else "it has no parts"
    raise UserError(f"The method {method.name!r} has no part {name!r} to leave out; {known}.")


def _check(name: str, value: Any, default: Any, metadata: Mapping[str, Any]) -> None:
    if default is True or default is False:
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false; got {value!r}.")
        return
    choices, bounds = metadata.get("choices"), metadata.get("range")
    if choices == tuple(ESTIMATORS):
        get_estimator(value)  # also takes a setting: percentile:99.9
    elif choices is not None and (value not in choices or isinstance(value, bool)):
        listed = ", ".join("none" if c is None else str(c) for c in choices)
        raise UserError(f"{name} must be one of: {listed}; got {value!r}.")
    if bounds is not None and (value is not None or default is not None):
        _check_number(name, value, bounds, whole=isinstance(default, int))


def _check_number(name: str, value: Any, bounds: tuple[float, float], whole: bool) -> None:
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if number and bounds[0] <= value <= bounds[1]:
        return
    if whole:
        raise UserError(
            f"{name} must be a whole number, {bounds[0]:,} to {bounds[1]:,}; got {value!r}."
        )
    raise UserError(f"{name} must be {bounds[0]:g} to {bounds[1]:g}; got {value!r}.")
