# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notes every path that a Python program writes, makes or renames, into the file that AUTOSCALE_AUDIT names.

Python imports this at its start where PYTHONPATH has this folder; so do the programs that it starts, Ansible's modules among them.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Which argument of the event is the path that is there afterwards.
_MAKES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}


def _watch(log: int) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            if not flags & _WRITES:
                return
        elif event in _MAKES:
            path = arguments[_MAKES[event]]
        else:
            return
        if not isinstance(path, int):
            os.write(log, os.fsencode(os.path.abspath(path)) + b"\n")

    sys.addaudithook(hook)


if "AUTOSCALE_AUDIT" in os.environ:
    _watch(os.open(os.environ["AUTOSCALE_AUDIT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND))
