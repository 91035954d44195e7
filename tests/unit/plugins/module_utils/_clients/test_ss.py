# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients import ss
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.connection import Connection
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError

# ss -tinH state established '( sport = :29100 or sport = :29101 or sport = :29102 )', iproute2 6.1.0 on Linux 6.18.
RECORDED = (Path(__file__).parent / "recorded" / "ss_6.1.txt").read_text()
# The same connections without the kernel's inet_diag: PROC_NET_TCP=/proc/net/tcp ss -tinH state established 'sport = :29100'.
NO_TIMERS = """\
0      0       127.70.0.1:29100 127.70.0.2:40002 rto:0.2 ato:0.04 qack:15 bidir cwnd:11 reordering:0
0      0       127.70.0.1:29100 127.70.0.2:40001 rto:0.2 cwnd:10 reordering:0
"""

# By the peer's port: queued, received, sent_ago, received_ago, in_use.
EXPECTED = {
    40001: (False, False, 5.908, 5.908, False),  # never used
    40002: (False, True, 5.804, 5.904, False),  # asked and answered
    40003: (False, True, 5.804, 5.804, True),  # asked and answered in one tick of the clock: it may be as the next
    40004: (False, True, 5.808, 5.808, True),  # asked, answered and asked again in one tick
    40005: (False, True, 5.708, 5.608, True),  # asked again, no answer yet
    40006: (False, False, 5.608, 5.608, False),  # the instance spoke first and was not asked
    40007: (True, True, 5.608, 5.608, True),  # the peer does not read its answer
    40008: (False, False, 5.608, 5.608, False),  # IPv4 at a socket for both
    40009: (False, False, 5.608, 5.608, False),  # IPv6
    40010: (False, False, 5.608, 5.608, False),  # a socket bound to an interface
    40011: (True, True, 5.608, 5.608, True),  # asked, and the instance did not read it
    40012: (False, True, 0.504, 0.604, True),  # answered a moment ago
    40013: (False, False, 0.004, 0.004, True),  # just opened
    40014: (False, True, 0.0, 0.0, True),  # numbers of 0 are not printed
}


def read() -> dict[int, Connection]:
    return {int(connection.peer.rpartition(" ")[2]): connection for connection in ss.parse(RECORDED)}


@pytest.mark.parametrize("port", EXPECTED)
def test_a_recorded_connection_is_read(port: int) -> None:
    one = read()[port]
    assert (one.queued, one.received, one.sent_ago, one.received_ago, one.in_use) == EXPECTED[port]


def test_every_connection_is_read_and_both_ends_are_plain_addresses() -> None:
    connections = read()
    assert set(connections) == set(EXPECTED)
    assert {(one.address, one.port) for one in connections.values()} == {
        ("127.70.0.1", 29100),
        ("127.70.0.1", 29101),
        ("127.70.0.1", 29102),
        ("::1", 29101),
    }
    assert connections[40008].peer == "127.70.0.2 port 40008"
    assert ss.parse("") == []


@pytest.mark.parametrize("text", [NO_TIMERS, "Netid State Recv-Q\n", "0 0 somewhere:1 127.0.0.1:2\n\t mss:1 lastsnd:1\n"])
def test_what_tells_no_timers_is_refused(text: str) -> None:
    with pytest.raises(AutoscaleError):
        ss.parse(text)


def test_a_host_without_ss_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ss, "_SBIN", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AutoscaleError, match="ss .iproute2. is not on this host"):
        ss.established([20000])
