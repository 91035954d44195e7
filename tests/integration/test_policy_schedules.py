# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A policy's schedules on the local lab: refused when wrong, in force when deployed, and looked at by the doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from faults import put
from lab import Lab
from processes import http_get

ALWAYS = {"name": "always", "cron": "* * * * *", "duration_seconds": "5m", "time_zone": "Europe/Berlin", "min_replicas": 4}

LATER = {"name": "later", "start": "2098-06-15", "end": "2098-06-16", "time_zone": "UTC", "pause": "scale_down"}


def shop(**schedule: Any) -> dict[str, Any]:
    return {
        "version": "1",
        "run": {"provider": "supervisor", "command": "/bin/true {port}"},
        "hosts": "app",
        "port_range": "20000-20009",
        "scale": {"min_replicas": 1, "max_replicas": 9, "schedules": [{**ALWAYS, **schedule}, LATER]},
    }


@pytest.fixture
def release(lab: Lab, run_module: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def call(description: dict[str, Any]) -> dict[str, Any]:
        return run_module("service_release", {"consul_url": lab.server.url, "descriptions": {"shop": description}, "allow_unsigned": True})

    return call


def test_from_deploy_to_decision(lab: Lab, run_module: Callable[..., dict[str, Any]], release: Callable[..., dict[str, Any]]) -> None:
    refused = release(shop(cron="0 25 * * *"))
    assert refused["failed"] and refused["msg"].startswith("autoscale_services.shop.scale.schedules[0].cron: must be"), refused
    with pytest.raises(OSError, match="404"):
        http_get(f"{lab.server.url}/v1/kv/autoscale/?recurse")

    assert release(shop())["published"] == ["shop"]
    deciding = {"consul_url": lab.server.url, "allow_unsigned": True}
    (decision,) = run_module("scaling_decision", deciding)["decisions"].values()
    assert decision["desired_replicas"] == 4
    assert [limit["rule"] for limit in decision["limits"]] == ["schedules.always.min_replicas"]

    told = run_module("fleet_info", deciding)["table"][-1]
    assert "schedule always: min_replicas 4; schedules change at 2098-06-1" in told

    examining = {"scope": ["controller"], "consul_url": lab.server.url}
    checks = {check["name"]: check for check in run_module("doctor_info", examining)["checks"]}
    assert (checks["schedules"]["ok"], checks["schedules"]["found"]) == (True, "1 services with schedules")

    # Deployed from a controller that knows other zones.
    key = f"{lab.server.url}/v1/kv/autoscale/shop/release"
    document = json.loads(http_get(f"{key}?raw"))
    document["description"]["scale"]["schedules"][0]["time_zone"] = "Europe/Atlantis"
    put(key, json.dumps(document))
    scale = {"schema": document["schema"], "service": "shop", "replicas": 3, "time": 0}
    put(f"{lab.server.url}/v1/kv/autoscale/shop/scale", json.dumps(scale))
    (decision,) = run_module("scaling_decision", deciding)["decisions"].values()
    assert (decision["kind"], decision["desired_replicas"]) == ("held", 3)
    wrong = "schedules.always: must be the name of a time zone such as Europe/Berlin, got 'Europe/Atlantis'"
    assert wrong in decision["reason"]
    assert wrong in run_module("fleet_info", deciding)["table"][-1]
    checks = {check["name"]: check for check in run_module("doctor_info", examining)["checks"]}
    assert not checks["schedules"]["ok"]
    assert checks["schedules"]["found"].startswith("shop: schedules.always: must be the name of a time zone")
    assert "cronsim tzdata" in checks["schedules"]["mend"]
