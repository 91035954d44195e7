# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts lab for tests: started when it is not there, and kept. Each test has services of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hosts import HostsLab

QUICK = {"autoscale_drain_deadline": 5, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}


@pytest.fixture(scope="session")
def hosts(run_playbook: Callable[..., Any]) -> HostsLab:
    """The hosts lab, prepared."""
    if os.geteuid() != 0:
        pytest.skip("containers with systemd need root")
    lab = HostsLab().up()
    run_playbook("prepare", lab=lab).succeeded()
    return lab


@pytest.fixture(scope="session")
def deployed(hosts: HostsLab, run_playbook: Callable[..., Any]) -> Iterator[set[str]]:
    """The services that tests have deployed; removed at last, some at a time."""
    names: set[str] = set()
    yield names

    def remove(name: str) -> None:
        confirmed = {"autoscale_service": name, "autoscale_confirm_remove": name}
        run_playbook("remove", lab=hosts, extra_vars={**QUICK, **confirmed}).succeeded()

    with ThreadPoolExecutor(3) as several:
        list(several.map(remove, names))


@pytest.fixture
def play(hosts: HostsLab, run_playbook: Callable[..., Any]) -> Callable[..., Any]:
    """play("reconcile", autoscale_only=["shop"]): a playbook on the hosts lab, with quick locks and drains."""

    def call(playbook: str, *arguments: str, **variables: Any) -> Any:
        return run_playbook(playbook, *arguments, lab=hosts, extra_vars={**QUICK, **variables})

    return call


@pytest.fixture
def deploy(deployed: set[str], play: Callable[..., Any]) -> Callable[..., Any]:
    """deploy(name=description, …): deploy services, which are removed when all tests have run."""

    def call(*arguments: str, **services: dict[str, Any]) -> Any:
        deployed.update(services)
        return play("deploy", *arguments, autoscale_services=services)

    return call
