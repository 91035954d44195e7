# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formulas over named readings: arithmetic, and nothing that is more."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.formulas import check, evaluate
from ansible_collections.microservices.autoscale.tests.unit.builders import failed, value
from hypothesis import given, settings
from hypothesis import strategies as st

READINGS = {"a": value(6.0), "b": value(4.0), "zero": value(0.0)}


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("a", 6),
        ("a + b", 10),
        ("a - b", 2),
        ("a - b - b", -2),
        ("-a + +b", -2),
        ("a * b", 24),
        ("a / b", 1.5),
        ("a // b", 1),
        ("a % b", 2),
        ("2 + a * (b - 1)", 20),
        ("1.5e2", 150),
        ("a / b if b > 0 else 0", 1.5),
        ("a / zero if zero > 0 else 0", 0),
        ("1 if a > b and not a == b or a < 0 else 2", 1),
        ("a > b", 1),
        ("a < b", 0),
        ("[a, b] | max", 6),
        ("[a, b, 1] | min", 1),
        ("[a, b] | max / 2", 3),
        ("(b - a) | abs", 2),
        ("(a / 7) | round(2)", 0.86),
        ("(a / 7) | round", 1),
    ],
)
def test_arithmetic(formula, expected):
    check(formula, READINGS)
    made = evaluate(formula, READINGS)
    assert (made.value, made.error) == (expected, None)


@pytest.mark.parametrize(
    ("formula", "wrong"),
    [
        ("c + 1", "uses c, which is not among its readings: a, b, zero"),
        ("range(9)", "is more than arithmetic: call is not allowed"),
        ("a()", "is more than arithmetic: call is not allowed"),
        ("a.__class__", "is more than arithmetic: getattr is not allowed"),
        ("a['__class__']", "is more than arithmetic: getitem is not allowed"),
        ("a[0]", "is more than arithmetic: getitem is not allowed"),
        ("(a).real.__class__.__mro__", "is more than arithmetic: getattr is not allowed"),
        ("'x'", "has 'x' in it, which is no number"),
        ("'x' * 999999999", "has 'x' in it, which is no number"),
        ("'%099999999d' % a", "has '%099999999d' in it, which is no number"),
        ("true", "has True in it, which is no number"),
        ("none", "has None in it, which is no number"),
        ("a ** b", "is more than arithmetic: pow is not allowed"),
        ("9 ** 9 ** 9", "is more than arithmetic: pow is not allowed"),
        ("a ~ b", "is more than arithmetic: concat is not allowed"),
        ("[a] * 999999999", "is more than arithmetic: list is not allowed"),
        ("[[a], [b]] | max", "is more than arithmetic: list is not allowed"),
        ("([a] * 999999999) | max", "is more than arithmetic: list is not allowed"),
        ("[] | max", "is more than arithmetic: list is not allowed"),
        ("(a, b)", "is more than arithmetic: tuple is not allowed"),
        ("{1: a}", "is more than arithmetic: dict is not allowed"),
        ("a is defined", "is more than arithmetic: test is not allowed"),
        ("a | string", "uses the filter string; allowed are abs, min, max, round"),
        ("a | attr('__class__')", "uses the filter attr; allowed are abs, min, max, round"),
        ("[a, b] | map('abs') | max", "uses the filter map; allowed are abs, min, max, round"),
        ("[a, b] | max(attribute='real')", "gives the filter max more than round(0) to round(9)"),
        # Python would reckon with a power of ten of so many digits.
        ("5 | round(-999999999)", "gives the filter round more than round(0) to round(9)"),
        ("5 | round(10)", "gives the filter round more than round(0) to round(9)"),
        ("5 | round(a)", "gives the filter round more than round(0) to round(9)"),
        ("5 | round(1, 'ceil')", "gives the filter round more than round(0) to round(9)"),
        ("5 | round(*a)", "gives the filter round more than round(0) to round(9)"),
        ("[a, b] | max(1)", "gives the filter max more than round(0) to round(9)"),
        ("a if a > b", "has an if without an else"),
        ("", "cannot be read: "),
        ("a +", "cannot be read: "),
        ("a b", "cannot be read: "),
        ("import os", "cannot be read: "),
        ("a }}{{ b", "is not one expression"),
        ("a }}{% set x = 1 %}{{ x", "is not one expression"),
        ("a }}{# {{ #}", "is not one expression"),
        ("(" * 200 + "a" + ")" * 200, "is nested too deeply"),
        ("-" * 450 + "a", "is nested too deeply"),
    ],
)
def test_what_is_more_than_arithmetic_is_refused(formula, wrong):
    with pytest.raises(AutoscaleError) as caught:
        check(formula, READINGS)
    assert caught.value.message.startswith(f"the formula {formula!r} ")
    assert wrong in caught.value.message
    # It is refused where it is used, too, for a release that is older than the check.
    assert evaluate(formula, READINGS).error == caught.value.message


