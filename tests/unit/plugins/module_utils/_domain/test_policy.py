# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import (
    DEFAULT_BEHAVIOR,
    Behavior,
    Metric,
    Policy,
    ScalingPolicy,
    ScalingRules,
    Target,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy_reader import read_policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader


def read(scale, has_cpu_request=True):
    root = Reader(scale, "scale")
    policy = read_policy(root, has_cpu_request=has_cpu_request)
    root.finish()
    return policy


def errors(scale, **more):
    with pytest.raises(InvalidDescription) as caught:
        read(scale, **more)
    return list(caught.value.errors)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (None, Policy(1, 1)),
        ({"min_replicas": 3}, Policy(3, 3)),
        ({"max_replicas": 3}, Policy(1, 3)),
        ({"min_replicas": 2, "max_replicas": 2, "metrics": [], "behavior": {}}, Policy(2, 2)),
    ],
)
def test_what_is_not_given(scale, expected):
    assert read(scale) == expected


def test_a_whole_policy():
    assert read(
        {
            "min_replicas": 2,
            "max_replicas": 20,
            "metrics": [
                {"type": "requests", "target": {"type": "average_value", "value": 50}, "source": "haproxy", "window_seconds": "1m"},
                {"type": "prometheus", "query": "sum(queue_depth)", "target": {"type": "value", "value": 30}, "name": "queue"},
            ],
            "behavior": {
                "scale_up": {"select_policy": "disabled", "tolerance": 0.2},
                "scale_down": {"stabilization_window_seconds": "2m", "policies": [{"type": "pods", "value": 1, "period_seconds": "1m"}]},
            },
        }
    ) == Policy(
        2,
        20,
        (
            Metric("requests", "requests", Target("average_value", 50.0), source="haproxy", window_seconds=60.0),
            Metric("prometheus", "queue", Target("value", 30.0), query="sum(queue_depth)"),
        ),
        Behavior(
            ScalingRules(0, DEFAULT_BEHAVIOR.scale_up.policies, "disabled", 0.2),
            ScalingRules(120, (ScalingPolicy("pods", 1, 60),)),
        ),
    )


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"requests": 50}, {"type": "requests", "target": {"type": "average_value", "value": 50}}),
        ({"response_time": 0.25}, {"type": "response_time", "target": {"type": "value", "value": 0.25}}),
        ({"cpu": 80}, {"type": "cpu", "target": {"type": "utilization", "value": 80}}),
        ({"type": "requests", "target": {"value": 50}}, {"type": "requests", "target": {"type": "average_value", "value": 50}}),
        (
            {"requests": 50},
            {
                "type": "requests",
                "target": {"type": "average_value", "value": 50},
                "name": "requests",
                "source": "prometheus",
                "window_seconds": 0,
            },
        ),
    ],
)
def test_short_metrics_equal_long_ones(short, long):
    assert read({"metrics": [short]}) == read({"metrics": [long]})


def test_the_default_behavior_is_the_one_of_the_hpa():
    assert (
        Behavior(
            ScalingRules(0, (ScalingPolicy("pods", 4, 15), ScalingPolicy("percent", 100, 15)), "max", None),
            ScalingRules(300, (ScalingPolicy("percent", 100, 15),), "max", None),
        )
        == DEFAULT_BEHAVIOR
    )


@pytest.mark.parametrize(
    ("behavior", "seconds"),
    [
        ({}, 300),
        ({"scale_down": {"stabilization_window_seconds": 0}}, 15),
        ({"scale_up": {"stabilization_window_seconds": 3600}}, 3600),
        ({"scale_up": {"policies": [{"type": "pods", "value": 1, "period_seconds": 1800}]}}, 1800),
    ],
)
def test_history_is_kept_for_the_longest_window(behavior, seconds):
    assert read({"behavior": behavior}).longest_window_seconds == seconds


def one_metric(**changes):
    return {"metrics": [{"type": "prometheus", "query": "up", "target": {"type": "value", "value": 1}, **changes}]}


