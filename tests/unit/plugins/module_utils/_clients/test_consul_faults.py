# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Consul's words tell of a request; those of 1.8.7 as they came from a cluster whose leader was killed."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients import consul_faults
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul_faults import Faults

DIAL = (
    "rpc error making call: rpc error getting client: failed to get conn: dial tcp 127.0.0.1:0->127.0.0.3:8300: connect: connection refused"
)


@pytest.mark.parametrize(
    ("status", "body", "undone"),
    [
        (500, "No cluster leader", True),
        (500, "No known Consul servers", True),
        (500, DIAL, True),
        (500, "rpc error making call: node is not the leader", True),
        (500, "rpc error making call: stream closed", False),
        (500, "rpc error making call: EOF", False),
        (500, "rpc error making call: rpc error making call: EOF", False),
        (500, "leadership lost while committing log", False),
        (503, "rate limit exceeded for operation that can only be performed by the leader", True),
        (403, "ACL not found", True),
        # What asking again does not mend.
        (500, "rpc error making call: Invalid Session TTL '1', must be between [10s=24h0m0s]", None),
        (500, "rpc error making call: Geoffrey", None),
        (500, "", None),
        (503, "", None),
        (403, "Permission denied", None),
        (404, "No cluster leader", None),
    ],
)
def test_what_was_done_and_whether_waiting_helps(status: int, body: str, undone: bool | None) -> None:
    failure = Faults(10.0).judge(status, body)
    assert (failure and failure.undone) == undone
    assert failure is None or failure.passing


def test_the_wait_for_a_leader_is_one_for_all_requests_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [1000.0, 1007.0, 1014.0, 1024.0, 1026.0, 1033.0, 1070.0]
    clock = iter(moments)
    monkeypatch.setattr(consul_faults.time, "monotonic", lambda: next(clock))
    faults = Faults(10.0)
    judged = [faults.judge(500, "No cluster leader") is not None for _moment in moments]
    assert judged == [True, True, True, True, False, False, True], "and another loss has its own"
