# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.bounds import bounds
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide, keep
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import Failure, History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Observation, Override
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Policy
from ansible_collections.microservices.autoscale.tests.unit.builders import (
    NOW,
    failed,
    metric,
    observed,
    policy,
    ready,
    rules,
    value,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

REQUESTS = metric("requests", value=10)
QUEUE = metric("prometheus", "average_value", 5, name="queue")
LATENCY = metric("response_time", "value", 0.25)


def decided(of, seen_now, now=NOW):
    made = decide("shop", of, seen_now, now)
    return made.kind, made.desired


def history(recommendations=(), events=()):
    """Times are seconds ago."""
    return History(tuple((NOW - age, count) for age, count in recommendations), tuple((NOW - age, change) for age, change in events))


@pytest.mark.parametrize(
    ("of", "seen_now", "expected"),
    [
        (policy(REQUESTS, low=2), observed(None, value(500)), ("initial", 2)),
        (policy(REQUESTS), observed(4, value(40)), ("steady", 4)),
        (policy(REQUESTS), observed(4, value(81)), ("scale_up", 9)),
        (policy(REQUESTS), observed(4, value(11)), ("scale_down", 2)),
        (policy(REQUESTS), observed(4, value(0)), ("scale_down", 1)),
        (policy(), observed(4), ("steady", 4)),
        # Bounds come first and need no metrics, ...
        (policy(REQUESTS, low=2, high=6), observed(1, failed()), ("scale_up", 2)),
        (policy(REQUESTS, low=2, high=6), observed(9, failed()), ("scale_down", 6)),
        # A count of 0 that nobody decided pauses the scaling; one that was decided is as any other.
        (policy(low=2, high=6), observed(0), ("disabled", 0)),
        (policy(low=2, high=6), observed(0, history=History(scaled_to_zero=True)), ("scale_up", 2)),
        # ... no window and no limit of speed ...
        (policy(REQUESTS, low=5, up=rules(300, ("pods", 1, 60))), observed(1, value(0), history=history([(1, 1)])), ("scale_up", 5)),
        (policy(REQUESTS, high=2, down=rules(300, ("pods", 1, 60))), observed(9, value(90), history=history([(1, 9)])), ("scale_down", 2)),
        # ... and last, too.
        (policy(REQUESTS, high=6), observed(4, value(990)), ("scale_up", 6)),
        (policy(REQUESTS, low=3), observed(4, value(0)), ("scale_down", 3)),
        (policy(REQUESTS, high=4), observed(4, value(990)), ("limited", 4)),
        (policy(REQUESTS, low=4), observed(4, value(0)), ("limited", 4)),
        # The largest of several proposals.
        (policy(REQUESTS, QUEUE), observed(4, value(40), value(60)), ("scale_up", 12)),
        (policy(REQUESTS, QUEUE), observed(4, value(10), value(10)), ("scale_down", 2)),
        # What fails holds, unless the rest asks for as much or more.
        (policy(REQUESTS), observed(4, failed()), ("held", 4)),
        (policy(REQUESTS, QUEUE), observed(4, failed(), failed()), ("held", 4)),
        (policy(REQUESTS, QUEUE), observed(4, failed(), value(10)), ("held", 4)),
        (policy(REQUESTS, QUEUE), observed(4, value(10), failed()), ("held", 4)),
        (policy(REQUESTS, QUEUE), observed(4, failed(), value(20)), ("steady", 4)),
        (policy(REQUESTS, QUEUE), observed(4, failed(), value(60)), ("scale_up", 12)),
        (policy(LATENCY), observed(4, value(0.9), states=ready(4, seen.SUSPECT)), ("held", 4)),
        # Windows and speed.
        (policy(REQUESTS, down=rules(300)), observed(8, value(10), history=history([(400, 8), (200, 1)])), ("limited", 8)),
        (policy(REQUESTS, down=rules(300)), observed(8, value(10), history=history([(400, 5), (200, 1)])), ("scale_down", 5)),
        (policy(REQUESTS, down=rules(0, ("pods", 2, 60))), observed(8, value(10)), ("scale_down", 6)),
        (policy(REQUESTS, down=rules(0, ("pods", 2, 60))), observed(8, value(10), history=history(events=[(30, -2)])), ("limited", 8)),
        (policy(REQUESTS, up=rules(0, ("percent", 10, 60))), observed(100, value(9000)), ("limited", 100)),
        (policy(REQUESTS, high=500, up=rules(0, ("percent", 10, 60))), observed(100, value(9000)), ("scale_up", 110)),
        # Times from the future hold, also a low recommendation that would let the service shrink; bounds stand all the same.
        (policy(REQUESTS, down=rules(300)), observed(8, value(10), history=history([(-60, 1)])), ("held", 8)),
        (policy(REQUESTS, up=rules()), observed(8, value(990), history=history(events=[(-60, 1)])), ("held", 8)),
        (policy(REQUESTS), observed(8, value(990), history=history([(-4, 8)])), ("scale_up", 99)),
        (policy(REQUESTS, low=2), observed(1, value(0), history=history([(-60, 1)])), ("scale_up", 2)),
    ],
)
def test_decisions(of, seen_now, expected):
    assert decided(of, seen_now) == expected


@pytest.mark.parametrize(
    ("override", "current", "load", "expected"),
    [
        (Override(min_replicas=6, expires=NOW + 1), 4, 40, ("scale_up", 6)),
        (Override(min_replicas=6, expires=NOW + 1), 6, 10, ("limited", 6)),
        (Override(max_replicas=3, expires=NOW + 1), 4, 990, ("scale_down", 3)),
        (Override(max_replicas=3, expires=NOW + 1), 3, 990, ("limited", 3)),
        (Override(min_replicas=5, max_replicas=5, expires=NOW + 1), 4, 10, ("scale_up", 5)),
        # It moves the bounds inside the policy's own, and never crosses them.
        (Override(min_replicas=50, expires=NOW + 1), 4, 10, ("scale_up", 8)),
        (Override(max_replicas=1, expires=NOW + 1), 4, 10, ("scale_down", 2)),
        (Override(min_replicas=6, max_replicas=3, expires=NOW + 1), 4, 40, ("scale_down", 3)),
        # It ends by itself.
        (Override(min_replicas=6, expires=NOW), 4, 40, ("steady", 4)),
    ],
)
def test_overrides_by_hand(override, current, load, expected):
    assert decided(policy(REQUESTS, low=2, high=8), observed(current, value(load), override=override)) == expected


@pytest.mark.parametrize(
    ("of", "seen_now", "recommendation"),
    [
        (policy(REQUESTS), observed(None), None),
        (policy(REQUESTS), observed(4, value(81)), 9),
        (policy(REQUESTS, high=6), observed(4, value(81)), 9),
        (policy(REQUESTS, low=4), observed(4, value(0)), 0),
        # Where the metrics cannot say, the count that is held counts in the windows.
        (policy(REQUESTS), observed(4, failed()), 4),
        (policy(REQUESTS, QUEUE), observed(4, failed(), value(0)), 4),
        # Nothing is noted where they are not asked.
        (policy(), observed(4), None),
        (policy(REQUESTS, low=9), observed(4, value(40)), None),
        (policy(REQUESTS), observed(4, value(40), history=history([(-60, 1)])), None),
    ],
)
def test_what_goes_into_the_history_is_the_raw_recommendation(of, seen_now, recommendation):
    assert decide("shop", of, seen_now, NOW).recommendation == recommendation


@pytest.mark.parametrize(
    ("of", "seen_now", "reason"),
    [
        (policy(REQUESTS, low=2), observed(None), "first deploy: starts with 2"),
        (policy(REQUESTS), observed(4, value(40)), "requests 10 against a target of 10: 4 is right"),
        (policy(REQUESTS), observed(4, value(81)), "requests 20.25 against a target of 10 asks for 9"),
        (policy(REQUESTS, high=6), observed(4, value(81)), "requests 20.25 against a target of 10 asks for 9; max_replicas allows 6"),
        (
            policy(REQUESTS, low=3, down=rules(300)),
            observed(8, value(10), history=history([(200, 5)])),
            "requests 1.25 against a target of 10 asks for 1; scale_down.stabilization_window_seconds allows 5",
        ),
        (
            policy(REQUESTS, down=rules(0, ("pods", 2, 60))),
            observed(8, value(10)),
            "requests 1.25 against a target of 10 asks for 1; scale_down.policies allows 6",
        ),
        (policy(REQUESTS), observed(4, failed("no answer")), "held at 4: requests: no answer"),
        (policy(REQUESTS, QUEUE), observed(4, value(81), failed("gone")), "requests 20.25 against a target of 10 asks for 9; queue: gone"),
        (policy(REQUESTS, low=2), observed(1, failed()), "min_replicas is 2"),
        (
            policy(REQUESTS, high=8),
            observed(2, override=Override(min_replicas=6, expires=NOW + 1)),
            "min_replicas is 6 (override.min_replicas)",
        ),
        (
            policy(REQUESTS),
            observed(4, value(40), history=history([(-60, 1)])),
            "held at 4: the history has a time 60 s in the future: compare the clocks of the controllers",
        ),
    ],
)
def test_every_decision_says_why(of, seen_now, reason):
    assert decide("shop", of, seen_now, NOW).reason == reason


@pytest.mark.parametrize(
    ("current", "expected"),
    [(None, ("initial", 2)), (2, ("kept", 2)), (5, ("kept", 5))],
)
def test_a_deploy_keeps_the_count_whatever_the_metrics_say(current, expected):
    made = keep("shop", policy(REQUESTS, low=2, high=8), observed(current, failed()))
    assert (made.kind, made.desired) == expected
    assert (made.recommendation, made.errors) == (None, ())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"history": history([(-60, 1)])}, "InvalidHistory"),
        ({"schedule_errors": ("schedules.nowhere: must be the name of a time zone",)}, "InvalidSchedule"),
    ],
)
def test_what_cannot_be_evaluated_holds_and_says_what(more, reason):
    made = decide("shop", policy(REQUESTS), observed(4, value(81), **more), NOW)
    assert (made.kind, made.desired, made.conditions[-1].reason) == ("held", 4, reason)


