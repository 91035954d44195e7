# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of an observation that somebody gives."""

from __future__ import annotations

import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.given_observation import NOW, read_observation
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import Failure, History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import (
    ActiveSchedule,
    Observation,
    Override,
    Reading,
    Scheduled,
    Times,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader
from ansible_collections.microservices.autoscale.tests.unit.builders import metric, policy

OF = policy(metric("prometheus", value=10))


def read(given, of=OF):
    root = Reader(given, "seen")
    # How schedules are evaluated at a time is tested with the operation that does it.
    observed = read_observation(root, of, lambda _schedules, _time: Scheduled())
    root.finish()
    return observed


def errors(given, of=OF):
    with pytest.raises(InvalidDescription) as caught:
        read(given, of)
    return list(caught.value.errors)


LEAST = {"current_replicas": 2, "readings": [{"value": 1}]}
WHOLE = {
    "current_replicas": 3,
    "status_replicas": 4,
    "instances": [
        {
            "id": "a", "state": "ready", "request": 0.5, "started_seconds_ago": "10m", "ready_changed_seconds_ago": 590,
            "sample_age_seconds": 15, "sample_window_seconds": "30s",
        },
        {"id": "b", "state": "starting"},
        {"id": "c", "state": "unready"},
        {"id": "d", "state": "missing", "request": 1},
        {"id": "e", "state": "draining"},
        {"id": "f", "state": "failed"},
    ],
    "readings": [{"values": {"a": 1, "d": 2, "x": 3}, "age_seconds": 7}],
    "history": {
        "recommendations": [{"age_seconds": 10, "replicas": 3}, {"age_seconds": "5m", "replicas": 6}],
        "events": [{"age_seconds": 10, "change": -3}, {"age_seconds": 300, "change": 2}],
        "known": {"queue": 4},
        "failing": {"queue": {"age_seconds": 60, "count": 4}, "requests": {"age_seconds": 1}},
        "scaled_to_zero": True,
    },
    "override": {"min_replicas": 2, "max_replicas": 5, "pause": "scale_down", "expires_in_seconds": "1h"},
    "schedules": [{"name": "day", "min_replicas": 2, "max_replicas": 9, "pause": "both"}, {"name": "sale", "replicas": 7}],
}  # fmt: skip


def test_the_whole_contract():
    assert read(WHOLE) == Observation(
        3,
        {"a": seen.READY, "b": seen.STARTING, "c": seen.UNREADY, "d": seen.READY, "e": seen.DRAINING, "f": seen.UNHEALTHY},
        (Reading(values={"a": 1.0, "x": 3.0}, age_seconds=7.0),),
        History(
            ((NOW - 300, 6), (NOW - 10, 3)),
            ((NOW - 300, 2), (NOW - 10, -3)),
            {"queue": 4},
            {"queue": Failure(NOW - 60, 4), "requests": Failure(NOW - 1, 1)},
            scaled_to_zero=True,
        ),
        Override(2, 5, NOW + 3600, "scale_down"),
        {"a": 0.5, "d": 1.0},
        {"a": Times(600.0, 590.0, 15.0, 30.0), **{name: Times() for name in "bcdef"}},
        (ActiveSchedule("day", 2, 9, None, "both"), ActiveSchedule("sale", None, None, 7)),
        there=4,
    )


def test_the_least():
    assert read(LEAST) == Observation(2, readings=(Reading(value=1.0, age_seconds=0.0),))
    assert read({"current_replicas": 0}, policy()) == Observation(0)


def test_a_decision_about_the_whole_contract_is_json():
    json.dumps(decide("shop", OF, read(WHOLE), NOW).to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"value": 5, "age_seconds": "2m"}, Reading(value=5.0, age_seconds=120.0)),
        ({"samples": [1, 2, 3]}, Reading(value=3.0, samples=(1.0, 2.0), age_seconds=0.0)),
        ({"samples": []}, Reading(age_seconds=0.0)),
        ({"values": {}}, Reading(values={}, age_seconds=0.0)),
        ({"error": "HTTP 500"}, Reading(error="HTTP 500")),
        ({}, Reading(error="there is no reading")),
        # No reading should be so; the decision says what is wrong.
        ({"value": -1}, Reading(value=-1.0, age_seconds=0.0)),
        ({"value": float("inf")}, Reading(value=float("inf"), age_seconds=0.0)),
        ({"value": 10**400}, Reading(value=float("inf"), age_seconds=0.0)),
    ],
)
def test_readings(given, expected):
    assert read({**LEAST, "readings": [given]}).readings == (expected,)


@pytest.mark.parametrize(("age", "expected"), [(0, NOW), ("1m", NOW - 60), (-60, NOW + 60), (-(10**400), NOW + 1e9)])
def test_a_time_may_be_from_the_future(age, expected):
    assert read({**LEAST, "history": {"recommendations": [{"age_seconds": age, "replicas": 1}]}}).history.recommendations == (
        (expected, 1),
    )


def one(**changes):
    return {**LEAST, "instances": [{"id": "a", "state": "ready", **changes}]}


def remembered(**changes):
    return {**LEAST, "history": changes}


