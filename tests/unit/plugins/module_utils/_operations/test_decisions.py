# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions about given observations, without any I/O."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.decisions import offline

TWO_READY = [{"id": "a", "state": "ready"}, {"id": "b", "state": "ready"}]


def desired(policy, observation):
    made = offline({"shop": policy}, {"shop": observation}).facts["decisions"]["shop"]
    return made["kind"], made["desired_replicas"]


def errors(policy, observation):
    with pytest.raises(InvalidDescription) as caught:
        offline({"shop": policy}, {"shop": observation})
    return list(caught.value.errors)


REQUESTS = {"min_replicas": 2, "max_replicas": 20, "metrics": [{"requests": 50}]}
CPU = {"max_replicas": 10, "metrics": [{"cpu": 50}]}


@pytest.mark.parametrize(
    ("policy", "observation", "expected"),
    [
        (REQUESTS, {"current_replicas": 2, "instances": TWO_READY, "readings": [{"value": 260}]}, ("scale_up", 6)),
        (REQUESTS, {"current_replicas": 2, "instances": TWO_READY, "readings": [{"error": "no answer"}]}, ("held", 2)),
        (REQUESTS, {"current_replicas": 2, "instances": TWO_READY, "readings": [{"value": -1}]}, ("held", 2)),
        (REQUESTS, {"current_replicas": 1, "readings": [{"value": 0}]}, ("scale_up", 2)),
        (REQUESTS, {"current_replicas": 0, "readings": [{"value": 0}]}, ("disabled", 0)),
        ({"min_replicas": 1}, {"current_replicas": 1}, ("steady", 1)),
        # Ages count back from now: 4 was recommended within the window of 300 s, so that it goes down to 4 only.
        (
            REQUESTS,
            {
                "current_replicas": 6,
                "instances": TWO_READY,
                "readings": [{"value": 0}],
                "history": {"recommendations": [{"age_seconds": "1m", "replicas": 2}, {"age_seconds": 400, "replicas": 4}]},
            },
            ("scale_down", 4),
        ),
        (
            {"max_replicas": 20, "metrics": [{"requests": 50}]},
            {
                "current_replicas": 6,
                "instances": TWO_READY,
                "readings": [{"value": 1000}],
                "history": {"events": [{"age_seconds": 5, "change": 4}]},
            },
            ("limited", 6),
        ),
        (
            CPU,
            {
                "current_replicas": 2,
                "instances": [{"id": "a", "state": "ready", "request": 1}, {"id": "b", "state": "missing", "request": 1}],
                "readings": [{"values": {"a": 0.2}}],
            },
            ("steady", 2),
        ),
        # Without requests there is no utilization.
        (CPU, {"current_replicas": 2, "instances": TWO_READY, "readings": [{"values": {"a": 1, "b": 1}}]}, ("held", 2)),
        (CPU, {"current_replicas": 2, "instances": TWO_READY, "readings": [{"value": 1}]}, ("held", 2)),
        (
            CPU,
            {
                "current_replicas": 2,
                "instances": [
                    {"id": "a", "state": "ready", "request": 1},
                    {"id": "b", "state": "draining"},
                    {"id": "c", "state": "failed"},
                ],
                "readings": [{"values": {"a": 1.0, "b": 9.0, "c": 9.0}}],
            },
            ("steady", 2),
        ),
    ],
)
def test_decisions(policy, observation, expected):
    assert desired(policy, observation) == expected


ONE = {"current_replicas": 2, "instances": TWO_READY, "readings": [{"value": 1}]}


@pytest.mark.parametrize(
    ("policy", "observation", "expected"),
    [
        (REQUESTS, None, [
            "observations.shop: must be given for each policy, but it is missing",
        ]),
        ({"min_replicas": 0}, {"current_replicas": 1}, [
            "policies.shop.min_replicas: must be at least 1 without a metric of the whole service, "
            "which is there also when no instance is, got 0",
        ]),
        (REQUESTS, {**ONE, "readings": [{"value": 1, "error": "x"}]},
         ["observations.shop.readings[0]: must have exactly one of value, values, samples and error, got {'value': 1, 'error': 'x'}"]),
        (REQUESTS, {**ONE, "instances": [{"id": "a", "state": "up"}]},
         ["observations.shop.instances[0].state: must be one of ready, missing, starting, unready, draining, failed, got 'up'"]),
        (REQUESTS, {**ONE, "replicas": 3},
         ["observations.shop.replicas: is not known or not implemented yet; "
          "allowed here: current_replicas, status_replicas, instances, readings, history, override, schedules, time"]),
        (REQUESTS, {**ONE, "history": {"events": [{"age_seconds": "soon", "change": 1}]}},
         ["observations.shop.history.events[0].age_seconds: must be a duration such as 30, 10s or 5m, at least 0 s, got 'soon'"]),
    ],
)  # fmt: skip
def test_wrong_input_is_told_with_its_path(policy, observation, expected):
    assert errors(policy, observation) == expected


def test_there_is_one_reading_per_metric():
    (error,) = errors(REQUESTS, {**ONE, "readings": []})
    assert error.startswith("observations.shop.readings: must have one reading per metric of the policy, which has 1")


def test_the_errors_of_all_services_come_together():
    with pytest.raises(InvalidDescription) as caught:
        offline({"shop": {"min_replicas": 0}, "cart": {"min_replicas": 0}}, {"shop": ONE, "cart": ONE})
    assert {line.split(".")[1] for line in caught.value.errors if line.startswith("policies")} == {"shop", "cart"}


def test_nothing_is_changed():
    made = offline({"shop": REQUESTS}, {"shop": ONE})
    assert (made.changed, made.facts["problems"]) == (False, {})
