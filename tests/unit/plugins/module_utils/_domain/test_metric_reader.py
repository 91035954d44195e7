# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a metric of a policy may say, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.metric_reader import read_metric
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import (
    Fallback,
    Metric,
    OnMissing,
    Source,
    Step,
    Target,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader

QUERY = {"type": "prometheus", "query": "sum(queue)"}
QUEUE = {**QUERY, "target": {"type": "average_value", "value": 10}}
JSON = {"type": "json", "url": "https://queue.example/", "expression": "length(jobs)", "target": {"type": "value", "value": 3}}
FORMULA = {
    "type": "formula",
    "formula": "a + b",
    "readings": {"a": {"type": "requests", "source": "haproxy"}, "b": {"type": "prometheus", "query": "up", "window_seconds": "1m"}},
    "target": {"type": "average_value", "value": 10},
}


def read(given, has_cpu_request=True):
    root = Reader(given, "m")
    metric = read_metric(root, has_cpu_request)
    root.finish()
    return metric


def errors(given, **more):
    with pytest.raises(InvalidDescription) as caught:
        read(given, **more)
    return list(caught.value.errors)


def steps(*given, **more):
    return {**QUERY, "steps": list(given), **more}


HOLD = Fallback()
VALID = [
    ({"requests": 50}, Metric("requests", "requests", Target("average_value", 50.0))),
    ({"cpu": 80}, Metric("cpu", "cpu", Target("utilization", 80.0))),
    (QUEUE, Metric("prometheus", "prometheus", Target("average_value", 10.0), query="sum(queue)")),
    (
        {**QUEUE, "per_instance": True, "name": "q", "group": "g", "max_age": "1m", "window_seconds": 30},
        Metric(
            "prometheus", "q", Target("average_value", 10.0), query="sum(queue)", per_instance=True, group="g", max_age=60.0,
            window_seconds=30.0,
        ),
    ),
    (JSON, Metric("json", "json", Target("value", 3.0), url="https://queue.example/", expression="length(jobs)")),
    ({**QUERY, "pass_through": True}, Metric("prometheus", "prometheus", query="sum(queue)", pass_through=True)),
    ({"type": "fixed", "replicas": 6}, Metric("fixed", "fixed", replicas=6)),
    ({"type": "fixed", "replicas": 0, "name": "none"}, Metric("fixed", "none", replicas=0)),
    (
        steps({"below": 10, "percent": -50}, {"at_least": 10, "below": 20.5, "change": 2}, {"at_least": -5, "replicas": 0}, agree=3),
        Metric(
            "prometheus", "prometheus", query="sum(queue)", agree=3,
            steps=(Step(below=10.0, percent=-50), Step(10.0, 20.5, change=2), Step(-5.0, replicas=0)),
        ),
    ),
    (
        {"type": "response_time", "steps": [{"at_least": 1, "change": 1}]},
        Metric("response_time", "response_time", steps=(Step(1.0, change=1),)),
    ),
    (
        FORMULA,
        Metric(
            "formula", "formula", Target("average_value", 10.0), formula="a + b",
            readings={"a": Source("requests", "haproxy"), "b": Source("prometheus", query="up", window_seconds=60.0)},
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), VALID)
def test_metrics(given, expected):
    assert read(given) == expected


@pytest.mark.parametrize(("given", "expected"), VALID)
def test_the_long_form_reads_as_the_same(given, expected):
    assert read(json.loads(json.dumps(dataclasses.asdict(expected)))) == expected
    assert read(dataclasses.asdict(expected)) == expected


@pytest.mark.parametrize(
    ("given", "up", "down"),
    [
        (None, HOLD, HOLD),
        ("hold", HOLD, HOLD),
        ({"kind": "hold"}, HOLD, HOLD),
        ({"last_known": "5m"}, Fallback("last_known", seconds=300.0), Fallback("last_known", seconds=300.0)),
        ({"floor": 4}, Fallback("floor", replicas=4), Fallback("floor", replicas=4)),
        ({"scale_up": {"current_if_higher": 9}}, Fallback("current_if_higher", replicas=9), HOLD),
        (
            {"scale_up": "hold", "scale_down": {"kind": "last_known", "seconds": 60}},
            HOLD,
            Fallback("last_known", seconds=60.0),
        ),
    ],
)
def test_on_missing(given, up, down):
    found = read({**QUEUE, "on_missing": given})
    assert found.on_missing == OnMissing(up, down)
    assert read(json.loads(json.dumps(dataclasses.asdict(found)))) == found


TYPES = "requests, response_time, cpu, prometheus, json, formula, fixed"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, f"m.type: must be one of {TYPES}, but it is missing"),
        ({**QUEUE, "type": "memory"}, f"m.type: must be one of {TYPES}, got 'memory'"),
        ({"type": "prometheus", "target": QUEUE["target"]}, "m.query: must be text, but it is missing"),
        ({**JSON, "query": "up"}, "m.query: belongs to metrics of type prometheus, got 'up'"),
        ({**JSON, "url": "file:///etc/passwd"}, "m.url: must be an http or https URL, got 'file:///etc/passwd'"),
        ({**JSON, "expression": None}, "m.expression: must be text, but it is missing"),
        ({**QUEUE, "expression": "a"}, "m.expression: belongs to metrics of type json, got 'a'"),
        ({**QUEUE, "source": "haproxy"}, "m.source: must be one of prometheus, got 'haproxy'"),
        ({**QUEUE, "target": {"type": "utilization", "value": 1}}, "m.target.type: must be one of average_value, value, got 'utilization'"),
        ({**QUEUE, "target": {"type": "value", "value": 0}}, "m.target.value: must be greater than 0, got 0"),
        ({**QUEUE, "target": {"type": "value", "value": float("inf")}}, "m.target.value: must be a number, greater than 0, got inf"),
        (
            {**QUEUE, "pass_through": True},
            f"m: must have one of target, steps and pass_through, got target and pass_through; the value is, got "
            f"{ {**QUEUE, 'pass_through': True}!r}",
        ),
        ({**QUEUE, "pass_through": "yes"}, "m.pass_through: must be true or false, got 'yes'"),
        ({"type": "cpu", "steps": [{"below": 1, "change": 1}]},
         "m.steps: does not go with type cpu, which has a value for each instance, got [{'below': 1, 'change': 1}]"),
        ({"type": "cpu", "pass_through": True}, "m.pass_through: does not go with type cpu, which has a value for each instance, got True"),
        (
            {"type": "fixed", "replicas": 1, "pass_through": True},
            "m.pass_through: does not go with type fixed, whose count is replicas, got True",
        ),
        ({"type": "fixed"}, "m.replicas: must be a whole number of at least 0, but it is missing"),
        ({"type": "fixed", "replicas": -1}, "m.replicas: must be a whole number of at least 0, got -1"),
        ({**QUEUE, "replicas": 3}, "m.replicas: belongs to metrics of type fixed, got 3"),
        ({**QUEUE, "formula": "a"}, "m.formula: belongs to metrics of type formula, got 'a'"),
        ({**QUEUE, "readings": {"a": {}}}, "m.readings: belongs to metrics of type formula, got {'a': {}}"),
        ({**QUEUE, "agree": 2}, "m.agree: belongs to metrics with steps, got 2"),
        (steps({"below": 1, "change": 1}, agree=0), "m.agree: must be a whole number of at least 1 and at most 20, got 0"),
        (steps({"below": 1, "change": 1}, agree=21), "m.agree: must be a whole number of at least 1 and at most 20, got 21"),
        (steps({"change": 1}), "m.steps[0]: must have a band: at_least, below or both, got {'change': 1}"),
        (steps({"at_least": 5, "below": 5, "change": 1}), "m.steps[0].below: must be greater than at_least, which is 5, got 5"),
        (steps({"below": 5}), "m.steps[0]: must have exactly one of change, percent and replicas, got {'below': 5}"),
        (
            steps({"below": 5, "change": 1, "percent": 1}),
            "m.steps[0]: must have exactly one of change, percent and replicas, got {'below': 5, 'change': 1, 'percent': 1}",
        ),
        (steps({"below": 5, "percent": -101}), "m.steps[0].percent: must be a whole number of at least -100, got -101"),
        (steps({"below": 5, "replicas": -1}), "m.steps[0].replicas: must be a whole number of at least 0, got -1"),
        (steps({"below": 5, "change": 0.5}), "m.steps[0].change: must be a whole number of at least -100000, got 0.5"),
        ({**JSON, "per_instance": True}, "m.per_instance: belongs to metrics of type prometheus with an average_value, got True"),
        (
            {**QUEUE, "per_instance": True, "target": {"type": "value", "value": 1}},
            "m.per_instance: belongs to metrics of type prometheus with an average_value, got True",
        ),
        (
            steps({"below": 5, "change": 1}, per_instance=True),
            "m.per_instance: belongs to metrics of type prometheus with an average_value, got True",
        ),
        (
            {**QUERY, "pass_through": True, "per_instance": True},
            "m.per_instance: belongs to metrics of type prometheus with an average_value, got True",
        ),
        ({**QUEUE, "max_age": 0}, "m.max_age: must be a duration such as 30, 10s or 5m, at least 1 s, got 0"),
        ({**QUEUE, "group": 7}, "m.group: must be text, got 7"),
        (
            {**QUEUE, "on_missing": "zero"},
            "m.on_missing: must be hold, {last_known: SECONDS}, {floor: REPLICAS} or {current_if_higher: REPLICAS}, got 'zero'",
        ),
        (
            {**QUEUE, "on_missing": {}},
            "m.on_missing: must be hold, {last_known: SECONDS}, {floor: REPLICAS} or {current_if_higher: REPLICAS}, got {}",
        ),
        (
            {**QUEUE, "on_missing": {"last_known": 0}},
            "m.on_missing.seconds: must be a duration such as 30, 10s or 5m, at least 1 s, got 0",
        ),
        ({**QUEUE, "on_missing": {"floor": -1}}, "m.on_missing.replicas: must be a whole number of at least 0, got -1"),
        ({**QUEUE, "on_missing": {"scale_up": {"floor": -1}}},
         "m.on_missing.scale_up.replicas: must be a whole number of at least 0, got -1"),
        ({**FORMULA, "formula": None}, "m.formula: must be text, but it is missing"),
        ({**FORMULA, "readings": None}, "m.readings: must be a mapping of names to sources, but it is missing"),
        ({**FORMULA, "readings": {"a-b": {"type": "requests"}}},
         "m.readings.a-b: must have a name of letters, digits and '_', got {'type': 'requests'}"),
        ({**FORMULA, "readings": {"a": {"type": "cpu"}}},
         "m.readings.a.type: must be one of requests, response_time, prometheus, json, got 'cpu'"),
        (
            {**FORMULA, "readings": {"a": {**QUERY, "per_instance": True}}},
            "m.readings.a.per_instance: does not go with a formula, which is over numbers of the whole service, got True",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(given, expected):
    assert errors(given) == [expected]


def test_a_utilization_needs_a_request():
    assert errors({"cpu": 80}, has_cpu_request=False) == [
        "m.target.type: needs run.resources.cpu, which the utilization is a per cent of, got 'utilization'"
    ]
