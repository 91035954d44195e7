# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a master process hears a signal; the process is this one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.master_process import MasterProcess
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import WaitTimeout

NUMBER = signal.SIGUSR2


@pytest.fixture
def master(tmp_path: Path) -> MasterProcess:
    return MasterProcess(str(tmp_path / "pid"), "Python")


@pytest.mark.parametrize("deaf", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_signal_without_a_handler_is_waited_for(master: MasterProcess, deaf: signal.Handlers) -> None:
    before = signal.signal(NUMBER, deaf)
    try:
        with pytest.raises(WaitTimeout, match=f"Python's master process {os.getpid()} was busy with an earlier reload for 0.05 s"):
            master.await_hearing(os.getpid(), NUMBER, 0.05)
        signal.signal(NUMBER, lambda *_: None)
        master.await_hearing(os.getpid(), NUMBER, 0)
    finally:
        signal.signal(NUMBER, before)


def test_a_signal_that_is_kept_back_is_waited_for(master: MasterProcess) -> None:
    before = signal.signal(NUMBER, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {NUMBER})
    try:
        with pytest.raises(WaitTimeout):
            master.await_hearing(os.getpid(), NUMBER, 0.05)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {NUMBER})
        signal.signal(NUMBER, before)


def test_without_its_state_nothing_is_waited_for(master: MasterProcess) -> None:
    master.await_hearing(0, NUMBER, 0)
