# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.connection import Connection


@pytest.mark.parametrize(
    ("queued", "received", "sent_ago", "received_ago", "in_use"),
    [
        (False, False, 1.99, 1.99, True),
        (False, False, 2.0, 2.0, False),
        (False, True, 1.99, 100, True),
        (False, True, 2.0, 2.004, False),
        (True, True, 100, 200, True),
        (True, False, 100, 100, True),
        (False, True, 200, 199.996, True),
        (False, True, 100_000, 50_000, True),
        (False, True, 7.99, 7.99, True),
        (False, True, 8.0, 8.0, False),
    ],
)
def test_in_use(queued: bool, received: bool, sent_ago: float, received_ago: float, in_use: bool) -> None:
    assert Connection("192.0.2.1", 20000, "a peer", queued, received, sent_ago, received_ago).in_use is in_use
