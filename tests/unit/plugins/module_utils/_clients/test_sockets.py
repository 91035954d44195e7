# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket

from ansible_collections.microservices.autoscale.plugins.module_utils._clients.sockets import established, listener, parse_table

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711
   1: 0100007F:4E20 0200007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712
"""
TCP6 = """\
  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:4E20 0000000000000000FFFF00000200007F:9C40 01 00000000:00000000 0:0 0 0 0 99
   1: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 0:0 0 0 0 98
"""


def test_the_kernels_tables_are_read() -> None:
    four = parse_table(TCP)
    assert {(one.address, one.port) for one in four} == {("127.0.0.1", 20000)}
    assert [(one.state, one.inode) for one in four] == [("0A", "4711"), ("01", "4712")]
    assert four[1].peer == "127.0.0.2 port 40000"
    six = parse_table(TCP6)
    # A mapped address is the IPv4 address that a client used.
    assert (six[0].address, six[0].peer) == ("127.0.0.1", "127.0.0.2 port 40000")
    assert (six[1].address, six[1].port) == ("2001:db8::1", 80)


def test_this_process_is_found_by_what_it_listens_on_and_who_is_connected() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address, port = server.getsockname()
        assert listener(address, port) is None
        server.listen()
        assert "process " in (listener(address, port) or "")
        with socket.create_connection((address, port)) as client:
            peer = client.getsockname()
            assert established({(address, port)})[(address, port)] == [f"{peer[0]} port {peer[1]}"]
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        assert listener("127.0.0.9", everywhere.getsockname()[1]) is not None
