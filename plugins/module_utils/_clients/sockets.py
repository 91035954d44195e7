# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""TCP sockets of this host, read from /proc/net (Linux only), and whether one of another answers."""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
import socket
import sys

from .._domain.errors import AutoscaleError

_ESTABLISHED = "01"
_LISTEN = "0A"


@dataclasses.dataclass(frozen=True)
class _Socket:
    address: str
    port: int
    peer: str
    state: str
    inode: str


def listener(address: str, port: int) -> str | None:
    """Who listens on an address and port, in words for an error; None when it is free.

    A socket that listens on all addresses takes the port on each of them.
    """
    wanted = {str(ipaddress.ip_address(address)), "0.0.0.0", "::"}
    for entry in _sockets():
        if entry.state == _LISTEN and entry.port == port and entry.address in wanted:
            return _owner(entry.inode)
    return None


def established(endpoints: set[tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
    """The peers that are connected to each of some local (address, port) pairs."""
    result: dict[tuple[str, int], list[str]] = {endpoint: [] for endpoint in endpoints}
    for entry in _sockets():
        peers = result.get((entry.address, entry.port))
        if peers is not None and entry.state == _ESTABLISHED:
            peers.append(entry.peer)
    return result


def parse_table(text: str) -> list[_Socket]:
    """The sockets of a /proc/net/tcp or tcp6 table."""
    result = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        address, port = _endpoint(fields[1])
        peer_address, peer_port = _endpoint(fields[2])
        result.append(_Socket(address, port, f"{peer_address} port {peer_port}", fields[3], fields[9]))
    return result


def _sockets() -> list[_Socket]:
    result: list[_Socket] = []
    found = False
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            result += parse_table(pathlib.Path(table).read_text(encoding="ascii"))
            found = True
        except FileNotFoundError:
            # A host without IPv6 has no tcp6.
            continue
    if not found:
        raise AutoscaleError("/proc/net/tcp cannot be read: the sockets of this host are not known; Linux with /proc is needed")
    return result


def _endpoint(text: str) -> tuple[str, int]:
    digits, _colon, port = text.partition(":")
    # The kernel prints each 32-bit word in its own byte order.
    raw = b"".join(int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port, 16)


def _owner(inode: str) -> str:
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) == f"socket:[{inode}]" for link in process.joinpath("fd").iterdir()):
                return f"process {process.name} ({process.joinpath('comm').read_text(encoding='utf-8', errors='replace').strip()})"
        except OSError:
            # Processes come and go, and those of other users cannot be read.
            continue
    return "a process of another user"


def answers_at(address: str, timeout: float) -> bool:
    """Whether something accepts a connection now.

    Args:
        address: HOST:PORT, an IPv6 address in brackets.
        timeout: seconds.
    """
    host, _colon, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout):
            return True
    except (OSError, ValueError):
        return False
