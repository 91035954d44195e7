# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The replica formulas of the HPA v2; expected values by hand from its rules."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.proposal import propose
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, failed, metric, observed, policy, ready, value, values
from hypothesis import given, settings
from hypothesis import strategies as st

TOLERANCES = (0.1, 0.1)


def proposed(of, reading, current, states=None, request=None, tolerances=TOLERANCES):
    return propose(of, reading, observed(current, states=states, request=request), policy(of), current, tolerances, NOW)


@pytest.mark.parametrize(
    ("usage", "target", "current", "ready_count", "expected"),
    [
        (0.25, 0.25, 4, 4, 4),
        (0.50, 0.25, 4, 4, 8),
        (0.26, 0.10, 3, 3, 8),  # ceil(2.6 * 3)
        (0.00, 0.25, 4, 4, 0),
        # The tolerance is inclusive on both sides.
        (110, 100, 10, 10, 10),
        (110.0001, 100, 10, 10, 12),
        (90, 100, 10, 10, 10),
        (89.9999, 100, 10, 10, 9),
        # Inside the tolerance the scale stands, whatever is ready; outside it, what is ready is multiplied.
        (100, 100, 10, 7, 10),
        (200, 100, 10, 7, 14),
        (50, 100, 10, 8, 4),
        # So there may be fewer although there is more to do, as the HPA has it.
        (200, 100, 4, 1, 2),
        # Integers: 25/11 of 11 instances is 25; floating point gives 26 here and in the two below.
        (25, 11, 11, 11, 25),
        (27, 13, 13, 13, 27),
        (29, 14, 14, 14, 29),
    ],
)
def test_value(usage, target, current, ready_count, expected):
    states = {**ready(current, seen.STARTING), **ready(ready_count)}
    assert proposed(metric(target="value", value=target), value(usage), current, states).replicas == expected


@pytest.mark.parametrize(("usage", "expected"), [(1000, None), (100, 4), (0, None)])
def test_a_value_says_nothing_where_no_instance_is_ready(usage, expected):
    # The HPA proposes 0 outside the tolerance.
    assert proposed(metric(target="value", value=100), value(usage), 4, ready(4, seen.SUSPECT)).replicas == expected


@pytest.mark.parametrize(
    ("usage", "target", "current", "there", "expected", "measured"),
    [
        (200, 50, 4, 4, 4, 50),
        (260, 50, 2, 2, 6, 130),
        (219, 50, 4, 4, 4, 54.75),
        (221, 50, 4, 4, 5, 55.25),
        (180, 50, 4, 4, 4, 45),
        (150, 50, 4, 4, 3, 37.5),
        (0, 50, 4, 4, 0, 0),
        # It is the status that counts, inside the tolerance too.
        (250, 50, 4, 5, 5, 50),
        # No instance is there: the formula needs none, and the measured average is given as 0.
        (101, 50, 4, 0, 3, 0),
    ],
)
def test_average_value_of_a_service(usage, target, current, there, expected, measured):
    made = proposed(metric(value=target), value(usage), current, ready(there))
    assert (made.replicas, made.measured) == (expected, measured)


@pytest.mark.parametrize(
    ("numbers", "target", "expected", "measured"),
    [
        ((10, 10, 10), 10, 3, 10),
        ((20, 20, 20), 10, 6, 20),
        ((12, 12, 13), 10, 4, 12.333333),
        ((5, 5, 5, 5), 10, 2, 5),
        ((0, 0), 10, 0, 0),
        ((25,) * 11, 11, 25, 25),
    ],
)
def test_average_value_by_instance(numbers, target, expected, measured):
    made = proposed(metric(value=target), values(*numbers), len(numbers))
    assert (made.replicas, made.measured) == (expected, measured)


CPU = metric("cpu", "utilization", 80)


