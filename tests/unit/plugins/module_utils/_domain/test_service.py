# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.tests.unit.builders import service

ARTIFACT = {"url": "file:///srv/shop-1.4.2.tar.gz", "checksum": "sha256:" + "0a" * 32}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.4.3"},
        {"run": {"command": "/srv/shop"}},
        {"run": {"environment": {"A": "b"}}},
        {"run": {"artifact": ARTIFACT}},
        {"run": {"user": "shop"}},
        {"run": {"stop_grace": 1}},
        {"run": {"resources": {"cpu": 1}}},
        {"run": {"provider": "systemd"}},
        {"check": {"http": "/healthz"}},
        {"check": {"interval": 3}},
        {"tags": ["web"]},
    ],
)
def test_the_digest_changes_with_what_an_instance_is_made_of(changes):
    assert service(**changes).digest != service().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": {"max_replicas": 9}},
        {"scale": {"metrics": [{"requests": 50}]}},
        {"check": {"grace": 5}},
        {"balance": {"weight": 7}},
        {"balance": None},
        {"deploy": {"healthy_deadline": 5}},
        {"hosts": "web"},
        {"port_range": "1-2"},
    ],
)
def test_the_digest_stays_with_what_it_is_not_made_of(changes):
    assert service(**changes).digest == service().digest


def test_a_memory_limit_makes_instances_outdated():
    assert service(run={"provider": "systemd", "resources": {"memory": "1G"}}).digest != service(run={"provider": "systemd"}).digest


def test_the_digest_of_what_was_deployed_before_there_was_a_memory_limit_still_holds():
    # Of version 0.1.0: another one would replace every instance of every service.
    assert service().digest == "bbca2f0dee80aac1"


def test_a_description_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        service().version = "2"
