# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""TCP connections of this host with their timers, as ss (iproute2) prints them; Linux only."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from typing import Iterable

from .._domain.connection import Connection
from .._domain.errors import AutoscaleError

# The PATH of a plain user's shell has no sbin, where some distributions keep it.
_SBIN = ":/usr/sbin:/sbin"
_TIMEOUT_SECONDS = 10
_LINE = re.compile(r"(?P<unread>\d+)\s+(?P<unsent>\d+)\s+(?P<local>\S+:\d+)\s+(?P<peer>\S+:\d+)(?P<details>(?:\s.*)?)")
_NUMBER = re.compile(r"\s(lastsnd|lastrcv|bytes_received|mss):(\d+)")


def established(ports: Iterable[int]) -> list[Connection]:
    """The established connections of some local ports.

    Raises AutoscaleError where there is no ss, or it tells no timers.
    """
    binary = shutil.which("ss", path=os.environ.get("PATH", os.defpath) + _SBIN)
    if binary is None:
        raise AutoscaleError("the program ss (iproute2) is not on this host")
    wanted = " or ".join(f"sport = :{port:d}" for port in sorted(set(ports)))
    command = [binary, "-tinH", "state", "established", f"( {wanted} )"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AutoscaleError(f"could not run {' '.join(command)}: {error}") from None
    if done.returncode != 0:
        raise AutoscaleError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return parse(done.stdout.decode("utf-8", "replace"))


def parse(text: str) -> list[Connection]:
    """The connections in the output of `ss -tinH state established`, where details may follow on lines of their own."""
    # Details begin with a tab.
    return [_connection(line) for line in re.sub(r"\n(?=\s)", "", text).splitlines() if line.strip()]


def _connection(line: str) -> Connection:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise AutoscaleError(f"ss printed a line of an unknown form: {line[:200]!r}")
    numbers = {name: int(value) for name, value in _NUMBER.findall(match["details"])}
    # Numbers that are 0 are left out. The mss never is one: without it nothing came from the kernel's tcp_info.
    if "mss" not in numbers:
        raise AutoscaleError("ss tells no timers of connections on this host (the kernel has no inet_diag)")
    address, port = _endpoint(match["local"])
    peer_address, peer_port = _endpoint(match["peer"])
    return Connection(
        address=address,
        port=port,
        peer=f"{peer_address} port {peer_port}",
        queued=match["unread"] != "0" or match["unsent"] != "0",
        received=numbers.get("bytes_received", 0) > 0,
        sent_ago=numbers.get("lastsnd", 0) / 1000,
        received_ago=numbers.get("lastrcv", 0) / 1000,
    )


def _endpoint(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    # Without brackets, and without the interface that it is bound to: [fe80::1%eth0].
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError as error:
        raise AutoscaleError(f"ss printed an unknown address: {error}") from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port)