FIELDS = (
    "min_replicas, max_replicas, metrics, behavior, tolerance, groups, schedules, pause, flap_guard, "
    "cpu_initialization_period_seconds, initial_readiness_delay_seconds"
)
METRIC_FIELDS = (
    "type, source, query, url, expression, window_seconds, per_instance, name, target, steps, agree, pass_through, replicas, group, "
    "max_age, on_missing, formula, readings"
)
DURATION = "must be a duration such as 30, 10s or 5m, at least"


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ([], [f"scale: must be a mapping of {FIELDS}, got []"]),
        (
            {"minReplicas": 1},
            [f"scale.minReplicas: is not known or not implemented yet; allowed here: {FIELDS}"],
        ),
        ({"min_replicas": -1}, ["scale.min_replicas: must be a whole number of at least 0, got -1"]),
        (
            {"min_replicas": 0},
            [
                "scale.min_replicas: must be at least 1 without a metric of the whole service, "
                "which is there also when no instance is, got 0"
            ],
        ),
        ({"min_replicas": 2, "max_replicas": "x"}, ["scale.max_replicas: must be a whole number of at least 1, got 'x'"]),
        ({"min_replicas": 3, "max_replicas": 2}, ["scale.max_replicas: must be at least min_replicas, which is 3, got 2"]),
        ({"metrics": {"requests": 50}}, ["scale.metrics: must be a list, got {'requests': 50}"]),
        ({"metrics": [{"requests": -1}]}, ["scale.metrics[0].target.value: must be greater than 0, got -1"]),
        ({"metrics": [{"requests": None}]}, ["scale.metrics[0].target.value: must be a number, greater than 0, but it is missing"]),
        (
            {"metrics": [{"type": "memory", "target": {"type": "utilization", "value": 80}}]},
            ["scale.metrics[0].type: must be one of requests, response_time, cpu, prometheus, json, formula, fixed, got 'memory'"],
        ),
        (
            {"metrics": ["cpu"]},
            [
                f"scale.metrics[0]: must be a mapping of {METRIC_FIELDS}, got 'cpu'",
                "scale.metrics[0].type: must be one of requests, response_time, cpu, prometheus, json, formula, fixed, but it is missing",
            ],
        ),
        (
            {"metrics": [{"type": "requests", "target": {"type": "utilization", "value": 80}}]},
            ["scale.metrics[0].target.type: must be one of average_value, got 'utilization'"],
        ),
        (one_metric(query=None), ["scale.metrics[0].query: must be text, but it is missing"]),
        (one_metric(url="http://127.0.0.1/"), ["scale.metrics[0].url: belongs to metrics of type json, got 'http://127.0.0.1/'"]),
        (one_metric(source="haproxy"), ["scale.metrics[0].source: must be one of prometheus, got 'haproxy'"]),
        (one_metric(name="a b"), ["scale.metrics[0].name: must be letters, digits, '_', '.' or '-', got 'a b'"]),
        (one_metric(window_seconds="2h"), [f"scale.metrics[0].window_seconds: {DURATION} 0 s and at most 3600 s, got '2h'"]),
        (
            one_metric(selector={}),
            [f"scale.metrics[0].selector: is not known or not implemented yet; allowed here: {METRIC_FIELDS}"],
        ),
        (
            {"metrics": [{"type": "json", "url": "ftp://x/", "target": {"type": "value", "value": 1}}]},
            [
                "scale.metrics[0].expression: must be text, but it is missing",
                "scale.metrics[0].url: must be an http or https URL, got 'ftp://x/'",
            ],
        ),
        (
            {"metrics": [{"requests": 1}, {"requests": 2}]},
            ["scale.metrics[1]: must have a name of its own, 'requests' is taken, got {'requests': 2}"],
        ),
        (
            {"behavior": {"scale_up": {"select_policy": "Max"}}},
            ["scale.behavior.scale_up.select_policy: must be one of max, min, disabled, got 'Max'"],
        ),
        ({"behavior": {"scale_up": {"tolerance": -0.1}}}, ["scale.behavior.scale_up.tolerance: must be at least 0, got -0.1"]),
        (
            {"behavior": {"scale_down": {"stabilization_window_seconds": 3601}}},
            [f"scale.behavior.scale_down.stabilization_window_seconds: {DURATION} 0 s and at most 3600 s, got 3601"],
        ),
        (
            {"behavior": {"scale_down": {"policies": []}}},
            [
                "scale.behavior.scale_down.policies: must have at least one policy; "
                "use select_policy: disabled to forbid this direction, got []"
            ],
        ),
        (
            {"behavior": {"scale_down": {"policies": [{"type": "Percent", "value": 0, "period_seconds": "1h"}]}}},
            [
                "scale.behavior.scale_down.policies[0].type: must be one of pods, percent, got 'Percent'",
                "scale.behavior.scale_down.policies[0].value: must be a whole number of at least 1, got 0",
                f"scale.behavior.scale_down.policies[0].period_seconds: {DURATION} 1 s and at most 1800 s, got '1h'",
            ],
        ),
    ],
)
def test_a_wrong_policy_is_refused_and_told(scale, expected):
    assert errors(scale) == expected


def test_a_utilization_needs_what_it_is_a_per_cent_of():
    assert errors({"metrics": [{"cpu": 80}]}, has_cpu_request=False) == [
        "scale.metrics[0].target.type: needs run.resources.cpu, which the utilization is a per cent of, got 'utilization'"
    ]


def test_cpu_can_do_without_a_request_as_cores_per_instance():
    (metric,) = read({"metrics": [{"type": "cpu", "target": {"type": "average_value", "value": 0.5}}]}, has_cpu_request=False).metrics
    assert metric.target == Target("average_value", 0.5)
