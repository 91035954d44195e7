# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.traffic import ERRORS, Traffic
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.none() | st.integers(0, 10000).map(lambda number: number / 10)
TRAFFIC = st.builds(
    Traffic,
    request_rate=NUMBERS,
    error_rates=st.dictionaries(st.sampled_from(ERRORS), st.floats(0, 1000)),
    response_seconds=NUMBERS,
    in_flight=NUMBERS,
    queued=NUMBERS,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Traffic(), Traffic(), Traffic()),
        # What one does not tell is what the other says.
        (Traffic(request_rate=2, in_flight=1), Traffic(request_rate=3), Traffic(request_rate=5, in_flight=1)),
        (Traffic(error_rates={"5xx": 1}), Traffic(error_rates={"5xx": 2, "4xx": 0}), Traffic(error_rates={"4xx": 0, "5xx": 3})),
        # Weighed by requests.
        (
            Traffic(request_rate=3, response_seconds=0.1),
            Traffic(request_rate=1, response_seconds=0.5),
            Traffic(request_rate=4, response_seconds=0.2),
        ),
        (Traffic(request_rate=3), Traffic(request_rate=1, response_seconds=0.5), Traffic(request_rate=4, response_seconds=0.5)),
        (Traffic(response_seconds=0.1), Traffic(response_seconds=0.5), Traffic(response_seconds=0.1)),
    ],
)
def test_several_balancers_are_added_up(one, other, expected):
    total = one + other
    assert total.response_seconds == pytest.approx(expected.response_seconds)
    assert total == dataclasses.replace(expected, response_seconds=total.response_seconds)


@given(TRAFFIC, TRAFFIC)
def test_nothing_becomes_unknown_and_a_mean_lies_between(one, other):
    total = one + other
    for name in ("request_rate", "response_seconds", "in_flight", "queued"):
        known = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        assert (getattr(total, name) is None) == (not known)
        if name == "response_seconds" and known:
            assert min(known) - 1e-9 <= total.response_seconds <= max(known) + 1e-9
    assert set(total.error_rates) == {*one.error_rates, *other.error_rates}
    assert Traffic() + one == one
