# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arithmetic of the load generator: schedules, percentiles, answers, summaries."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.tests.lab import load

FLASH_CROWD = [[0, 20], [10, 20], [30, 120], [55, 120], [60, 20], [90, 20]]


@pytest.mark.parametrize(
    ("points", "moment", "rate"),
    [
        ([[0, 20], [10, 20]], 0, 20),
        ([[0, 20], [10, 20]], 9.99, 20),
        ([[0, 20], [10, 20]], 10, 0),
        ([[0, 20], [10, 20]], -1, 0),
        ([[0, 0], [10, 100]], 5, 50),
        (FLASH_CROWD, 20, 70),
        (FLASH_CROWD, 30, 120),
        (FLASH_CROWD, 57.5, 70),
    ],
)
def test_rate_at(points, moment, rate):
    assert load.rate_at(points, moment) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0, 1], [3, 1]], [0.5, 1.5, 2.5]),
        ([[0, 0], [4, 2]], [2**0.5, 6**0.5, 10**0.5, 14**0.5]),
        ([[0, 0], [10, 0]], []),
        ([[0, 1], [1, 0], [2, 0], [3, 2]], [1.0, 3.0]),
        # the second request falls just behind a corner of the profile
        ([[0, 1], [1, 1], [2, 3]], [0.5, 1 + (3**0.5 - 1) / 2, 1 + (7**0.5 - 1) / 2]),
    ],
)
def test_arrivals_evenly_spaced(points, expected):
    assert list(load.arrivals(points)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_arrivals_follow_the_area_under_the_profile(seed):
    area = 200 + 1400 + 3000 + 350 + 600
    moments = list(load.arrivals(FLASH_CROWD, seed))
    assert moments == sorted(moments)
    assert moments[0] >= 0 and moments[-1] <= 90
    # a Poisson count of this mean has a standard deviation of 75
    assert len(moments) == pytest.approx(area, abs=1 if seed is None else 300)


def test_arrivals_repeat_with_their_seed():
    assert list(load.arrivals(FLASH_CROWD, 7)) == list(load.arrivals(FLASH_CROWD, 7))
    assert list(load.arrivals(FLASH_CROWD, 7)) != list(load.arrivals(FLASH_CROWD, 8))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.95, None), ([3.0], 0.95, 3.0), (range(1, 101), 0.95, 95), (range(1, 101), 0.5, 50), ([2, 1], 0.95, 2), ([2, 1], 0.01, 1)],
)
def test_percentile(values, share, expected):
    assert load.percentile(list(values), share) == expected


@pytest.mark.parametrize(
    ("method", "status", "body", "outcome"),
    [
        ("GET", 200, b'{"nonce": "n", "instance": "a"}', None),
        ("POST", 201, b'{"nonce": "n", "instance": "a"}', None),
        ("POST", 200, b'{"nonce": "n", "instance": "a"}', "wrong"),
        ("GET", 200, b'{"nonce": "m", "instance": "a"}', "wrong"),
        ("GET", 200, b'{"nonce": "n"}', "wrong"),
        ("GET", 200, b"[]", "wrong"),
        ("GET", 200, b"<html>", "wrong"),
        ("GET", 404, b"", "wrong"),
        ("GET", 302, b"", "wrong"),
        ("GET", 500, b"", "5xx"),
        ("GET", 503, b'{"nonce": "n", "instance": "a"}', "5xx"),
    ],
)
def test_check_answer(method, status, body, outcome):
    if outcome is None:
        assert load.check_answer(method, status, body, "n") == "a"
    else:
        with pytest.raises(load.Failure) as failure:
            load.check_answer(method, status, body, "n")
        assert failure.value.outcome == outcome


def test_result_counts_by_phase_and_outcome():
    config = load.LoadConfig("127.0.0.1", 1, [[0, 1], [3, 1]], phases=[("a", 0, 1), ("b", 1, 2)])
    records = [
        load.Record(0.0, "GET", 0.1, 200, "x"),
        load.Record(0.999, "POST", 0.3, 503, "", "5xx"),
        load.Record(1.0, "GET", 0.2, 0, "", "reset"),
        load.Record(2.5, "GET", 9.0, 0, "", "timeout"),
    ]
    result = load.result_of(config, records, 100.0, 3.0, [])
    assert (result["requests_total"], result["requests_post"]) == (4, 1)
    assert (result["requests_failed"], result["requests_5xx"], result["resets"]) == (2, 1, 1)
    assert result["outcomes"] == {"ok": 1, "5xx": 1, "reset": 1, "timeout": 1}
    assert result["phases"]["a"]["requests_total"] == 2 and result["phases"]["a"]["p95_seconds"] == 0.3
    assert result["phases"]["b"]["requests_failed"] == 0 and result["phases"]["b"]["resets"] == 1
    assert [example["outcome"] for example in result["examples"]] == ["5xx", "reset", "timeout"]
    assert result["instances"] == {"x": 1}
