# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Observation, Override
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("recommendations", "start", "expected"),
    [
        ((), 0, ()),
        (((10, 5),), 20, (5,)),
        (((10, 5),), 10, (5,)),
        (((10, 5),), 0, (5,)),
        (((10, 5), (20, 3)), 15, (5, 3)),
        (((10, 5), (20, 3)), 20, (3,)),
        (((10, 5), (20, 3), (30, 4)), 5, (5, 3, 4)),
    ],
)
def test_a_recommendation_is_in_force_until_the_next(recommendations, start, expected):
    assert History(recommendations).recommended_since(start) == expected


@pytest.mark.parametrize(
    ("before", "now", "replicas", "after"),
    [
        ((), 100, 5, ((100, 5),)),
        (((90, 5),), 100, 5, ((90, 5),)),
        (((90, 5),), 100, 6, ((90, 5), (100, 6))),
        # In force at the beginning of the window, so that it stays; what was before it goes.
        (((10, 4), (20, 5)), 100, 5, ((20, 5),)),
        (((10, 4), (20, 5), (60, 6)), 100, 7, ((20, 5), (60, 6), (100, 7))),
    ],
)
def test_only_changes_are_kept_and_only_for_so_long(before, now, replicas, after):
    assert History(before).recommending(now, replicas, 50).recommendations == after


def test_events_are_kept_for_so_long():
    assert History((), ((40, 1), (50, 2), (51, -3))).scaled(100, 4, 50).events == ((51, -3), (100, 4))


def test_a_recommendation_prunes_the_events_too():
    assert History((), ((40, 1), (60, 2))).recommending(100, 4, 50) == History(((100, 4),), ((60, 2),))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=30), st.integers(1, 300))
def test_the_short_history_says_the_same_as_the_whole_log(steps, window):
    """Storing changes only, pruned, loses nothing of what a window asks for: each value from its time until the next one's."""
    short, log, now = History(), [], 0
    for pause, replicas in steps:
        now += pause
        short = short.recommending(now, replicas, window)
        log.append((now, replicas))
    ends = [time for time, _replicas in log[1:]] + [now + 1]
    in_force = {replicas for (_time, replicas), end in zip(log, ends, strict=True) if end > now - window}
    assert set(short.recommended_since(now - window)) == in_force


@pytest.mark.parametrize(("now", "expected"), [(99.9, True), (100, False), (101, False)])
def test_an_override_ends(now, expected):
    assert Override(expires=100).in_force(now) is expected


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        (seen.READY, 1),
        (seen.STARTING, 1),
        (seen.SUSPECT, 1),
        (seen.PARKED, 1),
        (seen.UNHEALTHY, 0),
        (seen.LOST, 0),
        (seen.DRAINING, 0),
    ],
)
def test_which_instances_are_there(state, counted):
    assert Observation(1, {"a": state}).status_replicas == counted
