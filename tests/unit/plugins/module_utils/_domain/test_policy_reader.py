# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What else a `scale` block may say; test_policy.py has bounds and behavior, test_metric_reader.py the metrics."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import FlapGuard, Policy, Schedule
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy_reader import read_policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader
from hypothesis import given, settings
from hypothesis import strategies as st


def read(scale):
    root = Reader(scale, "scale")
    policy = read_policy(root, has_cpu_request=True)
    root.finish()
    return policy


def errors(scale):
    with pytest.raises(InvalidDescription) as caught:
        read(scale)
    return list(caught.value.errors)


DAY = {"name": "day", "cron": "0 8 * * 1-5", "duration_seconds": "10h", "time_zone": "Europe/Berlin", "min_replicas": 5}
SALE = {"name": "sale", "start": "2026-11-27T00:00:00", "end": "2026-11-28T00:00:00", "replicas": 20}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ({"tolerance": 0.2}, Policy(1, 1, tolerance=0.2)),
        ({"pause": "scale_down"}, Policy(1, 1, pause="scale_down")),
        ({"flap_guard": {}}, Policy(1, 1, flap_guard=FlapGuard(1800.0, 3, 0.1))),
        (
            {"flap_guard": {"window_seconds": "1h", "reversals": 1, "widen": 0.5}},
            Policy(1, 1, flap_guard=FlapGuard(3600.0, 1, 0.5)),
        ),
        (
            {"cpu_initialization_period_seconds": "1m", "initial_readiness_delay_seconds": 0},
            Policy(1, 1, cpu_initialization_period_seconds=60.0, initial_readiness_delay_seconds=0.0),
        ),
        ({"groups": {"front": "any", "back": "all"}}, Policy(1, 1, groups={"front": "any", "back": "all"})),
        (
            {"schedules": [DAY, SALE]},
            Policy(
                1, 1,
                schedules=(
                    Schedule("day", "0 8 * * 1-5", 36000.0, time_zone="Europe/Berlin", min_replicas=5),
                    Schedule("sale", start="2026-11-27T00:00:00", end="2026-11-28T00:00:00", replicas=20),
                ),
            ),
        ),
    ],
)  # fmt: skip
def test_fields(scale, expected):
    assert read(scale) == expected


def test_tolerances_of_each_direction():
    assert read({"tolerance": 0.2, "behavior": {"scale_down": {"tolerance": 0}}}).tolerances == (0.2, 0.0)


def test_history_is_kept_for_the_flap_guard_too():
    assert read({"flap_guard": {"window_seconds": "2h"}}).longest_window_seconds == 7200


@pytest.mark.parametrize("metric", [{"requests": 5}, {"type": "prometheus", "query": "q", "pass_through": True}])
def test_a_service_may_go_to_zero_by_a_metric_of_its_own(metric):
    assert read({"min_replicas": 0, "max_replicas": 5, "metrics": [metric]}).min_replicas == 0


def schedule(base=DAY, **changes):
    return {"schedules": [{**base, **changes}]}


NOT_ZERO = "must be at least 1 without a metric of the whole service, which is there also when no instance is, got 0"
PER_INSTANCE = {"type": "prometheus", "query": "q", "per_instance": True, "target": {"type": "average_value", "value": 1}}
PAUSES = "must be one of none, scale_up, scale_down, both"


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ({"min_replicas": 0, "metrics": [{"cpu": 80}]}, f"min_replicas: {NOT_ZERO}"),
        ({"min_replicas": 0, "metrics": [{"response_time": 1}]}, f"min_replicas: {NOT_ZERO}"),
        ({"min_replicas": 0, "metrics": [{"type": "fixed", "replicas": 1}]}, f"min_replicas: {NOT_ZERO}"),
        ({"min_replicas": 0, "metrics": [PER_INSTANCE]}, f"min_replicas: {NOT_ZERO}"),
        ({"tolerance": -0.1}, "tolerance: must be at least 0, got -0.1"),
        ({"tolerance": "10%"}, "tolerance: must be a number, at least 0, got '10%'"),
        ({"pause": True}, f"pause: {PAUSES}, got True"),
        ({"groups": {"front": "most"}}, "groups.front: must be one of any, all, got 'most'"),
        ({"groups": ["front"]}, "groups: must be a mapping, got ['front']"),
        (
            {"metrics": [{"type": "fixed", "replicas": 1, "group": "front"}]},
            "metrics[0]: is of group 'front', which is not in scale.groups, got {'type': 'fixed', 'replicas': 1, 'group': 'front'}",
        ),
        ({"flap_guard": {"widen": 0}}, "flap_guard.widen: must be greater than 0, got 0"),
        ({"flap_guard": {"reversals": 0}}, "flap_guard.reversals: must be a whole number of at least 1, got 0"),
        (
            {"flap_guard": {"window_seconds": "2d"}},
            "flap_guard.window_seconds: must be a duration such as 30, 10s or 5m, at least 1 s and at most 86400 s, got '2d'",
        ),
        (
            {"cpu_initialization_period_seconds": -1},
            "cpu_initialization_period_seconds: must be a duration such as 30, 10s or 5m, at least 0 s, got -1",
        ),
        (schedule(name=None), "schedules[0].name: must be letters, digits, '_', '.' or '-', but it is missing"),
        (schedule(duration_seconds=None), "schedules[0].duration_seconds: goes with cron, but it is missing"),
        (schedule(SALE, end=None), "schedules[0].end: goes with start, but it is missing"),
        (schedule(end="2026-11-28T00:00:00"), "schedules[0].start: goes with end, but it is missing"),
        (
            schedule(duration_seconds=0),
            "schedules[0].duration_seconds: must be a duration such as 30, 10s or 5m, at least 1 s, got 0",
        ),
        (schedule(max_replicas=4), "schedules[0].max_replicas: must be at least min_replicas, which is 5, got 4"),
        (schedule(replicas=4), "schedules[0].replicas: pins the count, and goes without min_replicas and max_replicas, got 4"),
        (schedule(min_replicas=-1), "schedules[0].min_replicas: must be a whole number of at least 0, got -1"),
        (schedule(pause="all"), f"schedules[0].pause: {PAUSES}, got 'all'"),
        (
            {"schedules": [DAY, DAY]},
            f"schedules[1]: must have a name of its own, 'day' is taken, got {DAY!r}",
        ),
    ],
)
def test_what_is_refused(scale, expected):
    found = errors(scale)
    assert f"scale.{expected}" in found
    assert len(found) <= 2  # the other end of a pair may be named, too


