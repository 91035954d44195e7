# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.filter.balancer_exporters import balancer_exporters

BOTH = {"autoscale_haproxy_exporter": "192.0.2.1:8404", "autoscale_nginx_exporter": "192.0.2.1:3903"}
HOSTS = {
    "lb1": BOTH,
    "lb2": {**BOTH, "autoscale_balancer_provider": "haproxy"},
    "lb3": {**BOTH, "autoscale_balancer_provider": "nginx"},
    "lb4": {"autoscale_balancer_provider": "nginx"},
    "other": {**BOTH, "autoscale_balancer_provider": "nginx"},
}


@pytest.mark.parametrize(
    ("provider", "found"),
    [
        ("haproxy", [{"host": "lb1", "address": "192.0.2.1:8404"}, {"host": "lb2", "address": "192.0.2.1:8404"}]),
        ("nginx", [{"host": "lb3", "address": "192.0.2.1:3903"}]),
    ],
)
def test_a_balancer_is_scraped_as_what_it_is(provider, found):
    assert balancer_exporters(["lb1", "lb2", "lb3", "lb4"], HOSTS, provider) == found


def test_no_balancers():
    assert balancer_exporters([], HOSTS, "nginx") == []
