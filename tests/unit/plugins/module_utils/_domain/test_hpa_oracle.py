# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our decisions beside those of an HPA that was written again from its description; hpa_oracle.py names each difference.

Left out, as the HPA knows nothing of them: on_missing, groups, other rules than targets, schedules, overrides, pauses, the flap guard,
times from the future, and the states suspect and parked. Left out, as it differs on purpose: an instance whose start is not known
counts, while the HPA would never count its CPU. The HPA's way without `behavior` is not ours: its defaults hold where none is given.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Observation, Reading, Times
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import (
    Behavior,
    Metric,
    Policy,
    ScalingPolicy,
    ScalingRules,
    Target,
)
from ansible_collections.microservices.autoscale.tests.unit import hpa_oracle as hpa
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

PODS = {
    seen.READY: {},
    seen.STARTING: {"phase": "Pending", "ready": False},
    seen.UNREADY: {"ready": False},
    seen.DRAINING: {"deleted": True},
    seen.UNHEALTHY: {"phase": "Failed", "ready": False},
}
KINDS = {
    ("External", "Value"): ("prometheus", "value"),
    ("External", "AverageValue"): ("requests", "average_value"),
    ("Pods", "AverageValue"): ("prometheus", "average_value"),
    ("Resource", "AverageValue"): ("cpu", "average_value"),
    ("Resource", "Utilization"): ("cpu", "utilization"),
}
AGES = st.integers(0, 700)
# Thousandths, near the targets more often than not.
LEVELS = st.integers(0, 100_000) | st.integers(800, 1300).map(lambda part: part * 50)
PERIODS = st.sampled_from([15, 60, 300, 1800])


def thousandths(number):
    return Fraction(number, 1000)


@st.composite
def pods(draw):
    """(state, pod); a pod of an old service most of the time."""
    state = draw(st.sampled_from([seen.READY] * 5 + list(PODS)))
    started = draw(st.sampled_from([10, 45, 200, 290, 300, 400, 9_000]))
    return state, hpa.Pod(
        **PODS[state],
        started=started,
        ready_changed=draw(st.integers(0, started) | st.integers(0, 40).map(lambda after: max(0, started - after))),
        sample=draw(st.none() | LEVELS.map(thousandths) | LEVELS.map(thousandths)),
        sample_age=draw(st.integers(0, 60)),
        sample_window=draw(st.sampled_from([0, 15, 60])),
        request=draw(st.sampled_from([None] + [Fraction(1, 4), Fraction(1), Fraction(50)] * 8)),
    )


RULES = st.builds(
    hpa.Rules,
    st.sampled_from([0, 0, 60, 300]),
    st.lists(st.tuples(st.sampled_from(["pods", "percent"]), st.integers(1, 150), PERIODS), min_size=1, max_size=3),
    st.sampled_from(["max", "max", "min", "disabled"]),
    st.sampled_from([0, 50, 100, 265, 711, 1500]).map(thousandths),
)
METRICS = st.builds(
    lambda kind, target, value: hpa.Metric(*kind, target=target, value=value),
    st.sampled_from(list(KINDS)),
    st.sampled_from([1, 7, 11, 50, 80, 120]).map(Fraction),
    st.none() | LEVELS.map(lambda level: thousandths(level) * 10) | LEVELS.map(lambda level: thousandths(level) * 3),
)


@st.composite
def worlds(draw):
    states = [draw(pods()) for _number in range(draw(st.integers(0, 12)))]
    low = draw(st.integers(0, 5))
    world = hpa.World(
        cur=draw(st.integers(0, 20) | st.just(len(states))),
        low=low,
        high=max(1, low + draw(st.integers(0, 40))),
        metrics=draw(st.lists(METRICS, min_size=1, max_size=3)),
        up=draw(RULES),
        down=draw(RULES),
        pods={f"shop-{number}": pod for number, (_state, pod) in enumerate(states)},
        recommendations=sorted(draw(st.lists(st.tuples(AGES, st.integers(0, 30)), max_size=5, unique_by=lambda one: one[0])), reverse=True),
        events=sorted(draw(st.lists(st.tuples(AGES, st.integers(-10, 10)), max_size=5)), reverse=True),
        scaled_to_zero=draw(st.booleans()),
    )
    for metric in world.metrics:
        if metric.source != "External" and metric.value is not None:
            metric.pods = {name: pod for name, pod in world.pods.items() if pod.sample is not None}
            metric.pods = metric.pods or None
    return world, {f"shop-{number}": state for number, (state, _pod) in enumerate(states)}


def in_our_words(world, states):
    """The same world as a policy and an observation."""

    def rules(of):
        return ScalingRules(of.window, tuple(ScalingPolicy(*policy) for policy in of.policies), of.select, float(of.tolerance))

    metrics, readings = [], []
    for number, metric in enumerate(world.metrics):
        kind, target_type = KINDS[metric.source, metric.target_type]
        metrics.append(Metric(kind, f"metric-{number}", Target(target_type, float(metric.target)), per_instance=metric.source == "Pods"))
        if metric.source == "External":
            readings.append(Reading(error="dead") if metric.value is None else Reading(value=float(metric.value), age_seconds=1.0))
        elif metric.pods is None:
            readings.append(Reading(error="dead"))
        else:
            readings.append(Reading(values={name: float(pod.sample) for name, pod in metric.pods.items()}, age_seconds=1.0))
    observed = Observation(
        world.cur,
        states,
        tuple(readings),
        History(
            tuple((NOW - age, replicas) for age, replicas in world.recommendations),
            tuple((NOW - age, change) for age, change in world.events),
            scaled_to_zero=world.scaled_to_zero,
        ),
        requests={name: float(pod.request) for name, pod in world.pods.items() if pod.request is not None},
        times={name: Times(pod.started, pod.ready_changed, pod.sample_age, pod.sample_window) for name, pod in world.pods.items()},
    )
    return Policy(world.low, world.high, tuple(metrics), Behavior(rules(world.up), rules(world.down))), observed


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_a_decision_is_the_one_of_the_hpa(case):
    world, states = case
    expected = hpa.decide(world)
    made = decide("shop", *in_our_words(world, states), NOW)
    assert made.desired == expected.desired
    conditions = {one.type: (one.status, one.reason) for one in made.conditions if one.type != "ScaledToZero"}
    assert conditions == expected.conditions
    assert any(one.type == "ScaledToZero" for one in made.conditions) == (made.desired == 0 < world.cur and expected.proposals is not None)
    proposed = [None if one.replicas is None else (one.replicas, round(one.measured * 1_000_000)) for one in made.proposals]
    assert proposed == [one if one is None else (one[0], round(one[1] * 1_000_000)) for one in expected.proposals or []]


@pytest.mark.parametrize(
    ("value", "target", "count", "expected"),
    # The HPA's floats make 26, 28 and 30 of these.
    [(25, 11, 11, 25), (27, 13, 13, 27), (29, 14, 14, 29)],
)
def test_the_oracle_is_exact(value, target, count, expected):
    world = hpa.World(count, 1, 99, [], hpa.Rules(0, [], "max", Fraction(0)), hpa.Rules(0, [], "max", Fraction(0)), {}, [], [], False)
    world.pods = {str(number): hpa.Pod(sample=Fraction(value)) for number in range(count)}
    assert hpa.of_metric(world, hpa.Metric("Pods", "AverageValue", Fraction(target), pods=world.pods))[0] == expected
