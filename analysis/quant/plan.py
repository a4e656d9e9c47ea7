"""Which layers get how many bits: globs over layer names, of which the last that matches wins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Protocol

from analysis.errors import UserError
from analysis.quant.scheme import FLOAT_BITS, QuantScheme, check_bits
from analysis.records import LayerRef

_WRITTEN = re.compile(r"\s*w(\d+)a(\d+)\s*", re.IGNORECASE)


class HasLayers(Protocol):
    """What a plan needs to know of a model."""

    @property
    def layers(self) -> tuple[LayerRef, ...]: ...

    @property
    def first_layer(self) -> str: ...

    @property
    def last_layer(self) -> str: ...


@dataclass(frozen=True)
class LayerPlan:
    """The schemes of one layer; `None` stays float. Attention operands have no weight."""

    weight: QuantScheme | None
    act: QuantScheme | None


@dataclass(frozen=True)
class Rule:
    """Schemes for every layer whose name matches a glob; 32 bits mean float."""

    glob: str
    weight: QuantScheme
    act: QuantScheme

    @property
    def text(self) -> str:
        return f"W{self.weight.bits}A{self.act.bits}"


@dataclass(frozen=True)
class QuantPlan:
    """A rule for all layers, and overrides for some.

    Two kinds of tensors are set apart where they are quantized at all: attention probabilities
    have `softmax_bits`, unless a rule names them (`*#softmax`), and the first and last layer
    have `edge_bits`, unless an override matches them. `edge_bits=None` treats them as the rest.
    What the first layer is given is x_t itself, and has `input_bits`: an error there comes back
    at every step, and 8 bits, as in the papers, can cost more than all other activations together
    (docs/quantization.md).
    With `split` a convolution that is fed concat(h, skip) has a grid for each of the two, of its
    input and of its weight (Li et al. 2023, section 4.2); with `split_norm` so has one that is
    fed what a normalization made of concat(h, skip).
    """

    base: Rule
    overrides: tuple[Rule, ...] = ()
    softmax_bits: int = 8
    edge_bits: int | None = 8
    split: bool = False
    split_norm: bool = False
    input_bits: int = 8

    def __post_init__(self) -> None:
        check_bits(self.softmax_bits, "softmax_bits")
        check_bits(self.input_bits, "input_bits")
        if self.edge_bits is not None:
            check_bits(self.edge_bits)

    @classmethod
    def parse(
        cls,
        text: str,
        weight_estimator: str = "minmax",
        act_estimator: str = "minmax",
        weight_symmetric: bool = False,
        act_symmetric: bool = False,
        softmax_bits: int = 8,
        edge_bits: int | None = 8,
        overrides: Mapping[str, str] | None = None,
        split: bool = False,
        split_norm: bool = False,
        input_bits: int = 8,
    ) -> QuantPlan:
        """Read a plan such as `W4A8`: weights per channel, activations per tensor.

        Args:
            text: `W<bits>A<bits>`, in either case; 2 to 8 bits, or 32 for float.
            overrides: glob over layer names -> plan text, e.g. `{"mid_block*": "W8A8"}`.
            split: give both halves of a concatenated shortcut grids of their own.
            split_norm: the same where a normalization stands in between.

        Raises:
            UserError: for text that is no plan, or bits and estimators that do not exist.
        """

        def rule(glob: str, written: str) -> Rule:
            weight_bits, act_bits = _read(written)
            return Rule(
                glob,
                QuantScheme(weight_bits, weight_symmetric, "per_channel", weight_estimator),
                QuantScheme(act_bits, act_symmetric, "per_tensor", act_estimator),
            )

        others = tuple(rule(glob, written) for glob, written in (overrides or {}).items())
        base = rule("*", text)
        return cls(base, others, softmax_bits, edge_bits, split, split_norm, input_bits)

    @property
    def text(self) -> str:
        """The plan of most layers, e.g. `W4A8`."""
        return self.base.text

    def __str__(self) -> str:
        parts = [self.text]
        if not self.base.act.is_float:
            parts.append(f"softmax {self.softmax_bits} bits")
        if self.edge_bits is not None:
            parts.append(f"first and last layer {self.edge_bits} bits")
            if not self.base.act.is_float and self.input_bits != self.edge_bits:
                parts.append(f"x_t {self.input_bits} bits")
        if self.split:
            parts.append("split shortcuts")
        if self.split_norm:
            parts.append("split normalized shortcuts")
        parts += [f"{rule.glob} {rule.text}" for rule in self.overrides]
        return ", ".join(parts)

    def resolve(self, model: HasLayers) -> dict[str, LayerPlan]:
        """The schemes of each of the model's tensors, in execution order.

        Raises:
            UserError: when an override's glob matches no layer.
        """
        self._check_globs([layer.name for layer in model.layers])
        first, last = model.first_layer, model.last_layer
        return {
            layer.name: self._of(layer, layer.name == first, layer.name == last)
            for layer in model.layers
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QuantPlan:
        """The plan that `to_dict` wrote; what older versions did not write is as they had it.

        Raises:
            UserError: when the values are no plan.
        """
        try:
            others = tuple(_rule_from(rule) for rule in values["overrides"])
            bits = values["softmax_bits"], values["edge_bits"]
            splits = values.get("split", False), values.get("split_norm", False)
            fine = values.get("input_bits", values["edge_bits"] or FLOAT_BITS)
            return cls(_rule_from(values["base"]), others, *bits, *splits, fine)
        except (KeyError, TypeError) as error:
            raise UserError(f"This is no quantization plan: {error} is wrong.") from None

    def _check_globs(self, names: list[str]) -> None:
        for rule in self.overrides:
            if not any(fnmatchcase(name, rule.glob) for name in names):
                raise UserError(
                    f"The override {rule.glob!r} matches none of the {len(names)} layers; names "
                    f"look like {names[len(names) // 2]!r} and * stands for anything."
                )

    def _of(self, layer: LayerRef, is_first: bool, is_last: bool) -> LayerPlan:
        found = [rule for rule in self.overrides if fnmatchcase(layer.name, rule.glob)]
        rule = found[-1] if found else self.base
        weight, act = _or_none(rule.weight), _or_none(rule.act)
        if layer.tap == "softmax" and act is not None:
            # Probabilities are never negative: a symmetric grid would waste half its levels.
            bits = act.bits if "#" in rule.glob else self.softmax_bits
            act = _or_none(replace(act, bits=bits, symmetric=False))
        if (is_first or is_last) and not found and self.edge_bits is not None:
            coarse = is_last or self.edge_bits == FLOAT_BITS
            act_bits = self.edge_bits if coarse else self.input_bits
            weight, act = _with_bits(weight, self.edge_bits), _with_bits(act, act_bits)
        return LayerPlan(weight if layer.kind in ("conv", "linear") else None, act)


def _read(text: str) -> tuple[int, int]:
    found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise UserError(
            f"Cannot read the plan {text!r}; write bits of weights and activations like W4A8 "
            "(2 to 8, or 32 for float)."
        )
    bits = int(found[1]), int(found[2])
    for number in bits:
        check_bits(number)
    return bits


def _or_none(scheme: QuantScheme) -> QuantScheme | None:
    return None if scheme.bits == FLOAT_BITS else scheme


def _with_bits(scheme: QuantScheme | None, bits: int) -> QuantScheme | None:
    return None if scheme is None else _or_none(replace(scheme, bits=bits))


def _rule_from(values: Mapping[str, Any]) -> Rule:
    return Rule(values["glob"], QuantScheme(**values["weight"]), QuantScheme(**values["act"]))
