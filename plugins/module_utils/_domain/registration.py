# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The canonical Consul definition of an instance with its checks, and its comparison with what an agent has.

Consul does not give a check's definition back. So a digest of the declared checks is kept in the service's meta and
compared in its place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any, Mapping

from . import names
from .consul_check import Check, clean_text, declared_checks
from .errors import AutoscaleError

# The meta key that holds the digest of the declared checks; Consul allows only A-Za-z0-9_- in keys.
CHECKS_KEY = "autoscale-checks"
# A maintenance that is ours says so at the beginning of its reason; another one was set by somebody else.
OUR_REASON = "autoscale: "
MAINTENANCE_CHECK = "_service_maintenance:"

# Consul's own limits.
_MAX_META = 64
_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_META_VALUE = 512
_MAX_WEIGHT = 65535


@dataclasses.dataclass(frozen=True)
class Registration:
    """One instance as declared; every field has passed its allow-list when made by one of the from_ methods.

    Args:
        service: the Consul service.
        id: unique on the agent.
        address: an IP address, empty for the node's own.
        tags: compared as a set.
        meta: without our own digest key.
        weight: Consul's weight while passing, at least 1.
    """

    service: str
    id: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = dataclasses.field(default_factory=dict)
    weight: int = 1
    checks: tuple[Check, ...] = ()

    @classmethod
    def from_instance(cls, instance: Mapping[str, Any]) -> Registration:
        """From an instance of a plan; one check, http on its own address and port, else tcp."""
        declared = instance["check"]
        check = {"interval": declared["interval"], "timeout": declared["timeout"]}
        if declared["http"]:
            check["http"] = declared["http"]
        else:
            check["tcp"] = f":{instance['port']}"
        return cls.from_description(
            {
                "name": instance["service"],
                "id": instance["id"],
                "address": instance["address"],
                "port": instance["port"],
                "tags": instance["tags"],
                "meta": instance["meta"],
                "weight": instance["weight"],
                "checks": [check],
            }
        )

    @classmethod
    def from_description(cls, raw: Mapping[str, Any]) -> Registration:
        """From the options of the module consul_service; None means not given. Raises AutoscaleError."""
        service = names.service_name(raw.get("name"))
        identity = names.instance_id(raw.get("id") or service)
        try:
            address = names.ip_address(raw["address"]) if raw.get("address") else ""
            port = names.port(raw["port"]) if raw.get("port") is not None else 0
            return cls(
                service=service,
                id=identity,
                address=address,
                port=port,
                tags=tuple(dict.fromkeys(clean_text("tag", tag) for tag in raw.get("tags") or [])),
                meta=_meta(raw.get("meta") or {}),
                weight=_weight(raw.get("weight")),
                checks=declared_checks(raw.get("checks") or [], service, identity, address, port),
            )
        except AutoscaleError as error:
            raise AutoscaleError(f"{identity}: {error.message}") from None

    @property
    def digest(self) -> str:
        """Of the declared checks; 16 hex digits are enough to tell one declaration from the next."""
        text = json.dumps(sorted((check.definition() for check in self.checks), key=lambda item: str(item["CheckID"])), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def definition(self) -> dict[str, Any]:
        """The body of one register call, checks inside."""
        return {
            "Name": self.service,
            "ID": self.id,
            "Address": self.address,
            "Port": self.port,
            "Tags": list(self.tags),
            "Meta": {**self.meta, CHECKS_KEY: self.digest},
            "Weights": {"Passing": self.weight, "Warning": 1},
            "Checks": [check.definition() for check in self.checks],
        }

    def view(self) -> dict[str, Any]:
        """For a diff."""
        return {
            "service": self.service,
            "address": self.address,
            "port": self.port,
            "tags": sorted(self.tags),
            "meta": dict(self.meta),
            "weight": self.weight,
            "checks": {check.id: check.view() for check in self.checks},
            "checks_digest": self.digest,
        }


@dataclasses.dataclass(frozen=True)
class Registered:
    """One instance as an agent has it.

    Args:
        checks: name by check id, the maintenance check apart.
        digest: of the checks as declared when it was registered; empty when not by us.
        maintenance: the reason, None when not in maintenance.
    """

    service: str
    id: str
    address: str
    port: int
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    weight: int
    checks: Mapping[str, str]
    digest: str
    maintenance: str | None

    def view(self, declared: Registration | None = None) -> dict[str, Any]:
        """For a diff; checks that are known to be as declared are shown like them, others by name only."""
        checks: dict[str, Any] = {check_id: {"Name": name} for check_id, name in sorted(self.checks.items())}
        if declared is not None and self.has_checks_of(declared):
            checks = declared.view()["checks"]
        return {
            "service": self.service,
            "address": self.address,
            "port": self.port,
            "tags": sorted(self.tags),
            "meta": dict(self.meta),
            "weight": self.weight,
            "checks": checks,
            "checks_digest": self.digest,
        }

    def has_checks_of(self, declared: Registration) -> bool:
        return self.digest == declared.digest and set(self.checks) == {check.id for check in declared.checks}

    def undeclared_checks(self, declared: Registration) -> tuple[str, ...]:
        """Checks to remove; the one of a maintenance is never among them."""
        return tuple(sorted(set(self.checks) - {check.id for check in declared.checks}))


def registered(services: Mapping[str, Mapping[str, Any]], checks: Mapping[str, Mapping[str, Any]]) -> dict[str, Registered]:
    """What an agent has, by instance id, from its answers to /v1/agent/services and /v1/agent/checks."""
    names_of: dict[str, dict[str, str]] = {}
    maintenance: dict[str, str] = {}
    for check_id, check in checks.items():
        owner = check.get("ServiceID") or ""
        if check_id == MAINTENANCE_CHECK + owner:
            maintenance[owner] = check.get("Notes") or ""
        elif owner:
            names_of.setdefault(owner, {})[check_id] = check.get("Name") or ""
    return {
        identity: _registered(identity, service, names_of.get(identity, {}), maintenance.get(identity))
        for identity, service in services.items()
    }


def difference(want: Registration, have: Registered | None) -> tuple[dict[str, Any] | None, dict[str, Any]] | None:
    """Before and after of registering, None when the agent has it as declared.

    Raises AutoscaleError when the id belongs to an instance of another service.
    """
    if have is None:
        return None, want.view()
    if have.service != want.service:
        raise AutoscaleError(
            f"{want.id}: this id is registered at the agent for the service {have.service!r}, not {want.service!r}; "
            "choose another id or remove that instance first"
        )
    before, after = have.view(want), want.view()
    return None if before == after else (before, after)


def _registered(identity: str, raw: Mapping[str, Any], checks: Mapping[str, str], maintenance: str | None) -> Registered:
    meta = dict(raw.get("Meta") or {})
    digest = meta.pop(CHECKS_KEY, "")
    return Registered(
        service=raw.get("Service") or "",
        id=identity,
        address=raw.get("Address") or "",
        port=raw.get("Port") or 0,
        tags=tuple(raw.get("Tags") or ()),
        meta=meta,
        weight=(raw.get("Weights") or {}).get("Passing", 1),
        checks=checks,
        digest=digest,
        maintenance=maintenance,
    )


def _meta(raw: Mapping[str, Any]) -> dict[str, str]:
    if len(raw) >= _MAX_META:
        raise AutoscaleError(f"meta: {len(raw)} entries are too many, at most {_MAX_META - 1} are allowed beside our own")
    meta = {}
    for key, value in raw.items():
        if not isinstance(key, str) or not _META_KEY.fullmatch(key) or key == CHECKS_KEY:
            raise AutoscaleError(f"meta key {key!r} is not allowed: must match {_META_KEY.pattern} and not be {CHECKS_KEY}")
        # Consul answers 400 to anything but text; YAML turns 8080 and true into other types without being asked.
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, (int, float)):
            value = str(value)
        meta[key] = clean_text(f"meta {key}", value, _MAX_META_VALUE)
    return meta


def _weight(value: object) -> int:
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_WEIGHT:
        raise AutoscaleError(f"weight {value!r} is not allowed: must be a whole number from 0 to {_MAX_WEIGHT}")
    # 0 means "no traffic" to a balancer; Consul refuses it.
    return max(1, value)
