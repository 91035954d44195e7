# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows and limits of speed; expected values by hand from the rules of the HPA v2. It is 1000 s now."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Behavior
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.stabilization import growth_limit, shrink_limit, stabilize
from ansible_collections.microservices.autoscale.tests.unit.builders import rules
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1000.0


@pytest.mark.parametrize(
    ("recommendation", "current", "log", "up", "down", "expected"),
    [
        # Without windows the recommendation itself.
        (8, 4, [(900, 2)], 0, 0, 8),
        (2, 4, [(900, 8)], 0, 0, 2),
        # Down: the highest of the window.
        (2, 8, [(800, 5)], 0, 300, 5),
        (2, 8, [(600, 8), (701, 2)], 0, 300, 8),
        (2, 8, [(600, 8), (700, 2)], 0, 300, 2),
        (2, 8, [(600, 8), (650, 3), (800, 5), (900, 2)], 0, 300, 5),
        # A higher one in the window does not lift what is there.
        (2, 4, [(900, 9)], 0, 300, 4),
        # Up: the lowest of the window.
        (9, 4, [(900, 6)], 300, 0, 6),
        (9, 4, [(600, 2)], 300, 0, 4),
        (9, 4, [(600, 2), (700, 9)], 300, 0, 9),
        # Both: only as far as every recommendation agrees to.
        (9, 4, [(900, 2)], 300, 300, 4),
        (6, 4, [(900, 8)], 300, 300, 6),
        # Nothing known yet.
        (2, 8, [], 0, 300, 2),
        (9, 4, [], 300, 0, 9),
    ],
)
def test_the_count_moves_only_as_far_as_the_windows_agree(recommendation, current, log, up, down, expected):
    assert stabilize(recommendation, current, History(tuple(log)), Behavior(rules(up), rules(down)), NOW) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(599, 10), (601, 10), (899, 10), (901, 5)])
def test_an_unchanged_recommendation_is_in_force_until_it_changes(seconds, expected):
    """10 is said for ten minutes, then 5: the window of 300 s begins when 10 ended, not when it was first said."""
    history = History().recommending(0, 10, 300)
    for now in range(15, 600, 15):
        history = history.recommending(now, 10, 300)
    history = history.recommending(600, 5, 300)
    assert stabilize(5, 10, history, Behavior(rules(), rules(300)), float(seconds)) == expected


@pytest.mark.parametrize(
    ("current", "events", "policies", "select", "expected"),
    [
        (4, [], [("pods", 4, 15)], "max", 8),
        (100, [], [("percent", 10, 60)], "max", 110),
        (10, [], [("percent", 11, 60)], "max", 12),
        (1, [], [("percent", 1, 60)], "max", 2),
        (3, [], [("pods", 4, 15), ("percent", 100, 15)], "max", 7),
        (5, [], [("pods", 4, 15), ("percent", 100, 15)], "max", 10),
        (5, [], [("pods", 4, 15), ("percent", 100, 15)], "min", 9),
        (5, [], [("pods", 4, 15)], "disabled", 5),
        # What was done within the period counts against it, in both directions; at its very edge no more.
        (8, [(990, 4)], [("pods", 4, 15)], "max", 8),
        (8, [(990, 3)], [("pods", 4, 15)], "max", 9),
        (8, [(985, 4)], [("pods", 4, 15)], "max", 12),
        (4, [(990, -2)], [("pods", 4, 15)], "max", 10),
        (8, [(950, 4), (990, 2)], [("pods", 4, 15), ("pods", 10, 60)], "max", 12),
        (8, [(950, 4), (990, 2)], [("pods", 4, 15), ("pods", 10, 60)], "min", 10),
        # A spent budget means to stay, not to go back.
        (8, [(990, 6)], [("pods", 4, 15)], "max", 8),
    ],
)
def test_growth_limit(current, events, policies, select, expected):
    assert growth_limit(current, History((), tuple(events)), rules(0, *policies, select=select), NOW) == expected


@pytest.mark.parametrize(
    ("current", "events", "policies", "select", "expected"),
    [
        (8, [], [("pods", 3, 60)], "max", 5),
        (10, [], [("percent", 90, 60)], "max", 1),  # floating point gives 0 here
        (9, [], [("percent", 50, 60)], "max", 4),
        (8, [], [("percent", 100, 15)], "max", 0),
        (8, [], [("percent", 150, 15)], "max", 0),
        (8, [], [("pods", 3, 60), ("percent", 50, 60)], "max", 4),
        (8, [], [("pods", 3, 60), ("percent", 50, 60)], "min", 5),
        (8, [], [("pods", 3, 60)], "disabled", 8),
        (5, [(950, -3)], [("pods", 3, 60)], "max", 5),
        (6, [(950, -2)], [("pods", 3, 60)], "max", 5),
        (6, [(940, -2)], [("pods", 3, 60)], "max", 3),
        (4, [(950, -4)], [("percent", 50, 60)], "max", 4),
        (4, [(950, -6)], [("pods", 3, 60)], "max", 4),
    ],
)
def test_shrink_limit(current, events, policies, select, expected):
    assert shrink_limit(current, History((), tuple(events)), rules(0, *policies, select=select), NOW) == expected


POLICIES = st.lists(st.tuples(st.sampled_from(["pods", "percent"]), st.integers(1, 200), st.integers(1, 1800)), min_size=1, max_size=3)
EVENTS = st.lists(st.tuples(st.floats(0, NOW), st.integers(-20, 20)), max_size=5).map(lambda events: tuple(sorted(events)))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 100), EVENTS, POLICIES, st.sampled_from(["max", "min", "disabled"]))
def test_a_limit_never_crosses_what_is_there(current, events, policies, select):
    history, chosen = History((), events), rules(0, *policies, select=select)
    assert shrink_limit(current, history, chosen, NOW) <= current <= growth_limit(current, history, chosen, NOW)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, NOW), st.integers(0, 50)), max_size=6),
    st.integers(0, 3600),
    st.integers(0, 3600),
)
def test_windows_never_move_beyond_the_recommendation_nor_away_from_it(recommendation, current, log, up, down):
    stable = stabilize(recommendation, current, History(tuple(sorted(log))), Behavior(rules(up), rules(down)), NOW)
    assert min(current, recommendation) <= stable <= max(current, recommendation)
