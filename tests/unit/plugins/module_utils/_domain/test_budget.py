# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.budget import Allowance, Budget, share
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from hypothesis import given
from hypothesis import strategies as st


def counts(grants):
    return {service: grant.instances for service, grant in grants.items()}


@pytest.mark.parametrize(
    ("wanted", "most", "expected"),
    [
        ({"a": 3, "b": 1}, None, {"a": 3, "b": 1}),
        ({"a": 3, "b": 1}, 4, {"a": 3, "b": 1}),
        # One in turn: the one that wants a lot does not keep the other waiting.
        ({"a": 9, "b": 1}, 4, {"a": 3, "b": 1}),
        ({"a": 9, "b": 9, "c": 9}, 4, {"a": 2, "b": 1, "c": 1}),
        ({"a": 0, "b": 2}, 1, {"a": 0, "b": 1}),
        ({"a": 2}, 0, {"a": 0}),
        ({}, 3, {}),
    ],
)
def test_shares(wanted, most, expected):
    assert share(wanted, most) == expected


@pytest.mark.parametrize(
    ("limits", "adds", "takes", "expected"),
    [
        ({}, {"a": 50}, {"b": 50}, ({"a": 50}, {"b": 10})),
        ({"max_additions": 3}, {"a": 2, "b": 2}, {}, ({"a": 2, "b": 1}, {})),
        # Additions have no part in the limit of removals.
        ({"max_removals": 2, "max_additions": 2}, {"a": 2}, {"b": 2}, ({"a": 2}, {"b": 2})),
        # 20 per cent of 10 are 2, for both together; of 4 it is less than 1.
        ({"max_percent": 20}, {"a": 1}, {"b": 5}, ({"a": 1}, {"b": 1})),
        ({"max_percent": 20}, {"a": 2}, {"b": 5}, ({"a": 2}, {"b": 0})),
        ({"max_percent": 1}, {"a": 0}, {"b": 5}, ({"a": 0}, {"b": 1})),
        ({"max_percent": 100, "max_removals": 1}, {}, {"b": 5}, ({}, {"b": 1})),
        # A service that grows may shrink as well: it is one.
        ({"max_services": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1}, ({"a": 1, "b": 0}, {"a": 1, "b": 0})),
        ({"max_services": 2}, {"b": 1}, {"a": 1, "b": 1, "c": 1}, ({"b": 1}, {"a": 1, "b": 1, "c": 0})),
        ({"max_services": 0}, {"a": 1}, {"b": 1}, ({"a": 0}, {"b": 0})),
        # A service that got nothing has not used up its place.
        ({"max_services": 1, "max_additions": 0}, {"a": 1}, {"b": 1}, ({"a": 0}, {"b": 1})),
    ],
)
def test_limits(limits, adds, takes, expected):
    allowance = Allowance(Budget(**limits), 10)
    assert (counts(allowance.additions(adds)), counts(allowance.removals(takes))) == expected


def test_what_was_begun_counts():
    assert counts(Allowance(Budget(max_removals=3), 10).removals({"a": 5}, begun=2)) == {"a": 1}
    assert counts(Allowance(Budget(max_percent=10), 10).removals({"a": 5}, begun=4)) == {"a": 0}


@pytest.mark.parametrize(
    ("limits", "note"),
    [
        ({"max_additions": 2}, "3 instances wait for the next run: at most 2 are added to the fleet per run"),
        ({"max_additions": 4}, "1 instance waits for the next run: at most 4 are added to the fleet per run"),
        ({"max_percent": 20}, "3 instances wait for the next run: at most 2 are added or leave, 20 per cent of the fleet, per run"),
        ({"max_services": 0}, "5 instances wait for the next run: at most 0 services are changed per run"),
        ({}, None),
    ],
)
def test_what_waits_is_said(limits, note):
    assert Allowance(Budget(**limits), 10).additions({"a": 5})["a"].note == note


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_removals": -1}, "max_removals: must be at least 0, got -1"),
        ({"max_additions": -2}, "max_additions: must be at least 0, got -2"),
        ({"max_services": -1}, "max_services: must be at least 0, got -1"),
        ({"max_percent": 0}, "max_percent: must be from 1 to 100, got 0"),
        ({"max_percent": 101}, "max_percent: must be from 1 to 100, got 101"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(limits, says):
    with pytest.raises(AutoscaleError) as refused:
        Budget(**limits)
    assert refused.value.message == says


LIMIT = st.none() | st.integers(0, 6)
WANTED = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5))


@given(st.builds(Budget, LIMIT, LIMIT, LIMIT, st.none() | st.integers(1, 100)), st.integers(0, 40), WANTED, WANTED)
def test_no_limit_is_ever_passed_and_nobody_gets_more_than_wanted(budget, size, adds, takes):
    allowance = Allowance(budget, size)
    added, removed = counts(allowance.additions(adds)), counts(allowance.removals(takes))
    assert added.keys() == adds.keys() and removed.keys() == takes.keys()
    assert all(0 <= added[name] <= adds[name] for name in adds) and all(0 <= removed[name] <= takes[name] for name in takes)
    for done, most in ((added, budget.max_additions), (removed, budget.max_removals)):
        assert most is None or sum(done.values()) <= most
    changed = {name for done in (added, removed) for name, count in done.items() if count}
    assert budget.max_services is None or len(changed) <= budget.max_services
    if budget.max_percent is not None:
        assert sum(added.values()) + sum(removed.values()) <= max(1, size * budget.max_percent // 100)
