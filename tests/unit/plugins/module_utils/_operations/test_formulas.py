# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formulas: what they may say, what they give, and that no text does more than that."""

from __future__ import annotations

import math

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import formulas
from hypothesis import example, given
from hypothesis import strategies as st

READINGS = {"jobs": Reading(value=30.0, age_seconds=5.0), "late": Reading(value=3, age_seconds=40.0)}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("jobs", 30.0),
        ("jobs + 2 * late", 36.0),
        ("(jobs - late) / 2", 13.5),
        ("jobs // 4 % 4", 3.0),
        ("-late + 1e1", 7.0),
        ("[jobs, 2 * late, 40] | max", 40.0),
        ("([jobs, late] | min) / 2 | round", 3.0 / 2),
        ("(late / 2) | round(0)", 2.0),
        ("(late - jobs) | abs", 27.0),
        ("jobs if jobs > 10 and not late >= 5 else late", 30.0),
        ("jobs\n + late", 33.0),
    ],
)
def test_values(formula, value):
    formulas.check(formula, READINGS)
    # As old as its oldest reading.
    assert formulas.evaluate(formula, READINGS) == Reading(value=value, age_seconds=40.0)


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        ("", "cannot be read"),
        ("jobs +", "cannot be read"),
        ("jobs }}{{ late", "is not one expression"),
        ("{{ jobs }}", "cannot be read"),
        ("workers", "uses workers, which is not among its readings: jobs, late"),
        ("range", "uses range, which is not among its readings"),
        ("self", "uses self, which is not among its readings"),
        ("jobs.__class__", "is more than arithmetic: getattr is not allowed"),
        ("jobs['real']", "is more than arithmetic: getitem is not allowed"),
        ("jobs()", "is more than arithmetic: call is not allowed"),
        ("jobs ** 99999", "is more than arithmetic: pow is not allowed"),
        ("jobs ~ late", "is more than arithmetic: concat is not allowed"),
        ("jobs is defined", "is more than arithmetic: test is not allowed"),
        ("[jobs] * 999999999 | max", "is more than arithmetic: list is not allowed"),
        ("{1: 2}", "is more than arithmetic: dict is not allowed"),
        ("jobs | pprint", "uses the filter pprint; allowed are abs, min, max, round"),
        ("'30'", "has '30' in it, which is no number"),
        ("true", "has True in it, which is no number"),
        ("jobs if late", "has an if without an else"),
        ("9" * 501, "the formula is 501 characters long, and at most 500 are allowed"),
        # Too deep for Jinja2, and for Python.
        ("(" * 200 + "jobs" + ")" * 200, "cannot be read: maximum recursion depth exceeded"),
        ("jobs" + "+1" * 240, "cannot be read: too many nested parentheses"),
    ],
)
def test_what_is_more_than_arithmetic_is_refused(formula, error):
    with pytest.raises(AutoscaleError) as caught:
        formulas.check(formula, READINGS)
    assert error in caught.value.message
    assert error in (formulas.evaluate(formula, READINGS).error or "")


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        ("jobs / (late - 3)", "the formula 'jobs / (late - 3)' has no value with jobs = 30, late = 3: float division by zero"),
        ("jobs | max", "'float' object is not iterable"),
        ("[jobs] | abs", "bad operand type for abs()"),
        ("jobs | round(method=late)", "method must be common, ceil or floor"),
        ("9" * 400 + " * jobs", "int too large to convert to float"),
        ("1e308 * 10 * jobs", "has no value"),
    ],
)
def test_a_formula_without_a_value_is_an_error_of_its_reading(formula, error):
    formulas.check(formula, READINGS)
    reading = formulas.evaluate(formula, READINGS)
    assert reading.value is None
    assert error in (reading.error or "")


def test_the_errors_of_all_missing_readings_are_told():
    found = formulas.evaluate("a + b + c", {"a": Reading(error="no answer"), "b": Reading(value=1.0), "c": Reading()})
    assert found == Reading(error="a: no answer; c: there is no reading")


@pytest.mark.parametrize("name", ["self", "not", "true", "None"])
def test_a_reading_needs_a_name_that_means_nothing_else(name):
    with pytest.raises(AutoscaleError, match=f"the reading {name} needs another name"):
        formulas.check("jobs", [name, "jobs"])


WORDS = st.sampled_from(["jobs", "late", "1", "0", "1e999", "(", ")", "[", "]", ",", "+", "-", "*", "/", "//", "%", "<", "and", "not", "if",
                         "else", "|", "max", "abs", "round", "round(9)", ".", "}}", "{{", "#", "'", "\n", " "])  # fmt: skip


@given(st.text(max_size=40) | st.lists(WORDS, max_size=30).map(" ".join))
@example("jobs -%}")
def test_any_text_is_a_number_or_an_error(formula):
    reading = formulas.evaluate(formula, READINGS)
    assert (reading.value is None) == (reading.error is not None)
    if reading.value is None:
        return
    formulas.check(formula, READINGS)
    assert isinstance(reading.value, float) and not math.isnan(reading.value)
