# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A balancer's master process, found by its pid file."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from .._domain.errors import AutoscaleError, WaitTimeout
from .config_files import read_text

_POLL_SECONDS = 0.02


class MasterProcess:
    """The process that a reload is asked of.

    Args:
        pid_file: where it keeps its number.
        product: the balancer's name, which the process bears in lower case.
    """

    def __init__(self, pid_file: str, product: str) -> None:
        self._pid_file = Path(pid_file)
        self._product = product

    def pid(self) -> int:
        """The process number; raises AutoscaleError when there is no such process, or when it is another program's."""
        text = (read_text(self._pid_file) or "").split()
        where = f"{self._product}'s pid file {self._pid_file}"
        if not text or not text[0].isdigit():
            raise AutoscaleError(f"{where} is missing or has no number: is {self._product} running with it?")
        number = int(text[0])
        try:
            os.kill(number, 0)
        except OSError as error:
            raise AutoscaleError(f"process {number} of {where} cannot be signalled: {error.strerror}") from None
        name = read_text(Path(f"/proc/{number}/comm"))
        if name is not None and self._product.lower() not in name:
            # The signal for a reload ends other programs.
            raise AutoscaleError(f"{where} is stale: its process {number} is {name.strip()!r}, not {self._product}")
        return number

    def await_hearing(self, number: int, signal_number: int, timeout: float) -> None:
        """Wait until the process that pid() named listens to a signal; at once where /proc does not tell.

        While a master is busy with a reload it has no handler for the next one, or keeps it back.

        Raises:
            WaitTimeout: after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not _hears(number, signal_number):
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"{self._product}'s master process {number} was busy with an earlier reload for {timeout:g} s")
            time.sleep(_POLL_SECONDS)

    def children(self) -> set[int]:
        """The numbers of its child processes."""
        master = self.pid()
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return {number for number in numbers if _parent(number) == master}

    def send(self, number: int, signal_number: int) -> None:
        """Send a signal to the process that pid() named."""
        try:
            os.kill(number, signal_number)
        except OSError as error:
            raise AutoscaleError(f"could not signal {self._product}'s master process {number}: {error.strerror}") from None


def _hears(number: int, signal_number: int) -> bool:
    status = read_text(Path(f"/proc/{number}/status")) or ""
    caught, blocked = (re.search(rf"^{name}:\s+([0-9a-f]+)", status, re.MULTILINE) for name in ("SigCgt", "SigBlk"))
    if caught is None or blocked is None:
        return True
    return bool((int(caught[1], 16) & ~int(blocked[1], 16)) >> (signal_number - 1) & 1)


def _parent(number: int) -> int | None:
    try:
        text = Path(f"/proc/{number}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in brackets may hold anything.
    return int(text.rpartition(")")[2].split()[1])
