# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.systemd import parse_show
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.process import Process

# systemctl show --property=… -- 'microservices-autoscale@*.service', of systemd 247 (Debian 11) and 252 (Debian 12).
RECORDED = Path(__file__).parent / "recorded"

# By the instance's id: alive, running, failed, and the words.
EXPECTED = {
    "up-app1-20060": (True, True, False, "active (running)"),
    "slow-app1-2": (True, False, False, "activating (auto-restart, exit-code, exit status 3)"),
    "deaf-app1-3": (True, False, False, "deactivating (stop-sigterm)"),
    # Ended again and again, by itself or by a signal.
    "crash-app1-1": (False, False, True, "failed (exit-code, exit status 1)"),
    "killed-app1-4": (False, False, True, "failed (signal, signal 9)"),
    # Killed after a stop that took too long.
    "timeout-app1-6": (False, False, True, "failed (timeout, signal 9)"),
    # Not down-app1-5, which was stopped: only systemd 247 still names it here.
}


@pytest.mark.parametrize("version", [247, 252])
def test_units_are_read(version: int) -> None:
    seen = parse_show((RECORDED / f"systemctl_show_{version}.txt").read_text())
    assert {name: (one.alive, one.running, one.failed, str(one)) for name, one in seen.items()} == EXPECTED
    assert {name for name, one in seen.items() if one.pid} == {"up-app1-20060", "deaf-app1-3"}


def test_no_unit_is_no_process() -> None:
    assert parse_show("") == parse_show("\n") == {}


# From systemd 254 on a unit may be seen between its end and the wait for its restart (src/basic/unit-def.c).
@pytest.mark.parametrize(
    ("active", "sub"), [("inactive", "dead-before-auto-restart"), ("failed", "failed-before-auto-restart"), ("activating", "auto-restart")]
)
def test_one_that_is_restarted_is_alive(active: str, sub: str) -> None:
    block = f"MainPID=0\nResult=success\nExecMainCode=1\nExecMainStatus=0\nId=x@shop-app1-1.service\nActiveState={active}\nSubState={sub}\n"
    assert parse_show(block) == {"shop-app1-1": Process("shop-app1-1", True, False, False, 0, f"{active} ({sub})")}
