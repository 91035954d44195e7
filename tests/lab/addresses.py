# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loopback networks that are handed out to one user at a time, so that labs and tests run side by side."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from processes import is_free


@contextlib.contextmanager
def claimed_network() -> Iterator[str]:
    """Yield the first three numbers of a network such as "127.0.11" that nobody else uses; it is given back at the end.

    A file lock is what says "used": it falls with its process, however that ends. The environment variable AUTOSCALE_TEST_NETS
    names the first two numbers (127.0 is the default).
    """
    outer = os.environ.get("AUTOSCALE_TEST_NETS", "127.0")
    folder = Path(tempfile.gettempdir()) / f"microservices.autoscale-networks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(11, 251):
        network = f"{outer}.{number}"
        with (folder / network).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # Somebody who does not know our locks, another user for example, may have a Consul there.
            if not is_free(f"{network}.1", 8500):
                continue
            yield network
            return
    raise RuntimeError(f"no free network in {outer}.11 to {outer}.250: are there labs left running? Locks: {folder}")


def free_port(address: str) -> int:
    """A TCP port on which nothing listens at this address right now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
