# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ADR 7 lists: the HPA's answer stands beside ours in each case."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.decisions import offline


def instances(*states, **more):
    return [{"id": f"i{number}", "state": state, **more} for number, state in enumerate(states)]


def limited(direction, kind, value):
    at_once = {"scale_up": {"stabilization_window_seconds": 0}, "scale_down": {"stabilization_window_seconds": 0}}
    return {**at_once, direction: {**at_once[direction], "policies": [{"type": kind, "value": value, "period_seconds": 60}]}}


def by_instance(target):
    return {"type": "prometheus", "query": "q", "per_instance": True, "target": {"type": "average_value", "value": target}}


BY_VALUE = {"max_replicas": 50, "metrics": [{"response_time": 0.25}]}
REQUESTS = {"max_replicas": 500, "metrics": [{"requests": 1}]}
FREELY = limited("scale_up", "percent", 1000)

CASES = {
    "integers, 26": (
        {"max_replicas": 50, "metrics": [by_instance(11)], "behavior": FREELY},
        {"current_replicas": 11, "instances": instances(*["ready"] * 11), "readings": [{"values": {f"i{n}": 25 for n in range(11)}}]},
        ("scale_up", 25),
    ),
    "per cent up, 111": (
        {**REQUESTS, "behavior": limited("scale_up", "percent", 10)},
        {"current_replicas": 100, "status_replicas": 100, "readings": [{"value": 400}]},
        ("scale_up", 110),
    ),
    "per cent down, 0": (
        {**REQUESTS, "min_replicas": 0, "behavior": limited("scale_down", "percent", 90)},
        {"current_replicas": 10, "status_replicas": 10, "readings": [{"value": 0}]},
        ("scale_down", 1),
    ),
    "a millionth, 2": (
        {"max_replicas": 50, "metrics": [by_instance(0.001)]},
        {"current_replicas": 2, "instances": instances("ready", "ready"), "readings": [{"values": {"i0": 0.0015, "i1": 0.0015}}]},
        ("scale_up", 3),
    ),
    "from zero by per cent, 0": (
        {**REQUESTS, "min_replicas": 0, "behavior": limited("scale_up", "percent", 10)},
        {"current_replicas": 0, "readings": [{"value": 9}], "history": {"scaled_to_zero": True}},
        ("scale_up", 1),
    ),
    "without behavior, 4": (REQUESTS, {"current_replicas": 1, "status_replicas": 1, "readings": [{"value": 100}]}, ("scale_up", 5)),
    "without metrics, by CPU": ({"max_replicas": 9}, {"current_replicas": 7}, ("steady", 7)),
    "a value and nothing ready, 0": (
        {**BY_VALUE, "min_replicas": 1},
        {"current_replicas": 2, "instances": instances("starting", "starting"), "readings": [{"value": 9}]},
        ("held", 2),
    ),
    "a value and some draining, 8": (
        {**BY_VALUE, "behavior": FREELY},
        {"current_replicas": 2, "instances": instances("ready", "ready", "draining", "draining"), "readings": [{"value": 0.5}]},
        ("scale_up", 4),
    ),
    "negative, 1": (REQUESTS, {"current_replicas": 4, "status_replicas": 4, "readings": [{"value": -1}]}, ("held", 4)),
    "old, 1": (REQUESTS, {"current_replicas": 4, "status_replicas": 4, "readings": [{"value": 1, "age_seconds": 301}]}, ("held", 4)),
    "failing, 4": (
        {"max_replicas": 9, "metrics": [{"type": "requests", "target": {"value": 1}, "on_missing": {"floor": 6}}]},
        {"current_replicas": 4, "status_replicas": 4, "readings": [{"error": "no answer"}]},
        ("scale_up", 6),
    ),
    "no request where it is ignored, an error": (
        {"max_replicas": 9, "metrics": [{"cpu": 50}]},
        {
            "current_replicas": 1,
            "instances": [{"id": "i0", "state": "ready", "request": 1}, {"id": "i1", "state": "failed"}],
            "readings": [{"values": {"i0": 1.0, "i1": 1.0}}],
        },
        ("scale_up", 2),
    ),
    "an old recommendation is still in force, 1": (
        {**REQUESTS, "min_replicas": 1},
        {
            "current_replicas": 6,
            "status_replicas": 6,
            "readings": [{"value": 0}],
            "history": {"recommendations": [{"age_seconds": 900, "replicas": 4}]},
        },
        ("scale_down", 4),
    ),
    "a time in the future, 1": (
        REQUESTS,
        {
            "current_replicas": 6,
            "status_replicas": 6,
            "readings": [{"value": 0}],
            "history": {"recommendations": [{"age_seconds": -60, "replicas": 4}]},
        },
        ("held", 6),
    ),
    "0 by hand with a minimum of 0, 0": (
        {**REQUESTS, "min_replicas": 0},
        {"current_replicas": 0, "readings": [{"value": 3}]},
        ("scale_up", 3),
    ),
    "paused below the minimum": (
        {**REQUESTS, "min_replicas": 2, "pause": "both"},
        {"current_replicas": 1, "status_replicas": 1, "readings": [{"value": 9}]},
        ("scale_up", 2),
    ),
    "a schedule goes beyond the bounds": (
        {"max_replicas": 5, "metrics": [{"requests": 1}]},
        {
            "current_replicas": 5,
            "status_replicas": 5,
            "readings": [{"value": 5}],
            "schedules": [{"name": "sale", "min_replicas": 8}],
        },
        ("scale_up", 8),
    ),
    "an override does not": (
        {"max_replicas": 5, "metrics": [{"requests": 1}]},
        {
            "current_replicas": 4,
            "status_replicas": 4,
            "readings": [{"value": 4}],
            "override": {"min_replicas": 8, "expires_in_seconds": 60},
        },
        ("scale_up", 5),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_difference_is_as_the_adr_has_it(name):
    scale, seen, expected = CASES[name]
    made = offline({"shop": scale}, {"shop": seen}).facts["decisions"]["shop"]
    assert (made["kind"], made["desired_replicas"]) == expected


def test_a_held_run_recommends_the_count():
    seen = {"current_replicas": 4, "status_replicas": 4, "readings": [{"error": "no answer"}]}
    assert offline({"shop": REQUESTS}, {"shop": seen}).facts["decisions"]["shop"]["recommendation"] == 4


def test_a_tolerance_holds_at_its_very_edge():
    scale = {**REQUESTS, "metrics": [{"requests": 1000}], "behavior": {"scale_up": {"tolerance": 0.711}}}
    seen = {"current_replicas": 1, "status_replicas": 1}
    decided = [
        offline({"shop": scale}, {"shop": {**seen, "readings": [{"value": value}]}}).facts["decisions"]["shop"] for value in (1711, 1712)
    ]
    assert [one["desired_replicas"] for one in decided] == [1, 2]