UP, SAME, DOWN = 81, 40, 10
SLOW = rules(0, ("pods", 1, 15))


@pytest.mark.parametrize(
    ("of", "seen_now", "able", "active", "limited"),
    [
        (policy(REQUESTS), observed(4, value(SAME)), "ReadyForNewScale", (True, "ValidMetricFound"), (False, "DesiredWithinRange")),
        (policy(REQUESTS, high=6), observed(4, value(UP)), "ReadyForNewScale", (True, "ValidMetricFound"), (True, "TooManyReplicas")),
        (policy(REQUESTS, low=3), observed(4, value(DOWN)), "ReadyForNewScale", (True, "ValidMetricFound"), (True, "TooFewReplicas")),
        (policy(REQUESTS, up=SLOW), observed(4, value(UP)), "ReadyForNewScale", (True, "ValidMetricFound"), (True, "ScaleUpLimit")),
        (policy(REQUESTS, down=SLOW), observed(4, value(DOWN)), "ReadyForNewScale", (True, "ValidMetricFound"), (True, "ScaleDownLimit")),
        (
            policy(REQUESTS, up=rules(300)),
            observed(4, value(UP), history=history([(9, 4)])),
            "ScaleUpStabilized", (True, "ValidMetricFound"), (False, "DesiredWithinRange"),
        ),
        (
            policy(REQUESTS, down=rules(300)),
            observed(4, value(DOWN), history=history([(9, 4)])),
            "ScaleDownStabilized", (True, "ValidMetricFound"), (False, "DesiredWithinRange"),
        ),
        (policy(REQUESTS), observed(4, failed()), "SucceededGetScale", (False, "FailedGetExternalMetric"), None),
        (policy(REQUESTS, low=5), observed(4, value(SAME)), "SucceededGetScale", None, None),
    ],
)  # fmt: skip
def test_conditions_are_those_of_the_hpa(of, seen_now, able, active, limited):
    conditions = {one.type: (one.status, one.reason) for one in decide("shop", of, seen_now, NOW).conditions}
    expected = {"AbleToScale": (True, able), "ScalingActive": active, "ScalingLimited": limited}
    assert conditions == {kind: found for kind, found in expected.items() if found is not None}


