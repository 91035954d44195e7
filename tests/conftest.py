# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the processes of `pytest -n` have in common.

Up here, since the process that hands the tests out collects none: it reads the conftest.py of the folders it is given and of those above.
"""

from __future__ import annotations

from typing import Any

import places  # noqa: F401  Draws the seed, before there are further processes.
import pytest
from xdist.scheduler import LoadFileScheduling


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """A file's tests in a row, in one of the processes; all tests on the one hosts lab, too."""

    class OneHostsLab(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "hosts" if "integration/hosts/" in nodeid else str(super()._split_scope(nodeid))

    return OneHostsLab(config, log)