def test_a_formula_is_short():
    check("+".join(["a"] * 100), ["a"])
    with pytest.raises(AutoscaleError, match=r"^the formula is 501 characters long, and at most 500 are allowed$"):
        check("a" * 501, ["a" * 501])


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        ("a / zero", "the formula 'a / zero' has no value with a = 6, b = 4, zero = 0: "),
        ("a // zero", "the formula 'a // zero' has no value with "),
        ("a % zero", "the formula 'a % zero' has no value with "),
        ("a | max", "the formula 'a | max' has no value with "),
        ("a in b", "the formula 'a in b' has no value with "),
        ("*".join(["9" * 90] * 5), "has no value with"),
    ],
)
def test_what_has_no_value_is_an_error(formula, error):
    made = evaluate(formula, READINGS)
    assert made.value is None
    assert error in made.error


@pytest.mark.parametrize(
    ("readings", "error"),
    [
        ({"a": failed("gone"), "b": value(1)}, "a: gone"),
        ({"a": failed("gone"), "b": failed("away")}, "a: gone; b: away"),
        ({"a": Reading(), "b": value(1)}, "a: there is no reading"),
        # Compared with a number it would be lost, and look like an idle service.
        ({"a": value(float("nan")), "b": value(1)}, "a: the reading nan is not a finite number"),
        ({"a": value(1), "b": value(float("inf"))}, "b: the reading inf is not a finite number"),
    ],
)
def test_a_formula_needs_all_its_readings(readings, error):
    assert evaluate("[b, a] | max if a > 1 or b > 1 else 0", readings) == Reading(error=error)


def test_a_formula_is_as_old_as_its_oldest_reading():
    assert evaluate("a + b", {"a": Reading(value=1.0, age_seconds=5.0), "b": Reading(value=1.0, age_seconds=70.0)}).age_seconds == 70
    assert evaluate("7", {}).age_seconds == 0


@pytest.mark.parametrize("name", ["args", "loop", "context", "environment", "range"])
def test_a_reading_may_have_any_name(name):
    assert evaluate(f"{name} + 1", {name: value(2.0)}).value == 3


PIECES = ["a", "b", "1", "0", "1.5", "+", "-", "*", "/", "//", "%", "(", ")", "[", "]", ",", "|", "max", "abs", "round", "if", "else", ">",
          "and", "not", ".", "**", "'x'", "~", "{", "}", "{{", "}}", "{%", "#}", "is", "in", "none", "\n", "\\", "é"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map(" ".join))
def test_any_text_has_a_value_or_an_error(formula):
    made = evaluate(formula, {"a": value(2.0), "b": value(3.0)})
    assert (made.value is None) != (made.error is None)
    assert made.value is None or isinstance(made.value, float)


@pytest.mark.parametrize("name", ["self", "not", "true", "None"])
def test_a_reading_needs_a_name_that_means_nothing_else(name):
    with pytest.raises(AutoscaleError, match=f"the reading {name} needs another name"):
        check("jobs", [name, "jobs"])
