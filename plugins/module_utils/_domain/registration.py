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
from typing import Any, Mapping

from . import names
from .consul_check import Check, declared_checks
from .consul_features import gated
from .errors import AutoscaleError
from .registration_fields import ADDED_BY_THE_AGENT, Tagged, read_meta, read_tagged_addresses, read_tags, read_weight

# The meta key that holds the digest of the declared checks; Consul allows only A-Za-z0-9_- in keys.
CHECKS_KEY = "autoscale-checks"
# A maintenance that is ours says so at the beginning of its reason; another one was set by somebody else.
OUR_REASON = "autoscale: "
MAINTENANCE_CHECK = "_service_maintenance:"


@dataclasses.dataclass(frozen=True)
class Registration:
    """One instance as declared; every field has passed its allow-list when made by one of the from_ methods.

    Args:
        service: the Consul service.
        id: unique on the agent.
        address: an IP address, empty for the node's own.
        tags: compared as a set.
        meta: without our own digest key.
        weight: Consul's weight while passing, at least 1; weight_warning: while a check warns.
        tagged_addresses: further addresses by name.
        tag_override: whether others may change the tags in the catalog; then they are sent, but not held.
    """

    service: str
    id: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = dataclasses.field(default_factory=dict)
    weight: int = 1
    checks: tuple[Check, ...] = ()
    weight_warning: int = 1
    tagged_addresses: Mapping[str, Tagged] = dataclasses.field(default_factory=dict)
    tag_override: bool = False

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
                tags=read_tags(raw.get("tags") or []),
                meta=read_meta(raw.get("meta") or {}, CHECKS_KEY),
                # 0 means "no traffic" to a balancer; Consul refuses it.
                weight=max(1, read_weight("weight", raw.get("weight"))),
                checks=declared_checks(raw.get("checks") or [], service, identity, address, port),
                weight_warning=read_weight("weight_warning", raw.get("weight_warning")),
                tagged_addresses=read_tagged_addresses(raw.get("tagged_addresses") or {}, port),
                tag_override=bool(raw.get("enable_tag_override")),
            )
        except AutoscaleError as error:
            raise AutoscaleError(f"{identity}: {error.message}") from None

    @property
    def digest(self) -> str:
        """Of what cannot be read back as it was declared: the checks, and tags that others may change.

        16 hex digits are enough to tell one declaration from the next.
        """
        text = json.dumps(sorted((check.definition() for check in self.checks), key=lambda item: str(item["CheckID"])), sort_keys=True)
        if self.tag_override:
            text += json.dumps(sorted(self.tags))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def gated_fields(self) -> tuple[str, ...]:
        """The fields of checks that not every version of Consul knows."""
        return gated(field for check in self.checks for field in check.fields)

    def definition(self) -> dict[str, Any]:
        """The body of one register call, checks inside; what was not asked for is left out."""
        optional: dict[str, Any] = {}
        if self.tagged_addresses:
            optional["TaggedAddresses"] = {name: dict(tagged) for name, tagged in self.tagged_addresses.items()}
        if self.tag_override:
            optional["EnableTagOverride"] = True
        return {
            **optional,
            "Name": self.service,
            "ID": self.id,
            "Address": self.address,
            "Port": self.port,
            "Tags": list(self.tags),
            "Meta": {**self.meta, CHECKS_KEY: self.digest},
            "Weights": {"Passing": self.weight, "Warning": self.weight_warning},
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
            "weight_warning": self.weight_warning,
            "tagged_addresses": dict(self.tagged_addresses),
            "enable_tag_override": self.tag_override,
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
    weight_warning: int = 1
    tagged_addresses: Mapping[str, Tagged] = dataclasses.field(default_factory=dict)
    tag_override: bool = False

    def view(self, declared: Registration | None = None) -> dict[str, Any]:
        """For a diff; checks that are known to be as declared are shown like them, others by name only."""
        checks: dict[str, Any] = {check_id: {"Name": name} for check_id, name in sorted(self.checks.items())}
        tags = self.tags
        if declared is not None and self.has_checks_of(declared):
            checks = declared.view()["checks"]
            # Declared as before: what others made of them since is theirs to say.
            tags = declared.tags if self.tag_override and declared.tag_override else tags
        own = ADDED_BY_THE_AGENT - (declared.tagged_addresses.keys() if declared else set())
        return {
            "service": self.service,
            "address": self.address,
            "port": self.port,
            "tags": sorted(tags),
            "meta": dict(self.meta),
            "weight": self.weight,
            "weight_warning": self.weight_warning,
            "tagged_addresses": {name: tagged for name, tagged in self.tagged_addresses.items() if name not in own},
            "enable_tag_override": self.tag_override,
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
        weight_warning=(raw.get("Weights") or {}).get("Warning", 1),
        tagged_addresses=raw.get("TaggedAddresses") or {},
        tag_override=bool(raw.get("EnableTagOverride")),
    )
