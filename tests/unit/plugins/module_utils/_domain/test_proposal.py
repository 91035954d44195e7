# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one metric proposes, by each kind of rule, and what speaks for it while its readings are bad."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import Failure, History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Fallback, Metric, OnMissing, Step, Target
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.proposal import propose
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, failed, observed, policy, value, values

QUEUE = Metric("prometheus", "queue", Target("average_value", 10.0))


def proposed(of, reading, current=4, history=None):
    return propose(of, reading, observed(current, history=history, request=1.0), policy(of), current, (0.1, 0.1), NOW)


STEPS = Metric(
    "prometheus",
    "queue",
    steps=(
        Step(below=10, percent=-50),
        Step(at_least=50, below=80, change=3),
        Step(at_least=80, replicas=20),
        Step(at_least=80, change=99),
    ),
)


@pytest.mark.parametrize(
    ("number", "current", "expected", "why"),
    [
        (0, 4, 2, None),
        (9.999, 5, 3, None),  # half of 5, rounded up
        (0, 1, 1, None),
        (10, 4, 4, "no step has this value"),
        (49.9, 4, 4, "no step has this value"),
        (50, 4, 7, None),
        (79.9, 4, 7, None),
        # The first band that holds the value counts.
        (80, 4, 20, None),
        (1e9, 40, 20, None),
    ],
)
def test_steps(number, current, expected, why):
    made = proposed(STEPS, value(float(number)), current)
    assert (made.rule, made.replicas, made.why, made.error) == ("steps", expected, why, None)


@pytest.mark.parametrize(
    ("step", "current", "expected"),
    [
        (Step(at_least=0, change=-9), 4, 0),
        (Step(at_least=0, percent=-100), 4, 0),
        (Step(at_least=0, percent=10), 100, 110),
        (Step(at_least=0, percent=10), 1, 2),
        (Step(at_least=0, percent=10**12), 100, 2**31 - 1),
        (Step(at_least=0, change=10**12), 100, 2**31 - 1),
    ],
)
def test_what_a_step_does(step, current, expected):
    assert proposed(dataclasses.replace(STEPS, steps=(step,)), value(1.0), current).replicas == expected


@pytest.mark.parametrize(
    ("before", "given", "expected", "why"),
    [
        ((), (), 4, "1 of 3 readings agree"),
        ((60.0,), (), 4, "2 of 3 readings agree"),
        ((60.0, 79.0), (), 7, None),
        # In a row: one in between begins it anew.
        ((60.0, 20.0), (), 4, "1 of 3 readings agree"),
        ((20.0, 60.0), (), 4, "2 of 3 readings agree"),
        ((60.0, 60.0, 90.0), (), 4, "1 of 3 readings agree"),
        # Readings that were given with this one come after those of the history.
        ((60.0,), (70.0,), 7, None),
        ((), (60.0, 70.0), 7, None),
        ((60.0, 60.0), (20.0,), 4, "1 of 3 readings agree"),
    ],
)
def test_readings_that_have_to_agree(before, given, expected, why):
    of = dataclasses.replace(STEPS, agree=3)
    made = proposed(of, Reading(value=55.0, samples=given), history=History(samples={"queue": before}))
    assert (made.replicas, made.why) == (expected, why)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.0, 0), (3.0, 3), (3.2, 4), (10 * (0.1 + 0.2), 3), (1e-9, 0), (1e300, 2**31 - 1)],
)
def test_pass_through(number, expected):
    made = proposed(Metric("json", "wanted", pass_through=True), value(number))
    assert (made.rule, made.replicas) == ("pass_through", expected)


def test_fixed_needs_no_reading():
    assert proposed(Metric("fixed", "fixed", replicas=6), failed()).to_dict() == {
        "metric": "fixed", "rule": "fixed", "replicas": 6, "error": None,
    }  # fmt: skip


CPU = Metric("cpu", "cpu", Target("utilization", 80.0))
BAD = [
    (QUEUE, failed("HTTP 500"), "HTTP 500"),
    (QUEUE, Reading(), "there is no reading"),
    (CPU, values(), "there is no reading"),
    (QUEUE, value(float("nan")), "the reading nan is not a finite number of at least 0"),
    (QUEUE, value(float("inf")), "the reading inf is not a finite number of at least 0"),
    (QUEUE, value(float("-inf")), "the reading -inf is not a finite number of at least 0"),
    (QUEUE, value(-0.5), "the reading -0.5 is not a finite number of at least 0"),
    (CPU, values(0.5, float("nan")), "the reading nan is not a finite number of at least 0"),
    (STEPS, Reading(value=5.0, samples=(float("nan"),)), "the reading nan is not a finite number of at least 0"),
    (STEPS, Reading(samples=(5.0,)), "there is no value now"),
    (QUEUE, Reading(value=0.0, age_seconds=300.5), "the reading is 300.5 s old, and max_age is 300 s"),
    (CPU, value(0.5), "there is one value of the whole service where those by instance are needed"),
    (STEPS, values(0.5), "there are values by instance where one of the whole service is needed"),
    (
        dataclasses.replace(QUEUE, target=Target("value", 1.0)),
        values(5),
        "there are values by instance where one of the whole service is needed",
    ),
]