@pytest.mark.parametrize(
    ("cores", "target", "current", "expected", "measured"),
    [
        ((0.40, 0.40), 80, 2, 2, 80),
        ((0.50, 0.50), 80, 2, 3, 100),
        ((0.25, 0.25, 0.25, 0.25), 100, 4, 2, 50),
        # A whole per cent before the ratio is taken: 88.8 % counts as 88 %, which is just inside the tolerance of 80 %.
        ((0.444, 0.444), 80, 2, 2, 88),
        ((0.445, 0.445), 80, 2, 3, 89),
        # Targets above 100 % are allowed.
        ((1.0, 1.0), 200, 2, 2, 200),
        ((1.25, 1.25), 200, 2, 3, 250),
    ],
)
def test_utilization(cores, target, current, expected, measured):
    made = proposed(metric("cpu", "utilization", target), values(*cores), current, request=0.5)
    assert (made.replicas, made.measured) == (expected, measured)


S, R, M, U, D = seen.STARTING, seen.READY, seen.READY, seen.UNHEALTHY, seen.DRAINING


@pytest.mark.parametrize(
    ("cores", "states", "current", "expected"),
    [
        # Below the target, missing instances count as fully used: (0.2 + 0.2 + 1 + 1) / 4 = 60 %, ceil(0.75 * 4).
        ((0.2, 0.2, None, None), (R, R, M, M), 4, 3),
        # ... which may end the scale-in altogether: (0.6 + 1) / 2 = 80 %.
        ((0.6, None), (R, M), 2, 2),
        # ... or turn it, which is no reason to grow: (0.7 + 1 + 1 + 1) / 4 = 92 %.
        ((0.7, None, None, None), (R, M, M, M), 4, 4),
        # Above it, they count as idle: (1.6 + 1.6 + 0) / 3 = 106 %, ceil(1.325 * 3).
        ((1.6, 1.6, None), (R, R, M), 3, 4),
        ((1.2, None), (R, M), 2, 2),
        ((1.0, None, None), (R, M, M), 3, 3),
        # At it, they are left out.
        ((0.8, None), (R, M), 2, 2),
        # An instance that is starting counts as idle above the target, whatever it burns, ...
        ((1.6, 1.6, 5.0), (R, R, S), 3, 4),
        ((1.6, 9.0), (R, S), 2, 2),
        # ... and not at all below it: ceil(0.5 * 2).
        ((0.4, 0.4, 5.0), (R, R, S), 3, 1),
        # What is leaving or failed does not count, whatever it burns.
        ((1.6, 1.6, 9.0, 9.0), (R, R, D, U), 2, 4),
        # One that was ready once and is critical now still counts.
        ((1.6, 1.6), (R, seen.SUSPECT), 2, 4),
        ((0.8, 0.8), (R, seen.PARKED), 2, 2),
        # A rollout's surge: the recomputed count must not contradict the direction. (1.0 + 1.0 + 0) / 3 = 66 % turns it.
        ((1.0, 1.0, None), (R, R, M), 2, 2),
    ],
)
def test_utilization_with_missing_and_starting_instances(cores, states, current, expected):
    named = {f"shop-{index}": state for index, state in enumerate(states)}
    assert proposed(CPU, values(*cores), current, named, request=1.0).replicas == expected


@pytest.mark.parametrize(
    ("numbers", "states", "current", "expected"),
    [
        # Missing ones below the target are taken as exactly at it: (2 + 10) / 2 = 6, ceil(0.6 * 2).
        ((2, None), (R, M), 2, 2),
        ((2, 2, None), (R, R, M), 3, 2),
        ((30, None), (R, M), 2, 3),
        # While a rollout surges, more are wanted, but not as many as the scale says: ceil(1.5 * 2) is no reason to shrink.
        ((30, None), (R, M), 10, 10),
        # One that is starting has not been healthy yet, as a pending pod: idle above the target, (30 + 0) / 2 = 15, ...
        ((30, 30), (R, S), 2, 3),
        # ... and left out below it.
        ((5, 30), (R, S), 2, 1),
        # One that runs without being ready counts: for metrics other than CPU readiness is not looked at.
        ((30, 30), (R, seen.UNREADY), 2, 6),
    ],
)
def test_average_values_with_missing_instances(numbers, states, current, expected):
    named = {f"shop-{index}": state for index, state in enumerate(states)}
    assert proposed(metric(value=10), values(*numbers), current, named).replicas == expected


