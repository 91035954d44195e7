# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which provider is asked about an instance; the folders are real, nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.supervisor import Supervisor
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.systemd import Systemd
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance import Instance, Paths
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.instance_folder import (
    HEALTHY,
    InstanceFolders,
    is_written,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.instance_host import Host
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.supervisor import SupervisorProvider
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.systemd import SystemdProvider


@pytest.fixture
def host(tmp_path: Path) -> Host:
    paths = Paths(str(tmp_path / "state"))
    providers = (
        SystemdProvider(Systemd(), paths, str(tmp_path / "units"), allow_root=True),
        SupervisorProvider(Supervisor("/nowhere"), paths, str(tmp_path / "programs"), allow_root=True),
    )
    return Host(providers, InstanceFolders(paths), cast(Consul, None), cast(Lease, None), {}, 2, 1.0, False)


def instance(provider: str | None, **more: Any) -> Instance:
    raw = {"service": "shop", "id": "shop-app1-1", "address": "192.0.2.1", "port": 1, "version": "1", **more}
    if provider is not None:
        raw["run"] = {"provider": provider, "command": "/bin/true"}
    return Instance.parse(raw, with_run=False)


def asked(host: Host, one: Instance) -> str | None:
    provider = host.runner(one, host.folders.record(one.id))
    return provider.name if provider else None


def written(host: Host, name: str) -> Instance:
    """Write all files of an instance of this provider."""
    one = Instance.parse({**instance(name).source}, with_run=True)
    host.folders.write(one, host.provider(one, name).files(one, {}), {})
    return one


@pytest.mark.parametrize("provider", ["systemd", "supervisor"])
def test_the_one_that_a_step_names_is_asked_where_nothing_is_known(host: Host, provider: str) -> None:
    assert asked(host, instance(provider)) == provider
    assert asked(host, instance(None)) is None


@pytest.mark.parametrize(("provider", "other"), [("systemd", "supervisor"), ("supervisor", "systemd")])
def test_the_one_that_the_record_names_is_asked_whatever_the_step_says(host: Host, provider: str, other: str) -> None:
    one = written(host, provider)
    host.folders.note(one, host.provider(one, provider).files(one, {}), HEALTHY)
    assert asked(host, instance(other)) == asked(host, instance(None)) == provider
    # The record is lost: its other files still tell.
    host.folders.remove(one.id)
    assert asked(host, instance(other)) == asked(host, instance(None)) == provider


def test_a_record_without_a_provider_is_of_supervisor(host: Host) -> None:
    one = instance("systemd")
    Path(host.paths.instance(one.id)).mkdir(parents=True)
    Path(host.paths.record(one.id)).write_text('{"service": "shop", "content": null, "state": "healthy"}')
    assert asked(host, one) == "supervisor"


def test_a_record_of_a_provider_that_is_not_known_is_told(host: Host) -> None:
    one = instance("systemd")
    Path(host.paths.instance(one.id)).mkdir(parents=True)
    Path(host.paths.record(one.id)).write_text('{"provider": "docker"}')
    with pytest.raises(AutoscaleError, match=r"instance shop-app1-1: the provider 'docker' is not known, only systemd, supervisor"):
        asked(host, one)


@pytest.mark.parametrize("provider", ["systemd", "supervisor"])
def test_files_that_somebody_changed_or_removed_are_noticed(host: Host, provider: str) -> None:
    one = written(host, provider)
    for file in host.provider(one, provider).files(one, {}):
        assert is_written(file)
        Path(file.path).write_text(file.text + "\n")
        assert not is_written(file)
        Path(file.path).unlink()
        assert not is_written(file)


def test_a_record_that_cannot_be_read_is_an_error_and_no_record(host: Host) -> None:
    one = instance("systemd")
    Path(host.folders.paths.record(one.id)).mkdir(parents=True)
    with pytest.raises(AutoscaleError, match="become"):
        host.folders.record(one.id)
