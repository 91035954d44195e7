# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""An instance as Consul's catalog shows it, in the words of the doors. All of it is untrusted text."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from .registration import CHECKS_KEY, MAINTENANCE_CHECK

NODE_MAINTENANCE = "_node_maintenance"
# From good to bad; what Consul may add later counts as bad.
_STATUSES = ("passing", "warning", "critical")


def worst_status(checks: Iterable[Mapping[str, Any]]) -> str:
    """The worst status of some checks; without checks it is passing, as in Consul."""
    statuses = {check.get("Status") for check in checks}
    if not statuses <= set(_STATUSES):
        return "critical"
    return next((name for name in reversed(_STATUSES) if name in statuses), "passing")


def instance(node: Mapping[str, Any], service: Mapping[str, Any], checks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One instance with its health.

    Args:
        checks: of the instance and of its node.
    """
    identity = service.get("ID")
    checks = sorted(checks, key=lambda check: str(check.get("CheckID")))
    status = worst_status(checks)
    reasons = [check.get("Notes") or "" for check in checks if check.get("CheckID") in (f"{MAINTENANCE_CHECK}{identity}", NODE_MAINTENANCE)]
    return {
        "service": service.get("Service"),
        "id": identity,
        "node": node.get("Node"),
        "datacenter": node.get("Datacenter"),
        "address": service.get("Address") or node.get("Address"),
        "port": service.get("Port"),
        "tags": list(service.get("Tags") or []),
        "meta": {key: value for key, value in (service.get("Meta") or {}).items() if key != CHECKS_KEY},
        "weight": (service.get("Weights") or {}).get("Passing", 1),
        "status": status,
        "passing": status == "passing",
        "maintenance": bool(reasons),
        "maintenance_reason": reasons[0] if reasons else None,
        "checks": [
            {"id": check.get("CheckID"), "name": check.get("Name"), "status": check.get("Status"), "output": check.get("Output") or ""}
            for check in checks
        ],
    }
