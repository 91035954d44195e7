# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Formulas over named readings: arithmetic in Jinja2's syntax, in its sandbox, with nothing but numbers in it (ADR 5)."""

from __future__ import annotations

import functools
import platform
import sys
from typing import Any, Callable, Iterable, Mapping

from .._domain.errors import AutoscaleError
from .._domain.observation import Reading

_LONGEST = 500
_FILTERS = ("abs", "min", "max", "round")


def check(formula: str, names: Iterable[str]) -> None:
    """Refuse a formula that is more than arithmetic over these names.

    Raises:
        AutoscaleError: says what is wrong and what is allowed.
    """
    names = tuple(sorted(names))
    for name in names:
        # Such as self, which Jinja2 keeps for itself. What is no identifier at all, the domain refuses.
        if name.isidentifier() and evaluate(name, {name: Reading(value=1.0)}).value != 1.0:
            raise AutoscaleError(f"the reading {name} needs another name, in a formula this one means something else")
    _compiled(formula, names)


def evaluate(formula: str, readings: Mapping[str, Reading]) -> Reading:
    """The formula's value, as old as the oldest of its readings; or the error of those that are missing."""
    missing = [f"{name}: {reading.error or 'there is no reading'}" for name, reading in readings.items() if reading.value is None]
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
        tree = environment.parse("{{ " + formula + " }}")
        _require_arithmetic(formula, names, tree)
        return environment.compile_expression(formula, undefined_to_none=False)
    # The last three: nested too deeply for Jinja2, or for Python.
    except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:
        raise AutoscaleError(f"the formula {formula!r} cannot be read: {error}") from None


def _require_arithmetic(formula: str, names: tuple[str, ...], tree: Any) -> None:
    from jinja2 import nodes

    allowed = (
        nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Compare, nodes.Operand,
        nodes.And, nodes.Or, nodes.Not,
    )  # fmt: skip
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output) or len(tree.body[0].nodes) != 1:
        raise AutoscaleError(f"the formula {formula!r} is not one expression")
    # A list has its place before `| max` only: multiplied it would take all memory.
    lists = {id(node.node) for node in tree.body[0].find_all(nodes.Filter) if isinstance(node.node, nodes.List)}
    for node in tree.body[0].find_all(nodes.Expr):
        if id(node) in lists:
            continue
        if isinstance(node, nodes.Name):
            if node.name not in names:
                raise AutoscaleError(f"the formula {formula!r} uses {node.name}, which is not among its readings: {', '.join(names)}")
        elif isinstance(node, nodes.Const):
            if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
                raise AutoscaleError(f"the formula {formula!r} has {node.value!r} in it, which is no number")
        elif isinstance(node, nodes.Filter):
            if node.name not in _FILTERS:
                raise AutoscaleError(f"the formula {formula!r} uses the filter {node.name}; allowed are {', '.join(_FILTERS)}")
        elif isinstance(node, nodes.CondExpr):
            if node.expr2 is None:
                raise AutoscaleError(f"the formula {formula!r} has an if without an else")
        elif not isinstance(node, (*allowed, nodes.Keyword)):
            raise AutoscaleError(f"the formula {formula!r} is more than arithmetic: {type(node).__name__.lower()} is not allowed")
