# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens while another run has the folder; HAProxy itself is in the integration tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.config_files import file_lock
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy import Runtime
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy_config import ConfigFolder, Master
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import haproxy_pools
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.haproxy_reload import Reloads
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.haproxy_round import ServerRound
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.haproxy_work import HAProxyWork
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease
from ansible_collections.microservices.autoscale.tests.unit.pools import described


def test_who_waits_for_the_folder_in_vain_fails_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haproxy_pools, "LOCK_SECONDS", 0.05)
    folder, runtime = ConfigFolder(str(tmp_path), str(tmp_path / "base"), "haproxy"), Runtime(str(tmp_path / "socket"))
    pool = pool_from(described(), "pools[0]")
    work = HAProxyWork(pool.service, pool, Lease(Consul("http://127.0.0.1:1"), None), runtime)
    change = haproxy_pools._Change(folder, Reloads(folder, Master("/nowhere"), runtime, 1), [work], 1, 1)
    with file_lock(tmp_path, exclusive=True, timeout=1):
        change._alone([ServerRound(folder, work, pool, lambda _there: pool.servers, short=False)], ServerRound.begin)
    assert [failure.instance for failure in work.failures] == [server.id for server in pool.servers]
    assert "locked by another run" in work.failures[0].error
