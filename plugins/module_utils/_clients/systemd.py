# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The systemd of this host and its journal, by systemctl and journalctl."""

from __future__ import annotations

import os
import subprocess
from typing import Mapping

from .._domain.errors import AutoscaleError
from .._domain.process import Process

_PROPERTIES = "Id,ActiveState,SubState,MainPID,Result,ExecMainCode,ExecMainStatus"
# SIGCHLD's codes (sigaction(2)), as ExecMainCode gives them.
_ENDS = {"1": "exit status", "2": "signal", "3": "signal"}


class Systemd:
    """The system manager; units are given by their full names.

    Args:
        timeout: seconds for each call.
    """

    def __init__(self, *, timeout: float = 30.0) -> None:
        self._timeout = timeout

    def manager(self) -> Mapping[str, str]:
        """The manager's own properties Version and UnitPath (folders, with spaces between)."""
        text = self._call("systemctl", "show", "--property=Version,UnitPath")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def processes(self, pattern: str) -> dict[str, Process]:
        """The instances of a template that run, are about to, or have failed, by the part of the unit's name after the @."""
        return parse_show(self._call("systemctl", "show", f"--property={_PROPERTIES}", "--", pattern))

    def reload(self) -> None:
        """Read all units from disk again; nothing is started or stopped by this."""
        self._call("systemctl", "daemon-reload")

    def enable(self, unit: str) -> None:
        """Start it when the host starts."""
        self._call("systemctl", "enable", "--no-reload", "--", unit)

    def disable(self, unit: str) -> None:
        """Start it no more when the host starts; one that is not there is fine."""
        self._call("systemctl", "disable", "--no-reload", "--", unit, fine="does not exist")

    def start(self, unit: str) -> None:
        """Ask for a start and return at once."""
        self._call("systemctl", "start", "--no-block", "--", unit)

    def stop(self, unit: str) -> None:
        """Ask for a stop and return at once; systemd kills what is left after the unit's TimeoutStopSec. One that is not there is fine."""
        self._call("systemctl", "stop", "--no-block", "--", unit, fine="not loaded")

    def reset(self, unit: str) -> None:
        """Forget that it failed and how often it was started; one that is not there is fine."""
        self._call("systemctl", "reset-failed", "--", unit, fine="not loaded")

    def journal(self, unit: str, since: float, lines: int) -> list[str]:
        """The last lines that a unit printed, and that systemd said of it.

        Args:
            since: seconds since 1970.
        """
        # What was printed last may not be there yet.
        self._call("journalctl", "--sync")
        options = ("--quiet", "--no-pager", "--no-hostname", "--output=short-iso", f"--since=@{int(since)}", f"--lines={lines:d}")
        return self._call("journalctl", *options, f"--unit={unit}").splitlines()

    def _call(self, *command: str, fine: str | None = None) -> str:
        """Run it and return what it prints; `fine` is in the message of a failure that is none."""
        environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
        shown = " ".join(command)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=self._timeout, check=False
            )
        except FileNotFoundError:
            raise AutoscaleError(f"the program {command[0]} is not on this host, which the provider systemd needs") from None
        except subprocess.TimeoutExpired:
            raise AutoscaleError(f"`{shown}` gave no answer within {self._timeout:g} s") from None
        message = done.stderr.decode("utf-8", "replace").strip()
        if done.returncode != 0 and not (fine and fine in message):
            raise AutoscaleError(f"`{shown}` ended with {done.returncode}: {message}")
        return done.stdout.decode("utf-8", "replace")


def parse_show(text: str) -> dict[str, Process]:
    """The instances in the output of `systemctl show`, one block of lines for each, by the part of the unit's name after the @.

    Those that were stopped are left out: whether systemd still knows them depends on who refers to them.
    """
    processes = {}
    for block in text.strip().split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if unit.get("Id") and not _is_down(unit):
            name = unit["Id"].partition("@")[2].removesuffix(".service")
            processes[name] = _process(name, unit)
    return processes


def _process(name: str, unit: Mapping[str, str]) -> Process:
    failed = unit["ActiveState"] == "failed" and not _comes_back(unit)
    words = [] if unit["SubState"] == unit["ActiveState"] else [unit["SubState"]]
    if unit["Result"] != "success":
        words.append(unit["Result"])
        if unit["ExecMainCode"] in _ENDS:
            words.append(f"{_ENDS[unit['ExecMainCode']]} {unit['ExecMainStatus']}")
    return Process(
        name=name,
        alive=not failed,
        running=unit["ActiveState"] == "active",
        failed=failed,
        pid=int(unit["MainPID"]),
        words=f"{unit['ActiveState']} ({', '.join(words)})" if words else unit["ActiveState"],
    )


def _is_down(unit: Mapping[str, str]) -> bool:
    return unit["ActiveState"] == "inactive" and not _comes_back(unit)


def _comes_back(unit: Mapping[str, str]) -> bool:
    # From systemd 254 on there are states between an end and the wait for the restart.
    return unit["SubState"].endswith("auto-restart")
