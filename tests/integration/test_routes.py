# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several services on one listener, on the local lab: deployed together, and neither end goes before the other lets it."""

from __future__ import annotations

import urllib.error
from typing import Any

import pytest
from descriptions import shop
from fleet import answer, keys, rotation
from lab import Lab
from processes import http_get

ONE = {"min_replicas": 1, "max_replicas": 1}


def test_a_service_behind_another_ones_listener_comes_and_goes(lab: Lab, run_playbook: Any) -> None:
    front = shop(8431, ports="25100-25199", scale=ONE)
    front["balance"]["routes"] = [{"service": "orders", "path": "/orders"}]
    orders = {**shop(8432, ports="25200-25299", scale=ONE), "balance": {"listen": "none"}}

    def deploy(**services: Any) -> Any:
        return run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": services})

    refused = deploy(front=front)
    where = "autoscale_services.front.balance.routes[0].service: must be a service that is deployed, or described beside it, got 'orders'"
    assert refused.code != 0 and where in refused.output and not [key for key in keys(lab) if key.startswith("autoscale/front/")]

    deploy(front=front, orders=orders).succeeded()
    assert answer(lab, 8431)["instance"] in rotation(lab, "front")
    with pytest.raises(urllib.error.HTTPError) as error:
        http_get(f"http://{lab.address('lb1')}:8431/orders")
    with error.value:
        # Of the other service, which takes a POST there.
        assert error.value.code == 405
    assert deploy(front=front, orders=orders).succeeded().changed == 0

    removal = {"autoscale_service": "orders", "autoscale_confirm_remove": "orders"}
    kept = run_playbook("remove", lab=lab, extra_vars=removal)
    assert kept.code != 0 and "orders: nothing is removed: balance.routes of front lead to it" in kept.output
    assert rotation(lab, "orders")

    deploy(front={**front, "balance": {"listen": 8431}}).succeeded()
    run_playbook("remove", lab=lab, extra_vars=removal).succeeded()
    assert answer(lab, 8431)["instance"] in rotation(lab, "front") and not rotation(lab, "orders")
