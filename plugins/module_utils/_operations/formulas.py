# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Formulas over named readings: arithmetic in Jinja2's syntax, in its sandbox, with nothing but numbers in it (ADR 12)."""

from __future__ import annotations

import functools
import math
import platform
import sys
from typing import Any, Callable, Iterable, Mapping

from .._domain.errors import AutoscaleError
from .._domain.observation import Reading

_LONGEST = 500
_FILTERS = ("abs", "min", "max", "round")
_MOST_DIGITS = 9


def check(formula: str, names: Iterable[str]) -> None:
    """Refuse a formula that is more than arithmetic over these names.

    Raises:
        AutoscaleError: says what is wrong and what is allowed.
    """
    names = tuple(sorted(names))
    _compiled(formula, names)
    for name in names:
        # Such as self, which Jinja2 keeps for itself. What is no identifier at all, the domain refuses.
        if name.isidentifier() and evaluate(name, {name: Reading(value=1.0)}).value != 1.0:
            raise AutoscaleError(f"the reading {name} needs another name, in a formula this one means something else")


def evaluate(formula: str, readings: Mapping[str, Reading]) -> Reading:
    """The formula's value, as old as the oldest of its readings; or the error of those that are missing."""
    missing = [
        f"{name}: {reading.error or _faulty(reading)}"
        for name, reading in readings.items()
        if reading.value is None or not math.isfinite(reading.value)
    ]
    if missing:
        return Reading(error="; ".join(missing))
    values = {name: float(reading.value or 0.0) for name, reading in readings.items()}
    try:
        result = _compiled(formula, tuple(sorted(readings)))(values)
        value = float(result)
    except AutoscaleError as error:
        return Reading(error=error.message)
    # Whatever it is: one formula never ends a run.
    except Exception as error:
        shown = ", ".join(f"{name} = {number:g}" for name, number in sorted(values.items()))
        return Reading(error=f"the formula {formula!r} has no value with {shown}: {error}")
    return Reading(value=value, age_seconds=max((reading.age_seconds or 0.0 for reading in readings.values()), default=0.0))


def _faulty(reading: Reading) -> str:
    """A number that is none must not be lost in a comparison."""
    return "there is no reading" if reading.value is None else f"the reading {reading.value:g} is not a finite number"


@functools.lru_cache(maxsize=1024)
def _compiled(formula: str, names: tuple[str, ...]) -> Callable[..., Any]:
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise AutoscaleError(
            f"the Python library 'jinja2' is missing on {platform.node()} for {sys.executable}: install it there (Debian: python3-jinja2)"
        ) from None
    if len(formula) > _LONGEST:
        raise AutoscaleError(f"the formula is {len(formula)} characters long, and at most {_LONGEST} are allowed")
    environment = ImmutableSandboxedEnvironment()
    try:
        body = environment.parse("{{ " + formula + " }}").body
        if len(body) != 1 or len(getattr(body[0], "nodes", ())) != 1:
            raise AutoscaleError(f"the formula {formula!r} is not one expression")
        wrong = _what_is_more_than_arithmetic(body[0], names)
        if wrong is not None:
            raise AutoscaleError(f"the formula {formula!r} {wrong}")
        # Not before the checks: the compiler works out what is constant.
        return environment.compile_expression(formula, undefined_to_none=False)
    except TemplateError as error:
        raise AutoscaleError(f"the formula {formula!r} cannot be read: {error}") from None
    except (RecursionError, SyntaxError, MemoryError):
        raise AutoscaleError(f"the formula {formula!r} is nested too deeply") from None


def _what_is_more_than_arithmetic(body: Any, names: tuple[str, ...]) -> str | None:
    from jinja2 import nodes

    allowed = (
        nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Compare, nodes.Operand,
        nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    )  # fmt: skip
    # A list has its place before `| max` only: multiplied it would take all memory.
    lists = {id(node.node) for node in body.find_all(nodes.Filter) if isinstance(node.node, nodes.List) and node.node.items}
    for node in body.find_all(nodes.Expr):
        if id(node) in lists:
            continue
        if isinstance(node, nodes.Name):
            if node.name not in names:
                return f"uses {node.name}, which is not among its readings: {', '.join(names)}"
        elif isinstance(node, nodes.Const):
            if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
                return f"has {node.value!r} in it, which is no number"
        elif isinstance(node, nodes.Filter):
            if node.name not in _FILTERS:
                return f"uses the filter {node.name}; allowed are {', '.join(_FILTERS)}"
            plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs)
            if not plain or (node.args and not (node.name == "round" and len(node.args) == 1 and _is_digits(node.args[0]))):
                return f"gives the filter {node.name} more than round(0) to round({_MOST_DIGITS})"
        elif isinstance(node, nodes.CondExpr) and node.expr2 is None:
            return "has an if without an else"
        elif not isinstance(node, allowed):
            return f"is more than arithmetic: {type(node).__name__.lower()} is not allowed"
    return None


def _is_digits(node: Any) -> bool:
    """Rounding an integer to many places before the point takes all memory."""
    digits = getattr(node, "value", None)
    return isinstance(digits, int) and not isinstance(digits, bool) and 0 <= digits <= _MOST_DIGITS
