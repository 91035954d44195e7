# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a decision leaves in the history."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.bookkeeping import decided, scaled
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import Failure, History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Fallback, Metric, OnMissing, Step, Target
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, failed, metric, observed, policy, rules, value

QUEUE = metric("prometheus", value=10, name="queue")
KNOWN = Fallback("last_known", seconds=60)
REMEMBERED = dataclasses.replace(QUEUE, on_missing=OnMissing(scale_up=KNOWN))
AGREEING = Metric("prometheus", "queue", steps=(Step(at_least=50, change=1),), agree=3)


def after(of, reading, history=History(), **more):  # noqa: B008
    of = policy(of, down=rules(300), **more)
    return decided(history, of, decide("shop", of, observed(4, reading, history=history), NOW), NOW)


@pytest.mark.parametrize(
    ("before", "load", "expected"),
    [
        ((), 80, ((NOW, 8),)),
        (((NOW - 10, 8),), 80, ((NOW - 10, 8),)),
        (((NOW - 10, 8),), 90, ((NOW - 10, 8), (NOW, 9))),
        # The last one before the window is in force at its beginning.
        (((NOW - 900, 2), (NOW - 500, 8)), 80, ((NOW - 500, 8),)),
        (((NOW - 900, 2), (NOW - 500, 8), (NOW - 300, 7), (NOW - 299, 6)), 80, ((NOW - 300, 7), (NOW - 299, 6), (NOW, 8))),
    ],
)
def test_changes_of_the_recommendation_only(before, load, expected):
    assert after(QUEUE, value(float(load)), History(before)).recommendations == expected


def test_the_count_that_is_held_is_a_recommendation_too():
    assert after(QUEUE, failed(), History(((NOW - 10, 1),))).recommendations == ((NOW - 10, 1), (NOW, 4))


@pytest.mark.parametrize(
    ("of", "reading", "before", "known"),
    [
        (REMEMBERED, value(80.0), {}, {"queue": 8}),
        (REMEMBERED, value(80.0), {"queue": 2}, {"queue": 8}),
        (REMEMBERED, failed(), {"queue": 2}, {"queue": 2}),
        (REMEMBERED, failed(), {}, {}),
        # Kept where a policy falls back on it only; what no policy knows any more goes.
        (QUEUE, value(80.0), {"queue": 2}, {}),
        (REMEMBERED, value(80.0), {"queue": 2, "gone": 3}, {"queue": 8}),
        # What stands in is no good proposal.
        (dataclasses.replace(QUEUE, on_missing=OnMissing(Fallback("floor", replicas=9), KNOWN)), failed(), {"queue": 2}, {"queue": 2}),
    ],
)
def test_the_last_good_proposal(of, reading, before, known):
    assert after(of, reading, History(known=before)).known == known


@pytest.mark.parametrize(
    ("reading", "before", "failing"),
    [
        (failed(), {}, {"queue": Failure(NOW, 1)}),
        (failed(), {"queue": Failure(NOW - 60, 4)}, {"queue": Failure(NOW - 60, 5)}),
        (value(float("nan")), {"queue": Failure(NOW - 60, 4)}, {"queue": Failure(NOW - 60, 5)}),
        (value(40.0), {"queue": Failure(NOW - 60, 4)}, {}),
        (value(40.0), {"gone": Failure(NOW - 60, 4)}, {}),
    ],
)
def test_failures(reading, before, failing):
    assert after(QUEUE, reading, History(failing=before)).failing == failing


@pytest.mark.parametrize(
    ("of", "reading", "before", "samples"),
    [
        (AGREEING, value(60.0), {}, {"queue": (60.0,)}),
        (AGREEING, value(60.0), {"queue": (1.0,)}, {"queue": (1.0, 60.0)}),
        (AGREEING, value(60.0), {"queue": (1.0, 2.0)}, {"queue": (2.0, 60.0)}),
        (AGREEING, failed(), {"queue": (1.0, 2.0)}, {"queue": ()}),
        (QUEUE, value(60.0), {"queue": (1.0, 2.0)}, {}),
    ],
)
def test_readings_that_have_to_agree_are_kept(of, reading, before, samples):
    assert after(of, reading, History(samples=before)).samples == samples


@pytest.mark.parametrize(
    ("of", "seen_now"),
    [
        (policy(QUEUE, low=9), observed(4, value(0.0))),
        (policy(QUEUE), observed(None, value(0.0))),
        (policy(QUEUE), observed(0, value(50.0))),
        (policy(), observed(4)),
        (policy(QUEUE), observed(4, value(0.0), history=History(((NOW + 60, 1),)))),
    ],
)
def test_where_no_metric_was_asked_nothing_changes(of, seen_now):
    history = dataclasses.replace(seen_now.history, known={"queue": 2}, failing={"queue": Failure(NOW - 9)}, samples={"queue": (1.0,)})
    assert decided(history, of, decide("shop", of, dataclasses.replace(seen_now, history=history), NOW), NOW) == history


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        # The first count is a recommendation, as the HPA seeds its log, and no change.
        (None, 3, History(((NOW, 3),))),
        (2, 5, History(events=((NOW, 3),))),
        (5, 2, History(events=((NOW, -3),))),
        (2, 0, History(events=((NOW, -2),), scaled_to_zero=True)),
    ],
)
def test_changes_of_the_scale(before, count, expected):
    assert scaled(History(), policy(QUEUE, down=rules(300)), before, count, NOW) == expected


def test_growing_from_zero_ends_that_it_was_decided():
    assert scaled(History(scaled_to_zero=True), policy(), 0, 2, NOW).scaled_to_zero is False


def test_events_are_kept_for_the_longest_window():
    of = policy(Metric("prometheus", "queue", Target("value", 1.0)), up=rules(0, ("pods", 1, 1800)))
    history = History(events=((NOW - 1800, 1), (NOW - 1799, 2)))
    assert scaled(history, of, 2, 3, NOW).events == ((NOW - 1799, 2), (NOW, 1))
