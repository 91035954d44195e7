# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.routing import require_targets, require_unrouted
from ansible_collections.microservices.autoscale.tests.unit.builders import service

FRONT = service("front", balance={"listen": 80, "routes": [{"service": "other", "path": "/a"}, {"service": "cart", "path": "/cart"}]})
CART = service("cart", balance={"listen": "none"})
OTHER = service("other")
WHERE = "autoscale_services.front.balance.routes[1].service: must be a service "


@pytest.mark.parametrize(
    ("described", "deployed", "expected"),
    [
        ([OTHER], [], None),
        ([FRONT, CART, OTHER], [], None),
        ([FRONT], [CART, OTHER], None),
        ([CART], [FRONT, OTHER], None),
        ([FRONT], [OTHER], "that is deployed, or described beside it, got 'cart'"),
        # Whoever comes second is told.
        ([FRONT], [service("cart", balance=None), OTHER], "with a balance block (listen: none is enough), got 'cart'"),
        ([service("cart", balance=None)], [FRONT, CART, OTHER], "with a balance block (listen: none is enough), got 'cart'"),
        ([service("cart", balance={"listen": 81, "mode": "tcp"})], [FRONT, CART, OTHER], "of mode http, got 'cart'"),
        # What was so before is not told to somebody who deploys something else.
        ([OTHER], [FRONT], None),
    ],
)
def test_routes_lead_somewhere(described, deployed, expected):
    if expected is None:
        require_targets(described, deployed)
        return
    with pytest.raises(InvalidDescription) as error:
        require_targets(described, deployed)
    assert error.value.errors == (WHERE + expected,)


def test_a_route_leads_to_another_service():
    with pytest.raises(InvalidDescription, match=r"cart.balance.routes\[0\].service: must be another service, got 'cart'"):
        require_targets([service("cart", balance={"listen": 80, "routes": [{"service": "cart", "host": "a"}]})], [])


def test_a_service_to_which_routes_lead_stays():
    require_unrouted("front", [FRONT, CART, OTHER])
    with pytest.raises(AutoscaleError, match="cart: nothing is removed: balance.routes of front lead to it"):
        require_unrouted("cart", [FRONT, CART, OTHER])
