# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions about given observations of a policy with schedules."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.decisions import offline

FAIR = {"name": "fair", "start": "2026-12-24T18:00", "end": "2026-12-27", "time_zone": "Europe/Berlin", "min_replicas": 12}
NIGHT = {"name": "night", "cron": "0 22 * * *", "duration_seconds": "8h", "time_zone": "Europe/Berlin", "max_replicas": 3}
POLICY = {"min_replicas": 2, "max_replicas": 8, "schedules": [FAIR, NIGHT]}
FIVE = {"current_replicas": 5}


def decided(policy, observation):
    return offline({"shop": policy}, {"shop": observation}).facts["decisions"]["shop"]


def errors(policy, observation):
    with pytest.raises(InvalidDescription) as caught:
        decided(policy, observation)
    return list(caught.value.errors)


@pytest.mark.parametrize(
    ("time", "desired", "reason", "until"),
    [
        ("2026-12-23T12:00:00+01:00", 5, "no metrics: the count is kept", 36000.0),
        ("2026-12-23T22:00:00+01:00", 3, "max_replicas is 3 (schedules.night.max_replicas)", None),
        ("2026-12-23T21:00:00Z", 3, "max_replicas is 3 (schedules.night.max_replicas)", None),
        ("2026-12-24T17:59:59+01:00", 5, "no metrics: the count is kept", 1.0),
        ("2026-12-24T18:00:00+01:00", 12, "min_replicas is 12 (schedules.fair.min_replicas)", None),
        # Of two that are active, the last in the list wins.
        ("2026-12-25T03:00:00+01:00", 3, "max_replicas is 3 (schedules.night.max_replicas)", None),
    ],
)
def test_the_schedules_of_the_policy_are_evaluated_at_the_time_given(time, desired, reason, until):
    made = decided(POLICY, {**FIVE, "time": time})
    assert (made["desired_replicas"], made["reason"]) == (desired, reason)
    if until is not None:
        assert made["earliest_change_seconds"] == until


def test_what_is_active_may_be_given_instead():
    assert decided(POLICY, {**FIVE, "schedules": [{"name": "night", "max_replicas": 4}]})["desired_replicas"] == 4
    assert decided(POLICY, {**FIVE, "schedules": []})["desired_replicas"] == 5


def test_a_time_does_no_harm_where_there_are_no_schedules():
    assert decided({"max_replicas": 8}, {**FIVE, "time": "2026-12-23T12:00:00Z"})["desired_replicas"] == 5


_TIME = "a time with an offset, such as '2026-12-24T18:00:00+01:00'"


@pytest.mark.parametrize(
    ("policy", "observation", "expected"),
    [
        (POLICY, FIVE, [
            f"observations.shop.time: must be given as {_TIME} where the policy has schedules; "
            "or else schedules, those that are active, but it is missing"
        ]),
        (POLICY, {**FIVE, "time": "2026-12-24T18:00:00"}, [f"observations.shop.time: must be {_TIME}, got '2026-12-24T18:00:00'"]),
        (POLICY, {**FIVE, "time": 5}, [f"observations.shop.time: must be {_TIME}, got 5"]),
        (POLICY, {**FIVE, "time": "Z"}, [f"observations.shop.time: must be {_TIME}, got 'Z'"]),
        (POLICY, {**FIVE, "time": "9999-12-31T23:59:59-01:00"},
         [f"observations.shop.time: must be {_TIME}, got '9999-12-31T23:59:59-01:00'"]),
        (POLICY, {**FIVE, "time": "2026-12-24T18:00:00Z", "schedules": []},
         ["observations.shop.schedules: must not be given together with time, at which those of the policy are evaluated, got []"]),
        ({**POLICY, "schedules": [{**NIGHT, "cron": "0 25 * * *"}]}, {**FIVE, "schedules": []},
         ["policies.shop.schedules[0].cron: must be a cron expression (minute, hour, day of month, month, day of week), "
          "got '0 25 * * *': Bad hour"]),
        ({"metrics": [{"type": "formula", "formula": "a.b", "readings": {"a": {"type": "prometheus", "query": "a"}},
                       "pass_through": True}]},
         {**FIVE, "readings": [{"value": 1}]},
         ["policies.shop.metrics[0].formula: the formula 'a.b' is more than arithmetic: getattr is not allowed"]),
    ],
)  # fmt: skip
def test_wrong_input_is_told_with_its_path(policy, observation, expected):
    assert errors(policy, observation) == expected
