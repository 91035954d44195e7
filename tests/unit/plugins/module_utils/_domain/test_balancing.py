# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service may ask of each kind of balancer."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balancing import (
    kinds_of,
    refusal,
    require_balanceable,
    require_same_mode,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.tests.unit.builders import service

UNBALANCED = service(balance=None)

QUEUED = service("bank", balance={"max_connections": 4})


@pytest.mark.parametrize(
    ("of", "balancers", "named"),
    [
        (QUEUED, {"lb1": "haproxy"}, None),
        (QUEUED, {}, None),
        (QUEUED, {"lb1": "haproxy", "lb2": "nginx"}, "lb2"),
        (service(), {"lb2": "nginx"}, None),
        (UNBALANCED, {"lb2": "nginx"}, None),
    ],
)
def test_nginx_has_no_queue(of, balancers, named):
    error = refusal(of.balance, balancers)
    assert (error is None) is (named is None)
    if error:
        assert error.startswith("balance.max_connections: ") and f"({named})" in error and "HAProxy" in error


def test_every_service_that_is_refused_is_named_by_path():
    with pytest.raises(AutoscaleError) as error:
        require_balanceable((QUEUED, service(), service("cart", balance={"max_connections": 1})), {"lb2": "nginx"})
    assert [text.split(": ")[0] for text in error.value.context["errors"]] == [
        "autoscale_services.bank.balance.max_connections",
        "autoscale_services.cart.balance.max_connections",
    ]
    require_balanceable((QUEUED,), {"lb1": "haproxy"})


def test_only_the_hosts_that_balance_count():
    hosts = [{"name": "app1", "balancer": "nginx"}, {"name": "lb1", "balancer": "haproxy"}]
    assert kinds_of(hosts, ["lb1"]) == {"lb1": "haproxy"}


def test_a_service_keeps_its_mode_behind_nginx():
    web, raw = service(), service(balance={"mode": "tcp"})
    for there, wanted, balancers in (
        (web, raw, {"lb1": "haproxy"}),
        (web, web, {"lb2": "nginx"}),
        (service("other"), raw, {"lb2": "nginx"}),
        (UNBALANCED, raw, {"lb2": "nginx"}),
        (raw, UNBALANCED, {"lb2": "nginx"}),
    ):
        require_same_mode([wanted], [there], balancers)
    with pytest.raises(AutoscaleError, match=r"autoscale_services\.shop\.balance\.mode: must stay http .* Nginx \(lb2\), got tcp\. Remove"):
        require_same_mode([raw], [web], {"lb1": "haproxy", "lb2": "nginx"})