def test_a_decision_is_json_with_everything_that_led_to_it():
    seen_now = observed(4, value(81), failed("gone"), history=History(failing={"queue": Failure(NOW - 30, 2)}))
    made = json.loads(json.dumps(decide("shop", policy(REQUESTS, QUEUE, high=6), seen_now, NOW).to_dict()))
    assert made == {
        "service": "shop",
        "current_replicas": 4,
        "desired_replicas": 6,
        "kind": "scale_up",
        "reason": "requests 20.25 against a target of 10 asks for 9; max_replicas allows 6; queue: gone",
        "recommendation": 9,
        "winner": "requests",
        "proposals": [
            {
                "metric": "requests",
                "rule": "average_value",
                "target": 10,
                "average": 20.25,
                "replicas": 9,
                "age_seconds": 1,
                "error": None,
            },
            {
                "metric": "queue",
                "rule": "average_value",
                "target": 5,
                "replicas": None,
                "error": "gone",
                "failing_seconds": 30,
                "failures": 3,
            },
        ],
        "limits": [{"rule": "max_replicas", "before": 9, "after": 6}],
        "conditions": [
            {"type": "AbleToScale", "status": True, "reason": "ReadyForNewScale", "name": "ready_for_new_scale"},
            {"type": "ScalingActive", "status": True, "reason": "ValidMetricFound", "name": "valid_metric_found"},
            {"type": "ScalingLimited", "status": True, "reason": "TooManyReplicas", "name": "too_many_replicas"},
        ],
        "errors": ["queue: gone"],
        "tolerance": {"scale_up": 0.1, "scale_down": 0.1},
        "bounds": {"min_replicas": 1, "max_replicas": 6},
        "earliest_change_seconds": None,
    }


