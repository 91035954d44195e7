# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.transaction import fitting
from hypothesis import given


@pytest.mark.parametrize(
    ("sizes", "operations", "size", "count"),
    [
        ([1, 1, 1], None, 10, 3),
        ([1, 1, 1], 2, 10, 2),
        ([4, 4, 4], None, 10, 2),
        ([5, 5], None, 10, 2),
        # One at the least: whoever asks has looked at each of them.
        ([11, 1], None, 10, 1),
        ([1], 0, 10, 1),
    ],
)
def test_as_many_as_fit(sizes, operations, size, count):
    assert fitting(sizes, operations=operations, size=size) == count


@given(st.lists(st.integers(1, 10), min_size=1), st.none() | st.integers(1, 70), st.integers(10, 100))
def test_all_are_sent_within_the_limits_and_no_part_could_take_more(sizes, operations, size):
    left, parts = list(sizes), []
    while left:
        count = fitting(left, operations=operations, size=size)
        parts.append(left[:count])
        left = left[count:]
    assert [one for part in parts for one in part] == sizes
    assert all(part and sum(part) <= size and len(part) <= (operations or len(sizes)) for part in parts)
    for part, following in itertools.pairwise(parts):
        assert len(part) == operations or sum(part) + following[0] > size
