# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.retries import Failure, pause, retry_after_of
from hypothesis import given

LOST = Failure(undone=False, passing=False)
UNSENT = Failure(undone=True, passing=False)
LIMITED = Failure(undone=True, passing=True)


@pytest.mark.parametrize(
    ("failure", "attempt", "left", "repeatable", "again"),
    [
        (LOST, 1, 10, True, True),
        (LOST, 1, 10, False, False),
        (LOST, 3, 10, True, False),
        (UNSENT, 2, 10, False, True),
        (UNSENT, 3, 10, False, False),
        (LIMITED, 30, 10, False, True),
        (LIMITED, 1, 0.05, False, False),
        (LIMITED._replace(retry_after=5), 1, 10, False, True),
        (LIMITED._replace(retry_after=11), 1, 10, False, False),
    ],
)
def test_when_a_request_is_sent_again(failure, attempt, left, repeatable, again):
    assert (pause(failure, attempt=attempt, left=left, repeatable=repeatable) is not None) == again


@given(st.integers(1, 1000), st.floats(0, 20), st.none() | st.floats(0, 20))
def test_a_pause_is_bounded_and_as_long_as_was_asked_for(attempt, left, retry_after):
    seconds = pause(LIMITED._replace(retry_after=retry_after), attempt=attempt, left=left, repeatable=False)
    if seconds is not None:
        assert (retry_after or 0) < seconds <= min(left, (retry_after or 0) + 2)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (" 0 ", 0.0), (None, None), ("-1", None), ("soon", None), ("9" * 20, None), ("١", None)]
)
def test_what_a_server_asks_to_wait(header, seconds):
    assert retry_after_of(header) == seconds