# Properties

NUMBERS = st.floats(0, 2000)
READINGS = NUMBERS.map(value) | st.just(failed())
RULES = st.builds(
    lambda window, policies, select, tolerance: rules(window, *policies, select=select, tolerance=tolerance),
    st.sampled_from([0, 60, 300]),
    st.lists(st.tuples(st.sampled_from(["pods", "percent"]), st.integers(1, 150), st.sampled_from([15, 60, 600])), min_size=1, max_size=2),
    st.sampled_from(["max", "min", "disabled"]),
    st.sampled_from([0.0, 0.1, 0.3]),
)
POLICIES = st.builds(
    lambda low, more, metrics, up, down: policy(*metrics, low=low, high=low + more, up=up, down=down),
    st.integers(1, 10),
    st.integers(0, 40),
    st.lists(st.sampled_from([REQUESTS, QUEUE, LATENCY]), max_size=3),
    RULES,
    RULES,
)
AGES = st.floats(-2, 900)
HISTORIES = st.builds(
    lambda recommendations, events: history(sorted(recommendations, reverse=True), sorted(events, reverse=True)),
    st.lists(st.tuples(AGES, st.integers(0, 60)), max_size=5),
    st.lists(st.tuples(AGES, st.integers(-10, 10)), max_size=5),
)
OVERRIDES = st.none() | st.builds(
    Override, st.none() | st.integers(1, 60), st.none() | st.integers(1, 60), st.sampled_from([NOW - 1, NOW + 60])
)
STATES = st.lists(st.sampled_from([seen.READY, seen.STARTING, seen.SUSPECT, seen.UNHEALTHY, seen.PARKED]), max_size=12)


@st.composite
def cases(draw):
    of = draw(POLICIES)
    states = {f"shop-{index}": state for index, state in enumerate(draw(STATES))}
    readings = tuple(draw(READINGS) for _metric in of.metrics)
    current = draw(st.none() | st.integers(0, 60))
    return of, Observation(current, states, readings, draw(HISTORIES), draw(OVERRIDES))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_never_outside_the_bounds_and_always_the_same_answer(case):
    of, seen_now = case
    made = decide("shop", of, seen_now, NOW)
    assert made == decide("shop", of, seen_now, NOW)
    force = bounds(of, seen_now, NOW)
    assert force.low <= made.desired <= force.high or (made.kind, made.desired) == ("disabled", 0)


@settings(max_examples=60, deadline=None)
@given(cases(), st.data())
def test_a_reading_that_is_missing_never_removes_an_instance(case, data):
    of, seen_now = case
    assume(of.metrics and seen_now.current_replicas is not None)
    gone = data.draw(st.sets(st.integers(0, len(of.metrics) - 1), min_size=1))
    readings = tuple(failed() if index in gone else reading for index, reading in enumerate(seen_now.readings))
    made = decide("shop", of, dataclasses.replace(seen_now, readings=readings, override=None), NOW)
    assert made.desired >= min(seen_now.current_replicas, of.max_replicas)