def test_a_schedule_is_either_repeated_or_once_and_changes_something():
    (error,) = errors({"schedules": [{**DAY, **SALE, "name": "both", "min_replicas": None}]})
    assert error.startswith("scale.schedules[0]: must have either cron and duration_seconds, or start and end, got ")
    (error,) = errors({"schedules": [{**DAY, "min_replicas": None}]})
    assert error.startswith("scale.schedules[0]: must change something: min_replicas, max_replicas, replicas or pause, got ")


COUNT = st.integers(0, 50)
FALLBACK = st.sampled_from(["hold", {"last_known": "5m"}, {"floor": 3}, {"current_if_higher": 4}])
STEP = st.tuples(st.floats(0, 50), st.floats(51, 99), st.sampled_from(["change", "percent", "replicas"]), COUNT).map(
    lambda drawn: {"at_least": drawn[0], "below": drawn[1], drawn[2]: drawn[3]}
)
RULE = st.one_of(
    st.fixed_dictionaries(
        {"target": st.fixed_dictionaries({"type": st.sampled_from(["value", "average_value"]), "value": st.floats(0.1, 9)})}
    ),
    st.fixed_dictionaries({"steps": st.lists(STEP, min_size=1, max_size=2)}, optional={"agree": st.integers(1, 20)}),
    st.just({"pass_through": True}),
)
SOURCE = st.sampled_from(
    [
        {"type": "prometheus", "query": "up"},
        {"type": "json", "url": "http://127.0.0.1/", "expression": "a"},
        {"type": "formula", "formula": "a", "readings": {"a": {"type": "requests", "source": "haproxy", "window_seconds": 5}}},
    ]
)
METRIC = st.builds(
    lambda source, rule, more: {**source, **rule, **more},
    SOURCE,
    RULE,
    st.fixed_dictionaries(
        {},
        optional={
            "group": st.just("front"),
            "max_age": st.floats(1, 999),
            "on_missing": FALLBACK | st.fixed_dictionaries({"scale_up": FALLBACK}, optional={"scale_down": FALLBACK}),
        },
    ),
) | st.sampled_from([{"type": "fixed", "replicas": 2}, {"cpu": 80}, {"requests": 5}])
SCALES = st.fixed_dictionaries(
    {"min_replicas": st.integers(1, 5), "max_replicas": st.integers(5, 9), "groups": st.just({"front": "any"})},
    optional={
        "metrics": st.lists(METRIC, max_size=3).map(
            lambda metrics: [metric if len(metric) == 1 else {**metric, "name": f"m{number}"} for number, metric in enumerate(metrics)]
        ).filter(lambda metrics: sum(1 for metric in metrics if len(metric) == 1) < 2),
        "behavior": st.fixed_dictionaries({}, optional={"scale_down": st.just({"tolerance": 0.3, "select_policy": "min"})}),
        "tolerance": st.floats(0, 1),
        "schedules": st.sampled_from([[], [DAY], [DAY, SALE]]),
        "pause": st.sampled_from(["none", "both"]),
        "flap_guard": st.sampled_from([{}, {"reversals": 2}]),
        "cpu_initialization_period_seconds": st.floats(0, 999),
    },
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(SCALES)
def test_the_long_form_reads_as_the_same_policy(scale):
    policy = read(scale)
    once = dataclasses.asdict(policy)
    assert read(once) == policy
    assert read(json.loads(json.dumps(once))) == policy
    assert json.dumps(dataclasses.asdict(read(once))) == json.dumps(once)
