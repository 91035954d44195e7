# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's own arithmetic, and for what it fails."""

from __future__ import annotations

import demo
import pytest

GOOD = {
    "requests_total": 100,
    "requests_failed": 0,
    "requests_5xx": 0,
    "resets": 0,
    "resets_allowed": 0,
    "outcomes": {"ok": 100},
    "replicas_min": 2,
    "replicas_max": 6,
    "scale_outs": 2,
    "scale_ins": 1,
    "p95_seconds_peak": 0.2,
    "p95_seconds_peak_unscaled": 6.0,
    "balancer": {"requests": 100, "5xx": 0, "request_errors": 0, "connection_errors": 0, "response_errors": 0, "retries": 0},
}


def test_points_and_phases_of_a_plan():
    plan = [("base", 8, demo.BASE), ("rise", 12, 120)]
    assert demo.points_of(plan) == [[0, demo.BASE], [8, demo.BASE], [20, 120]]
    assert demo.phases_of(plan) == [("base", 0, 8), ("rise", 8, 20)]


def test_both_loads_are_the_same_up_to_the_peak():
    assert [name for name, _seconds, _rate in demo.SCALED[:3]] == ["base", "rise", "peak"]
    assert demo.SCALED[:2] == demo.UNSCALED[:2]
    assert demo.CROWD == 6 * demo.BASE


@pytest.mark.parametrize(
    ("desired", "changes"),
    [([], (0, 0)), ([2, 2], (0, 0)), ([2, 4, 4, 6, 6, 2], (2, 1)), ([4, 4, 2], (1, 1)), ([3, 4, 3, 2], (2, 2))],
)
def test_changes_of(desired, changes):
    assert demo.changes_of(desired, 2) == changes


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ("\n--- 1\nfatal: old\n\n--- 2\nTASK a\nfatal: new\nRECAP", "fatal: new\nRECAP"),
        ("\n--- 1\nTASK a\n[ERROR]: why\nfatal: x", "[ERROR]: why\nfatal: x"),
        ("\n--- 1\nTASK a\nTASK b", " 1\nTASK a\nTASK b"),
        ("", ""),
    ],
)
def test_failure_in_a_log(log, shown):
    assert demo.failure_in(log) == shown


def test_nothing_to_complain():
    assert demo.problems_of(GOOD, 2) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"requests_failed": 1}, "1 requests failed"),
        ({"resets": 2, "balancer": {**GOOD["balancer"], "requests": 98}}, "2 requests were reset, 0 are allowed"),
        ({"resets": 2, "resets_allowed": 2}, "100 requests were sent, 2 were reset, and the balancer counted 100"),
        ({"balancer": {**GOOD["balancer"], "requests": 99}}, "the balancer counted 99"),
        ({"balancer": {**GOOD["balancer"], "5xx": 1}}, "the balancer counted 1"),
        ({"balancer": {**GOOD["balancer"], "connection_errors": 1}}, "connection_errors"),
        ({"scale_outs": 1}, "1 scale-outs"),
        ({"scale_ins": 0}, "0 scale-ins"),
        ({"replicas_max": 3}, "less than twice"),
        ({"p95_seconds_peak_unscaled": 0.3}, "not clearly above"),
    ],
)
def test_each_fault_is_a_problem(change, words):
    problems = demo.problems_of({**GOOD, **change}, 2)
    assert len(problems) == 1 and words in problems[0]


def test_resets_at_reloads_are_allowed():
    assert demo.problems_of({**GOOD, "resets": 2, "resets_allowed": 9, "balancer": {"requests": 98, "5xx": 0, "reloads": 3}}, 2) == []


def test_replicas_must_end_where_they_began():
    assert demo.problems_of(GOOD, 3) == ["3 replicas are ready at the end, it began with 2"]