@settings(max_examples=60, deadline=None)
@given(cases(), NUMBERS, NUMBERS)
def test_more_load_never_gives_fewer_replicas(case, one, other):
    of, seen_now = case
    assume(seen_now.current_replicas)
    of = dataclasses.replace(of, metrics=(REQUESTS,))
    states = ready(seen_now.current_replicas)
    low, high = (
        decide("shop", of, dataclasses.replace(seen_now, states=states, readings=(value(load),)), NOW).desired
        for load in sorted((one, other))
    )
    assert low <= high


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([REQUESTS, LATENCY]))
def test_a_time_from_the_future_holds(case, of_metric):
    of, seen_now = case
    of, current = dataclasses.replace(of, metrics=(of_metric,)), of.max_replicas
    spoilt = dataclasses.replace(seen_now, current_replicas=current, override=None, readings=(value(0),), history=History(((NOW + 60, 1),)))
    assert decided(of, spoilt) == ("held", current)


def replayed(of, readings, start, every=60):
    """The counts of a service that follows its decisions from run to run."""
    log = History().recommending(NOW, start, of.longest_window_seconds)
    counts = [start]
    for number, reading in enumerate(readings, 1):
        now = NOW + number * every
        made = decide("shop", of, Observation(counts[-1], ready(counts[-1]), (reading,), log), now)
        if made.recommendation is not None:
            log = log.recommending(now, made.recommendation, of.longest_window_seconds)
        if made.desired != counts[-1]:
            log = log.scaled(now, made.desired - counts[-1], of.longest_window_seconds)
        counts.append(made.desired)
    return counts[1:]


LOADS = st.lists(st.integers(0, 40).map(lambda tens: value(tens * 10)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(LOADS, st.integers(1, 30), st.sampled_from([120, 300, 900]), st.data())
def test_a_replay_without_one_reading_never_scales_in_further(loads, start, window, data):
    """Neither below what it did with that reading nor below what it held when it did not know."""
    of = policy(REQUESTS, up=rules(tolerance=0.0), down=rules(window, tolerance=0.0))
    gone = data.draw(st.integers(0, len(loads) - 1))
    whole = replayed(of, loads, start)
    holed = replayed(of, [failed() if index == gone else reading for index, reading in enumerate(loads)], start)
    assert [count for count, other in zip(holed, whole, strict=True) if count < min(other, holed[gone])] == []


@settings(max_examples=100, deadline=None)
@given(LOADS, st.integers(1, 30))
def test_no_data_at_all_changes_nothing(loads, start):
    of = policy(REQUESTS, down=rules(300))
    assert replayed(of, [failed()] * len(loads), start) == [start] * len(loads)


@settings(max_examples=100, deadline=None)
@given(LOADS, st.integers(1, 30), st.sampled_from([60, 300]))
def test_a_window_holds_the_highest_of_its_time(loads, start, window):
    of = policy(REQUESTS, up=rules(tolerance=0.0), down=rules(window, tolerance=0.0))
    asked = [start] + [max(1, round(load.value / 10)) for load in loads]
    highest = [max(asked[max(0, run - window // 60) : run + 1]) for run in range(1, len(asked))]
    # A value is in force until the next, so that the one before the window's first is, too.
    assert all(count >= lower for count, lower in zip(replayed(of, loads, start), highest, strict=True))


@pytest.mark.parametrize(
    ("behavior", "loads", "counts"),
    [
        # One high reading in five minutes keeps what is there.
        ({"down": rules(300)}, [90, 10, 10, 10, 10, 10, 10, 10], [9, 9, 9, 9, 9, 9, 1, 1]),
        ({"down": rules(0, ("percent", 50, 60))}, [10, 10, 10, 10], [4, 2, 1, 1]),
        ({"up": rules(0, ("pods", 2, 60))}, [90, 90, 90], [9, 9, 9]),
        ({"up": rules(0, ("pods", 2, 60))}, [200, 200, 200], [10, 12, 14]),
        ({"up": rules(120)}, [200, 200, 200, 200], [8, 8, 20, 20]),
    ],
)
def test_replays(behavior, loads, counts):
    assert replayed(policy(REQUESTS, **behavior), [value(load) for load in loads], 8) == counts


def test_a_policy_without_metrics_keeps_any_count_within_its_bounds():
    assert [decided(Policy(2, 5), observed(count))[1] for count in range(8)] == [0, 2, 2, 3, 4, 5, 5, 5]