@pytest.mark.parametrize(("of", "reading", "error"), BAD)
def test_a_bad_reading_is_one_failure_more(of, reading, error):
    history = History(failing={of.name: Failure(NOW - 45, 3)})
    made = proposed(of, reading, history=history)
    assert (made.replicas, made.error, made.fallback, made.failing_seconds, made.failures) == (None, error, None, 45, 4)
    first = proposed(of, reading)
    assert (first.failing_seconds, first.failures) == (0, 1)


def test_a_reading_may_be_as_old_as_max_age():
    assert proposed(QUEUE, Reading(value=40.0, age_seconds=300.0)).replicas == 4
    assert proposed(dataclasses.replace(QUEUE, max_age=30.0), Reading(value=40.0, age_seconds=31.0)).error is not None
    # Whose age is not known cannot be stale.
    assert proposed(QUEUE, Reading(value=40.0)).replicas == 4


HOLD, KNOWN = Fallback(), Fallback("last_known", seconds=60)


def floor(count):
    return Fallback("floor", replicas=count)


def at_least(count):
    return Fallback("current_if_higher", replicas=count)


@pytest.mark.parametrize(
    ("up", "down", "expected", "by"),
    [
        (HOLD, HOLD, None, None),
        # As many as scale_up says, if that is more than there are; ...
        (floor(9), HOLD, 9, "floor"),
        (at_least(9), HOLD, 9, "current_if_higher"),
        (floor(9), floor(2), 9, "floor"),
        (floor(4), HOLD, None, None),
        (floor(2), HOLD, None, None),
        (at_least(2), HOLD, None, None),
        # ... or else others may go down to what scale_down says, which asks for no more than there are.
        (HOLD, floor(2), 2, "floor"),
        (HOLD, floor(9), 4, "floor"),
        (HOLD, floor(0), 0, "floor"),
        (HOLD, at_least(2), 4, "current_if_higher"),
        (HOLD, at_least(9), 4, "current_if_higher"),
        (floor(2), at_least(2), 4, "current_if_higher"),
    ],
)
def test_on_missing_in_each_direction(up, down, expected, by):
    made = proposed(dataclasses.replace(QUEUE, on_missing=OnMissing(up, down)), failed())
    assert (made.replicas, made.fallback) == (expected, by)


@pytest.mark.parametrize(
    ("known", "since", "up", "down", "expected"),
    [
        (9, 60, KNOWN, KNOWN, 9),
        (9, 61, KNOWN, KNOWN, None),
        (9, 10, HOLD, KNOWN, 4),
        (9, 10, KNOWN, HOLD, 9),
        (2, 10, KNOWN, KNOWN, 2),
        (2, 10, KNOWN, HOLD, None),
        (2, 61, KNOWN, KNOWN, None),
        (2, 61, KNOWN, floor(3), 3),
        (None, 10, KNOWN, KNOWN, None),
    ],
)
def test_the_last_good_proposal_stands_for_its_time(known, since, up, down, expected):
    history = History(known={} if known is None else {"queue": known}, failing={"queue": Failure(NOW - since)})
    assert proposed(dataclasses.replace(QUEUE, on_missing=OnMissing(up, down)), failed(), history=history).replicas == expected


def test_a_good_reading_needs_no_fallback():
    made = proposed(dataclasses.replace(QUEUE, on_missing=OnMissing(floor(9), floor(9))), value(40.0))
    assert (made.replicas, made.fallback, made.failures) == (4, None, 0)


@pytest.mark.parametrize(
    ("of", "reading", "field", "shown"),
    [
        (CPU, values(0.5, 0.5, 0.5, 0.5), "utilization", 50),
        (QUEUE, value(41.0), "average", 10.25),
        (dataclasses.replace(QUEUE, target=Target("value", 10.0)), value(41.0), "value", 41),
        (STEPS, value(41.0), "value", 41),
    ],
)
def test_what_was_measured_has_its_own_name(of, reading, field, shown):
    made = proposed(of, reading).to_dict()
    assert (made[field], made["age_seconds"]) == (shown, 1.0)


def test_a_failure_says_since_when():
    assert proposed(QUEUE, failed("gone"), history=History(failing={"queue": Failure(NOW - 45, 3)})).to_dict() == {
        "metric": "queue", "rule": "average_value", "target": 10, "replicas": None, "error": "gone", "failing_seconds": 45, "failures": 4,
    }  # fmt: skip