DURATION = "must be a duration such as 30, 10s or 5m, at least 0 s"
COUNT = "must be a whole number of at least 0"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "seen: must be given for each policy, but it is missing"),
        ({"readings": [{"value": 1}]}, f"seen.current_replicas: {COUNT}, but it is missing"),
        ({**LEAST, "current_replicas": -1}, f"seen.current_replicas: {COUNT}, got -1"),
        ({**LEAST, "current_replicas": 1.5}, f"seen.current_replicas: {COUNT}, got 1.5"),
        ({**LEAST, "current_replicas": True}, f"seen.current_replicas: {COUNT}, got True"),
        ({**LEAST, "status_replicas": "4"}, f"seen.status_replicas: {COUNT}, got '4'"),
        ({**LEAST, "instances": {"a": "ready"}}, "seen.instances: must be a list, got {'a': 'ready'}"),
        (one(id=None), "seen.instances[0].id: must be text, but it is missing"),
        (one(id=7), "seen.instances[0].id: must be text, got 7"),
        (one(state=None), "seen.instances[0].state: must be one of ready, missing, starting, unready, draining, failed, but it is missing"),
        (one(state="up"), "seen.instances[0].state: must be one of ready, missing, starting, unready, draining, failed, got 'up'"),
        (one(request=0), "seen.instances[0].request: must be greater than 0, got 0"),
        (one(request="1"), "seen.instances[0].request: must be a number, greater than 0, got '1'"),
        (one(started_seconds_ago=-1), f"seen.instances[0].started_seconds_ago: {DURATION}, got -1"),
        (one(ready_changed_seconds_ago="soon"), f"seen.instances[0].ready_changed_seconds_ago: {DURATION}, got 'soon'"),
        (one(sample_age_seconds=[]), f"seen.instances[0].sample_age_seconds: {DURATION}, got []"),
        (one(sample_window_seconds=True), f"seen.instances[0].sample_window_seconds: {DURATION}, got True"),
        (
            {**LEAST, "instances": [{"id": "a", "state": "ready"}, {"id": "a", "state": "failed"}]},
            "seen.instances[1].id: must be there once, got 'a'",
        ),
        ({**LEAST, "readings": []}, "seen.readings: must have one reading per metric of the policy, which has 1, got []"),
        ({"current_replicas": 1}, "seen.readings: must have one reading per metric of the policy, which has 1, but it is missing"),
        (
            {**LEAST, "readings": [{"value": 1, "values": {}}]},
            "seen.readings[0]: must have exactly one of value, values, samples and error, got {'value': 1, 'values': {}}",
        ),
        ({**LEAST, "readings": [{"value": "1"}]}, "seen.readings[0].value: must be a number, got '1'"),
        ({**LEAST, "readings": [{"value": True}]}, "seen.readings[0].value: must be a number, got True"),
        ({**LEAST, "readings": [{"values": {"a": "1"}}]}, "seen.readings[0].values.a: must be a number, got '1'"),
        ({**LEAST, "readings": [{"values": [1]}]}, "seen.readings[0].values: must be a mapping, got [1]"),
        ({**LEAST, "readings": [{"samples": 1}]}, "seen.readings[0].samples: must be a list, got 1"),
        ({**LEAST, "readings": [{"samples": [None]}]}, "seen.readings[0].samples[0]: must be a number, but it is missing"),
        ({**LEAST, "readings": [{"error": 1}]}, "seen.readings[0].error: must be text, got 1"),
        ({**LEAST, "readings": [{"value": 1, "age_seconds": -1}]}, f"seen.readings[0].age_seconds: {DURATION}, got -1"),
        (remembered(recommendations=[{"replicas": 1}]), f"seen.history.recommendations[0].age_seconds: {DURATION}, but it is missing"),
        (
            remembered(recommendations=[{"age_seconds": 1}]),
            f"seen.history.recommendations[0].replicas: {COUNT}, but it is missing",
        ),
        (
            remembered(recommendations=[{"age_seconds": float("nan"), "replicas": 1}]),
            f"seen.history.recommendations[0].age_seconds: {DURATION}, got nan",
        ),
        (
            remembered(events=[{"age_seconds": 1, "change": 0.5}]),
            "seen.history.events[0].change: must be a whole number of at least -1000000, got 0.5",
        ),
        (remembered(known={"queue": -1}), f"seen.history.known.queue: {COUNT}, got -1"),
        (
            remembered(failing={"queue": {"age_seconds": 1, "count": 0}}),
            "seen.history.failing.queue.count: must be a whole number of at least 1, got 0",
        ),
        (remembered(scaled_to_zero=1), "seen.history.scaled_to_zero: must be true or false, got 1"),
        ({**LEAST, "override": {"min_replicas": 1}}, f"seen.override.expires_in_seconds: {DURATION}, but it is missing"),
        (
            {**LEAST, "override": {"pause": "all", "expires_in_seconds": 1}},
            "seen.override.pause: must be one of none, scale_up, scale_down, both, got 'all'",
        ),
        ({**LEAST, "schedules": [{"replicas": 1}]}, "seen.schedules[0].name: must be text, but it is missing"),
        ({**LEAST, "schedules": [{"name": "a", "replicas": -1}]}, f"seen.schedules[0].replicas: {COUNT}, got -1"),
        (
            {**LEAST, "schedules": [{"name": "a", "cron": "* * * * *"}]},
            "seen.schedules[0].cron: is not known or not implemented yet; allowed here: name, min_replicas, max_replicas, replicas, pause",
        ),
    ],
)
def test_wrong_input_is_refused_with_its_path(given, expected):
    assert errors(given) == [expected]


def _paths(value, path=()):
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(item, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


WRONG = [object(), 10**400, -(10**400), float("nan"), 1e308, [None], {"\u00b2": {}}, {1: 2}, ""]


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_nothing_in_any_place_crashes_the_reading_or_the_decision(wrong):
    for path in _paths(WHOLE):
        try:
            observed = read(_replaced(WHOLE, path, wrong))
        except InvalidDescription:
            continue
        decide("shop", OF, observed, NOW).to_dict()