@pytest.mark.parametrize(
    ("of", "reading", "states", "request_", "error"),
    [
        (metric(), failed("no answer from x"), ready(2), None, "no answer from x"),
        (metric(), Reading(), ready(2), None, "there is no reading"),
        (metric(), value(-1), ready(2), None, "the reading -1 is not a finite number of at least 0"),
        (metric(), value(float("nan")), ready(2), None, "the reading nan is not a finite number of at least 0"),
        (metric(target="value"), value(float("inf")), ready(2), None, "the reading inf is not a finite number of at least 0"),
        (CPU, values(0.1, -0.1), ready(2), 1.0, "the reading -0.1 is not a finite number of at least 0"),
        (CPU, values(), ready(2), 1.0, "there is no reading"),
        (CPU, values(1, 1), {}, 1.0, "none of 0 instances has a sample"),
        (CPU, values(1, 1), ready(2, seen.STARTING), 1.0, "none of 2 instances has a sample"),
        (CPU, values(1, 1), {"other": seen.READY}, 1.0, "none of 1 instances has a sample"),
        (
            CPU,
            values(1, 1),
            ready(2),
            None,
            "shop-0, shop-1: no CPU request, which the utilization is a per cent of; see run.resources.cpu",
        ),
    ],
)
def test_what_cannot_be_known_is_an_error_and_no_proposal(of, reading, states, request_, error):
    made = proposed(of, reading, 2, states, request_)
    assert (made.replicas, made.error) == (None, error)


@pytest.mark.parametrize(
    ("usage", "tolerances", "expected"),
    [
        (126.5, (0.265, 0.1), 10),
        (126.6, (0.265, 0.1), 13),
        (171.1, (0.711, 0.1), 10),  # floating point does not hold here
        (100.1, (0.0, 0.0), 11),
        (50.0, (0.1, 0.5), 10),
        (49.9, (0.1, 0.5), 5),
        (1.0, (0.1, 1.5), 10),
    ],
)
def test_each_direction_has_a_tolerance_of_its_own(usage, tolerances, expected):
    assert proposed(metric(target="value", value=100), value(usage), 10, tolerances=tolerances).replicas == expected


def test_a_tiny_target_is_no_division_by_zero():
    assert proposed(metric(target="value", value=1e-9), value(1), 2).replicas == 2_000_000


def test_a_proposal_says_what_it_rests_on():
    made = proposed(metric("requests", value=50), value(260), 2)
    assert (made.metric, made.target, made.rule, made.age_seconds) == ("requests", 50, "average_value", 1.0)


KINDS = st.sampled_from([metric(value=10), metric(target="value", value=10)])
USAGE = st.floats(0, 1e6)


@settings(max_examples=200, deadline=None)
@given(KINDS, st.integers(1, 50), USAGE, USAGE)
def test_more_load_never_asks_for_less(of, count, one, other):
    low, high = sorted((one, other))
    assert proposed(of, value(low), count).replicas <= proposed(of, value(high), count).replicas


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=8), st.floats(0, 10), st.data())
def test_more_load_on_one_instance_never_asks_for_less(cores, more, data):
    index = data.draw(st.integers(0, len(cores) - 1))
    busier = [*cores[:index], cores[index] + more, *cores[index + 1 :]]
    before, after = (proposed(CPU, values(*used), len(cores), request=1.0).replicas for used in (cores, busier))
    assert before <= after


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=2, max_size=8), st.data())
def test_missing_samples_count_as_fully_used_when_there_is_less_to_do(cores, data):
    gone = data.draw(st.sets(st.integers(0, len(cores) - 1), max_size=len(cores) - 1))
    current = len(cores)
    with_holes, with_full = (
        proposed(CPU, values(*(hole if index in gone else used for index, used in enumerate(cores))), current, request=1.0).replicas
        for hole in (None, 1.0)
    )
    assert with_holes >= min(with_full, current)
