# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client against real Consul: connections of all kinds, and one clear error for each that fails."""

from __future__ import annotations

from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul


def test_the_version_is_asked_for_once_and_may_be_given(consul):
    client = Consul(consul.url)
    assert client.version() >= (1, 8, 0)
    consul.pause()
    try:
        assert client.version() >= (1, 8, 0)
        assert Consul(consul.url, version="1.15.2").version() == (1, 15, 2)
    finally:
        consul.resume()
