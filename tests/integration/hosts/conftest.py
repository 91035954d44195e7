# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts lab for tests: started when it is not there, and taken away. Each test has services of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hosts import HostsLab

QUICK = {"autoscale_up_deadline": 5, "autoscale_drain_deadline": 5, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}


@pytest.fixture(scope="session")
def hosts(run_playbook: Callable[..., Any]) -> Iterator[HostsLab]:
    """The hosts lab, prepared; it goes with all that tests have left on it."""
    if os.geteuid() != 0:
        pytest.skip("containers with systemd need root")
    # Molecule has its turn on it, too.
    with HostsLab().alone() as lab:
        run_playbook("prepare", lab=lab).succeeded()
        yield lab
        lab.down()


@pytest.fixture
def play(hosts: HostsLab, run_playbook: Callable[..., Any]) -> Callable[..., Any]:
    """play("reconcile", autoscale_only=["shop"]): a playbook on the hosts lab, with quick locks and drains."""

    def call(playbook: str, *arguments: str, **variables: Any) -> Any:
        return run_playbook(playbook, *arguments, lab=hosts, extra_vars={**QUICK, **variables})

    return call


@pytest.fixture
def deploy(play: Callable[..., Any]) -> Callable[..., Any]:
    """deploy(name=description, …): deploy services, which stay until the lab goes."""

    def call(*arguments: str, **services: dict[str, Any]) -> Any:
        return play("deploy", *arguments, autoscale_services=services)

    return call
