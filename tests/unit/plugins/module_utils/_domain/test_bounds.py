# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bounds and pauses in force."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.bounds import bounds
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import ActiveSchedule, Override
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, observed, policy


def in_force(*schedules, override=None, pause="none", next_change=None):
    of = dataclasses.replace(policy(low=2, high=10), pause=pause)
    return bounds(of, observed(4, schedules=schedules, override=override, next_change=next_change), NOW)


def day(**more):
    return ActiveSchedule("day", **more)


def sale(**more):
    return ActiveSchedule("sale", **more)


def by_hand(low=None, high=None, pause="none", expires=NOW + 60):
    return Override(low, high, expires, pause)


@pytest.mark.parametrize(
    ("schedules", "override", "expected"),
    [
        ([], None, (2, 10)),
        ([day(min_replicas=5)], None, (5, 10)),
        ([day(max_replicas=5)], None, (2, 5)),
        ([day(replicas=7)], None, (7, 7)),
        # Beyond the policy's own bounds, which give way.
        ([day(min_replicas=20)], None, (20, 20)),
        ([day(max_replicas=1)], None, (1, 1)),
        ([day(replicas=0)], None, (0, 0)),
        ([day(min_replicas=3, max_replicas=30)], None, (3, 30)),
        # Of several the last in the list wins, field by field.
        ([day(min_replicas=5), sale(min_replicas=3)], None, (3, 10)),
        ([day(min_replicas=5), sale(max_replicas=20)], None, (5, 20)),
        ([day(min_replicas=5, max_replicas=6), sale(max_replicas=20)], None, (5, 20)),
        ([day(replicas=7), sale(min_replicas=9)], None, (9, 9)),
        ([day(min_replicas=9), sale(replicas=3)], None, (3, 3)),
        ([day(min_replicas=9), sale(max_replicas=4)], None, (4, 4)),
        # By hand, inside those.
        ([], by_hand(low=5), (5, 10)),
        ([], by_hand(high=5), (2, 5)),
        ([], by_hand(low=50), (10, 10)),
        ([], by_hand(high=1), (2, 2)),
        ([], by_hand(low=6, high=3), (3, 3)),
        ([day(min_replicas=5, max_replicas=20)], by_hand(high=3), (5, 5)),
        ([day(min_replicas=5, max_replicas=20)], by_hand(low=15), (15, 20)),
        ([], by_hand(low=5, expires=NOW), (2, 10)),
    ],
)
def test_bounds(schedules, override, expected):
    assert in_force(*schedules, override=override)[:2] == expected


@pytest.mark.parametrize(
    ("pause", "schedules", "override", "expected"),
    [
        ("none", [], None, {}),
        ("scale_down", [], None, {"scale_down": "pause"}),
        ("both", [], None, {"scale_up": "pause", "scale_down": "pause"}),
        ("none", [day(pause="scale_up")], None, {"scale_up": "schedules.day.pause"}),
        ("scale_down", [day(pause="scale_up")], None, {"scale_down": "pause", "scale_up": "schedules.day.pause"}),
        ("none", [day(pause="both"), sale(pause="none")], None, {"scale_up": "schedules.day.pause", "scale_down": "schedules.day.pause"}),
        ("none", [], by_hand(pause="scale_down"), {"scale_down": "override.pause"}),
        ("none", [], by_hand(pause="both", expires=NOW), {}),
    ],
)
def test_pauses_add_up(pause, schedules, override, expected):
    assert in_force(*schedules, override=override, pause=pause).pauses == expected


def test_what_moved_a_bound_is_told_in_order():
    # The override would lower the minimum, and moves nothing.
    moved = in_force(day(min_replicas=5), sale(replicas=20), override=by_hand(low=3)).moved
    assert [tuple(limit) for limit in moved] == [
        ("schedules.day.min_replicas", 2, 5),
        ("schedules.sale.replicas", 5, 20),
    ]


@pytest.mark.parametrize(
    ("next_change", "override", "expected"),
    [
        (None, None, None),
        (NOW + 30, None, NOW + 30),
        (None, by_hand(), NOW + 60),
        (NOW + 30, by_hand(), NOW + 30),
        (NOW + 90, by_hand(), NOW + 60),
        (NOW + 90, by_hand(expires=NOW), NOW + 90),
    ],
)
def test_until_when_they_hold(next_change, override, expected):
    assert in_force(override=override, next_change=next_change).until == expected
